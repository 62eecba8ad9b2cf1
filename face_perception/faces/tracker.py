"""Tracks faces from image to image under stable ids.

``detector`` and ``mesh`` run the networks, ``track_state`` compares faces. This module decides when
to run the detector, which tracks to start, keep and end, and which id each face gets.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from concurrent import futures
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from face_perception.errors import InputError, shortened
from face_perception.faces.cross_fade import CrossFades
from face_perception.faces.detector import (
    WHOLE_IMAGE,
    Detection,
    Detector,
    SearchView,
    Window,
    close_up_windows,
    small_face_windows,
)
from face_perception.faces.eye_openness import eye_aspect_ratios
from face_perception.faces.eye_visibility import eye_visibility
from face_perception.faces.face_similarity import appearance_similarity
from face_perception.faces.head_pose import head_pose
from face_perception.faces.mesh import (
    Mesh,
    bounds,
    square_of_detection,
    square_of_landmarks,
    turns_of,
)
from face_perception.faces.mesh_certainty import mesh_certainty
from face_perception.faces.track_state import (
    Track,
    expected_square,
    face_confidence,
    is_another_person,
    is_detection_of,
    reappearance_cost,
    same_place,
    self_similarity,
    update_certainty,
    update_track,
)
from face_perception.inference import Model, ModelProgress, NetworkSettings, load
from face_perception.settings import check, setting
from face_perception.types import Face, Frame, Image, Roi

FloatArray = npt.NDArray[np.floating]

# Landmarks, presence, appearance, and whether it is another person; None: the face is lost.
_Found = tuple[FloatArray, float, FloatArray, bool] | None

MAX_FACES = 10  # default of the largest number of faces that are tracked at once
# Passes of the mesh network on a new face. The square of a detection is coarse, so the mesh runs
# again in the square around its landmarks.
_SETTLE_PASSES = 3
_SEARCH_PERIOD = 0.1  # seconds between two detections while there is no face, or one was lost
_STEADY_SEARCH_PERIOD = 1.0  # seconds between two detections while the known faces are steady
_STEADY_AFTER = 1.0  # seconds without a new or lost face, after which the faces are steady
_VIEW_PERIOD = 0.15  # seconds between two searches of other views while there is no face
_KEEP_LOST = 1.5  # seconds for which a lost face can get its id back
_BETTER = 0.1  # difference of similarity that is not accidental
# Score and presence from which a new face is confirmed at once. The two sample photographs, small
# copies of them and the sample clip have scores of 0.87 to 0.96 in their first image; false
# detections in 38 photographs without faces have at most 0.64.
_SURE_SCORE, _SURE_PRESENCE = 0.8, 0.9
# Limits of ``mesh_certainty``. A detection below _DOUBTFUL is also tried in the other quarter
# turns. A face below _NO_FACE is dropped, and one found only in a rotated image below
# _NO_TURNED_FACE. All of 300 close-ups and 83 wide-open mouths reach 0.6; all of 28 pictures that
# were rotated by 100 to 200 degrees reach 0.72.
_DOUBTFUL, _NO_FACE, _NO_TURNED_FACE = 0.75, 0.5, 0.7
_TURNS = 4
# From this number of faces on, a second thread follows half of them, because one core does not
# suffice for ten faces at 30 Hz. For few faces, handing over costs more than it saves.
_SECOND_THREAD_FROM = 5
_MIN_INSIDE = 0.25  # smallest share of the landmarks inside the image


@dataclass(frozen=True)
class FaceTrackerSettings:
    """Settings of ``FaceTracker``.

    For one camera of several, and one person at a time:

    >>> from face_perception.inference import sample_photo
    >>> from face_perception.media import FrameReader
    >>> with FrameReader(sample_photo("astronaut")) as clip:
    ...     (frame,) = clip
    >>> tracker = load_tracker(FaceTrackerSettings(max_faces=1, id_prefix="left_"))
    >>> [face.face_id for face in tracker.track(frame)]
    ['left_1']
    """

    max_faces: int = setting(
        MAX_FACES,
        "Largest number of faces that are tracked at once. Computing time grows with each face.",
        minimum=1,
        maximum=50,
        dynamic=True,
    )
    detect_every: int = setting(
        10,
        "The detector searches for new faces in every n-th image, where n is this number, but only "
        "once a second after no face has come or gone for a second. Known faces are tracked in "
        "every image. A larger value saves computing time and finds new faces later.",
        minimum=1,
        maximum=1000,
        dynamic=True,
    )
    min_detection_score: float = setting(
        0.6,
        "Lowest score of a detection that starts a track. A larger value gives fewer false faces "
        "and misses more.",
        minimum=0.0,
        maximum=1.0,
        dynamic=True,
    )
    min_presence: float = setting(
        0.5,
        "A track ends when the face mesh gives a probability of a face below this. A larger value "
        "ends tracks earlier.",
        minimum=0.0,
        maximum=1.0,
        dynamic=True,
    )
    min_hits: int = setting(
        3,
        "A new face is published after it was seen in this number of images, or at once if its "
        "score is very high. A larger value gives fewer false faces and more delay.",
        minimum=1,
        maximum=100,
        dynamic=True,
    )
    id_prefix: str = setting(
        "face_",
        "Prefix of face ids; a counter follows it. Must start with a letter. Give each camera "
        "another prefix.",
    )


class FaceTracker:
    """Tracks the faces in a stream of images, each under one id while it is seen.

    The detector runs in every ``detect_every``-th image, ten times a second while there is no face
    or one was just lost, and once a second while the faces are steady: all are sure, and none has
    come or gone for a second. The mesh network runs for every face in every image. To find small
    faces, faces that fill the image and rotated faces, other views of the image are searched in
    turn: every ``2 * detect_every`` images, and seven times a second while there is no face.

    A face is confirmed, and returned, after ``min_hits`` images; at once if its score is very high
    and no face was just lost. A face that comes back within 1.5 s gets its id back. Ids are
    ``id_prefix`` and a counter, so that the same images give the same ids.

    ``full`` is true if the last image had ``max_faces`` faces, so that it may have had more.

    Do not use it in two threads at the same time. Raises InputError if a setting is out of range.

    >>> import cv2
    >>> from face_perception.inference import sample_photo
    >>> from face_perception.types import Camera
    >>> image = cv2.cvtColor(cv2.imread(str(sample_photo("astronaut"))), cv2.COLOR_BGR2RGB)
    >>> tracker = load_tracker()
    >>> camera = Camera.assume(512, 512)
    >>> for stamp in (0.0, 0.1, 0.2):
    ...     (face,) = tracker.track(Frame(image, stamp, camera))
    >>> face.face_id, face.landmarks.shape, face.confidence > 0.7
    ('face_1', (478, 3), True)
    """

    def __init__(
        self,
        detector: Model,
        mesh: Model,
        settings: FaceTrackerSettings | None = None,
    ) -> None:
        self.models = (detector, mesh)
        self._detector = Detector(detector)
        self._mesh = Mesh(mesh)
        self._two_threads = mesh.backend == "onnxruntime"
        self._second_mesh = Mesh(mesh)  # for the second thread
        self._second_thread = futures.ThreadPoolExecutor(1, "second_mesh")  # starts when it is used
        self.change_settings(settings or FaceTrackerSettings())
        self.full = False
        self.reset(restart_ids=True)

    def change_settings(self, settings: FaceTrackerSettings) -> None:
        """Uses other settings from the next image on; faces that are tracked stay.

        Raises InputError if a setting is out of range.
        """
        check(settings)
        if not settings.id_prefix[:1].isalpha():
            raise InputError(
                f"id_prefix must start with a letter, not {shortened(settings.id_prefix)}"
            )
        self._detector.min_score = settings.min_detection_score
        self._max_faces = settings.max_faces
        self._detect_every = settings.detect_every
        self._min_presence = settings.min_presence
        self._min_hits = settings.min_hits
        self._id_prefix = settings.id_prefix

    def may_be_id(self, name: str) -> bool:
        """Returns whether ``name`` may be the id of a face: the prefix and a number."""
        number = name.removeprefix(self._id_prefix)
        return name.startswith(self._id_prefix) and number.isascii() and number.isdecimal()

    def reset(self, *, restart_ids: bool = False) -> None:
        """Forgets all faces. The counter of ids continues, unless ``restart_ids`` is true."""
        if restart_ids:
            self._count = 0
        self._fades = CrossFades()
        self._tracks: list[Track] = []
        self._lost: list[Track] = []
        self._shape: tuple[int, ...] = ()
        self._stamp = -math.inf
        self._searched = -math.inf
        self._changed = -math.inf  # stamp of the last image in which a track began or ended
        self._since_search = self._detect_every
        self._windows: list[Window] = []
        self._turns = 0  # quarter turns of the face that was tracked last
        self._view = 0
        self._since_view = 0
        self._viewed = -math.inf

    def track(self, frame: Frame) -> list[Face]:
        """Returns the faces in the next image of the stream, the oldest track first.

        An image of another size, or a stamp that goes back, resets the tracker. Raises InputError
        if the image is not RGB uint8 [H, W, 3] or does not have the size of its camera.
        """
        image = _checked(frame)
        if image.shape != self._shape or frame.stamp < self._stamp:
            self.reset()
            self._shape = image.shape
            self._windows = _windows(image)
        self._stamp = frame.stamp
        self._since_search += 1
        self._since_view += 1
        self._lost = [t for t in self._lost if frame.stamp - t.stamp <= _KEEP_LOST]
        before = self._tracks
        self._fades.add(image, frame.stamp)
        any_lost = self._follow(image, frame.stamp)
        # Search once in each image. In a slow stream the whole image is due every time, so it
        # alternates with the other views.
        searching = self._search_is_due(any_lost, frame.stamp)
        viewing = self._view_is_due(frame.stamp)
        if searching and viewing and not any_lost and self._since_search < self._detect_every:
            searching = self._since_search >= self._since_view
        if searching:
            self._searched, self._since_search = frame.stamp, 0
            whole = SearchView(None, self._turns)
            self._start_tracks(image, whole, frame.stamp)
        elif viewing:
            self._viewed, self._since_view = frame.stamp, 0
            self._start_tracks(image, self._next_view(), frame.stamp)
        self._restore_lost_tracks()
        if self._tracks != before:
            self._changed = frame.stamp
        counting = [t for t in self._tracks if t.hits >= self._min_hits]
        for track in counting:
            if not track.id:
                self._count += 1
                track.id = f"{self._id_prefix}{self._count}"
        if counting:
            self._turns = turns_of(counting[0].square)
        self.full = len(counting) >= self._max_faces
        return [_face(track, frame) for track in counting]

    def detect(self, frame: Frame, max_faces: int | None = None) -> list[Face]:
        """Returns the faces in a single image, without tracking.

        ``max_faces`` is their largest number; None means that of the settings. The search ends
        when so many were found. Faces found in the whole image come first, then those of each
        window, in order of their score. If no face is found, the image is searched again, rotated
        by 90, 180 and 270 degrees. Ids count from 1 in each image. Raises InputError as ``track``
        does.
        """
        image = _checked(frame)
        most = self._max_faces if max_faces is None else max_faces
        found: list[Track] = []
        for view in (WHOLE_IMAGE, *(SearchView(window) for window in _windows(image))):
            self._add(image, view, frame.stamp, found, most)
        for turns in range(1, _TURNS):
            if not found:
                for window in (None, *close_up_windows(image.shape[1], image.shape[0])):
                    self._add(image, SearchView(window, turns), frame.stamp, found, most)
        self.full = len(found) >= most
        for number, track in enumerate(found, start=1):
            track.id = f"{self._id_prefix}{number}"
        return [_face(track, frame) for track in found]

    def _add(
        self, image: Image, view: SearchView, stamp: float, found: list[Track], most: int
    ) -> None:
        """Adds the faces of one view to ``found``, until it has ``most``."""
        if len(found) >= most:
            return
        least = _NO_TURNED_FACE if view.turns else _NO_FACE
        for detection in self._detector.detect(image, view):
            track = self._verify_detection(image, detection, stamp, found, least)
            if track is not None and not any(same_place(track, other) for other in found):
                found.append(track)
                if len(found) >= most:
                    return

    def _follow(self, image: Image, stamp: float) -> bool:
        """Moves every track to this image; returns whether one was lost."""
        before = self._tracks
        self._tracks = []
        for track, found in zip(before, self._follow_all(before, image, stamp), strict=True):
            if found is None:
                continue
            landmarks, presence, seen, another = found
            if another:
                # After a cut, or if another person takes the place, start a new track, with a low
                # certainty until the face is detected. If the old face appears again soon, it gets
                # its track back.
                track = Track(landmarks, presence, stamp, seen, min(track.certainty, _NO_FACE))
            else:
                update_track(track, landmarks, presence, seen, stamp)
                if track.id and self._fades.has_faded(track, (image.shape[1], image.shape[0])):
                    track.id = ""  # it does not come back
                    track = Track(landmarks, presence, stamp, seen, min(track.certainty, _NO_FACE))
            self._tracks.append(track)
        for one, other in itertools.combinations(tuple(self._tracks), 2):
            if one in self._tracks and other in self._tracks and same_place(one, other):
                # The track whose appearance has changed more has slipped onto the other's face.
                self._tracks.remove(min(one, other, key=self_similarity))
        gone = [track for track in before if track not in self._tracks]
        self._lost += [track for track in gone if track.id]
        return bool(gone)

    def _follow_all(self, tracks: Sequence[Track], image: Image, stamp: float) -> list[_Found]:
        """Returns ``_find_tracks`` of all tracks, on a CPU with two threads if there are many."""
        if not self._two_threads or len(tracks) < _SECOND_THREAD_FROM:
            return self._find_tracks(self._mesh, tracks, image, stamp)
        half = (len(tracks) + 1) // 2
        rest = self._second_thread.submit(
            self._find_tracks, self._second_mesh, tracks[half:], image, stamp
        )
        try:
            return [*self._find_tracks(self._mesh, tracks[:half], image, stamp), *rest.result()]
        finally:
            futures.wait([rest])  # also after an error: the next image uses the same mesh

    def _find_tracks(
        self, mesh: Mesh, tracks: Sequence[Track], image: Image, stamp: float
    ) -> list[_Found]:
        """Finds the face of each track in this image; None stands for a face that is lost.

        Returns landmarks, presence, appearance, and whether it is another person. A face that has
        moved far looks different if the mesh sees it in the old square. So before it is taken for
        another person, the mesh runs again in the square of the new landmarks.
        """
        found: list[_Found] = [None] * len(tracks)
        squares = {k: expected_square(track, stamp) for k, track in enumerate(tracks)}
        for _ in range(_SETTLE_PASSES):
            results = mesh.find_all(image, list(squares.values()))
            again = {}
            for k, result in zip(squares, results, strict=True):
                landmarks = result.landmarks
                if result.presence < self._min_presence or not _inside(landmarks, image):
                    found[k] = None
                    continue
                seen = result.appearance()
                another = is_another_person(tracks[k], seen)
                found[k] = landmarks, result.presence, seen, another
                if another:
                    again[k] = square_of_landmarks(landmarks)
            squares = again
            if not squares:
                break
        return found

    def _search_is_due(self, any_lost: bool, stamp: float) -> bool:
        if len(self._tracks) >= self._max_faces:
            return False
        if any_lost:
            return True
        since = stamp - self._searched
        # A little less than the periods, because stamps jitter.
        if self._since_search >= self._detect_every:
            return not self._is_steady(stamp) or since >= 0.95 * _STEADY_SEARCH_PERIOD
        waiting = bool(self._lost) or not self._tracks
        return waiting and since >= 0.95 * _SEARCH_PERIOD

    def _is_steady(self, stamp: float) -> bool:
        """Returns whether all faces are sure, and none has come or gone for a while."""
        return (
            bool(self._tracks)
            and not self._lost
            and stamp - self._changed >= _STEADY_AFTER
            and all(track.id and track.certainty >= _DOUBTFUL for track in self._tracks)
        )

    def _view_is_due(self, stamp: float) -> bool:
        if len(self._tracks) >= self._max_faces:
            return False
        if self._since_view >= 2 * self._detect_every:
            return True
        return not self._tracks and stamp - self._viewed >= 0.95 * _VIEW_PERIOD

    def _next_view(self) -> SearchView:
        """Returns the next window in turn; without a face, also the image in other rotations."""
        views = [SearchView(window, self._turns) for window in self._windows]
        if not self._tracks:
            height, width = self._shape[:2]
            # Without them, 7 of 45 press photographs and 6 of 25 rendered ones that single images
            # show are never found upside down.
            near = close_up_windows(width, height)
            others = [(self._turns + quarters) % _TURNS for quarters in (2, 1, 3)]
            views += [SearchView(window, turns) for turns in others for window in (None, *near)]
        self._view = (self._view + 1) % len(views)
        return views[self._view]

    def _start_tracks(self, image: Image, view: SearchView, stamp: float) -> None:
        """Starts tracks on the faces of a view that have none."""
        least = _NO_FACE if view.turns == self._turns else _NO_TURNED_FACE
        for detection in self._detector.detect(image, view):
            if len(self._tracks) >= self._max_faces:
                break
            new = self._verify_detection(image, detection, stamp, self._tracks, least)
            if new is None:
                continue
            here = next((track for track in self._tracks if same_place(track, new)), None)
            if here is None:
                self._tracks.append(new)
            elif (
                appearance_similarity(here.usual_appearance, new.usual_appearance)
                > appearance_similarity(here.usual_appearance, here.last_appearance) + _BETTER
            ):
                # The mesh of the track may be rotated by a right angle: use the new landmarks.
                update_track(here, new.landmarks, new.presence, new.usual_appearance, stamp)

    def _verify_detection(
        self, image: Image, detection: Detection, stamp: float, known: list[Track], least: float
    ) -> Track | None:
        """Returns a track for a detection; None if it is no face or in a ``known`` track.

        ``least`` is the lowest certainty of a face.
        """
        for track in known:
            if is_detection_of(detection, track):
                if detection.score >= self._detector.min_score:
                    update_certainty(track, detection)
                return None
        best = self._fit_mesh(image, detection, stamp)
        if best is None:
            return None
        if best.certainty < _DOUBTFUL:
            # Both mesh and detector may be upside down on the face.
            for quarters in range(1, _TURNS):
                turns = (detection.turns + quarters) % _TURNS
                other = self._fit_mesh(image, detection, stamp, turns)
                if other is not None and other.certainty > best.certainty:
                    best = other
        if best.certainty < least:
            return None
        # If a face was lost, the next images may show that this is the same one.
        sure = detection.score >= _SURE_SCORE and best.presence >= _SURE_PRESENCE
        best.hits = self._min_hits if sure and not self._lost else 1
        return best

    def _fit_mesh(
        self, image: Image, detection: Detection, stamp: float, turns: int | None = None
    ) -> Track | None:
        """Returns a track with the landmarks of a detection; None if the mesh finds no face.

        ``turns`` is the rotation of the face in quarter turns; None means that of the detection.
        """
        closer = self._detector.detect_again(image, detection, turns)
        if closer is None:
            return None
        square = square_of_detection(closer)
        for _ in range(_SETTLE_PASSES):
            result = self._mesh.find(image, square)
            landmarks = result.landmarks
            if result.presence < self._min_presence or not _inside(landmarks, image):
                return None
            square = square_of_landmarks(landmarks)
        sure = mesh_certainty(closer, landmarks)
        return Track(landmarks, result.presence, stamp, result.appearance(), sure)

    def _restore_lost_tracks(self) -> None:
        """Gives lost faces their tracks back if an unconfirmed track is the same face.

        This is tried in every image until the new track is confirmed, because a face that comes
        back blurred or cut off looks different at first.
        """
        costs = sorted(
            (reappearance_cost(lost, track, self._crowded(track)), i, j)
            for i, track in enumerate(self._tracks)
            if not track.id
            for j, lost in enumerate(self._lost)
        )
        back: set[int] = set()
        for cost, i, j in costs:
            track, lost = self._tracks[i], self._lost[j]
            if cost < 1 and not track.id and j not in back:
                back.add(j)
                update_track(
                    lost, track.landmarks, track.presence, track.usual_appearance, track.stamp
                )
                lost.velocity = track.velocity
                self._tracks[i] = lost
        self._lost = [lost for j, lost in enumerate(self._lost) if j not in back]

    def _crowded(self, track: Track) -> bool:
        """Returns whether a confirmed face is near enough to hide part of this one."""
        return any(
            np.linalg.norm(track.centre - other.centre) < max(track.size, other.size)
            for other in self._tracks
            if other.id
        )


def load_tracker(
    settings: FaceTrackerSettings | None = None,
    *,
    threads: int = NetworkSettings.threads,
    backend: str = NetworkSettings.backend,
    precision: str = NetworkSettings.precision,
    fall_back: bool = NetworkSettings.fall_back,
    progress: ModelProgress | None = None,
) -> FaceTracker:
    """Returns a ``FaceTracker`` with the default models.

    The other arguments are those of ``inference.load``. Raises inference.ModelError if a model is
    missing; the message names the command that fetches it.
    """
    detector, mesh = (
        load(
            name,
            threads=threads,
            backend=backend,
            precision=precision,
            fall_back=fall_back,
            progress=progress,
        )
        for name in ("face_detector", "face_mesh")
    )
    return FaceTracker(detector, mesh, settings)


def _face(track: Track, frame: Frame) -> Face:
    """Returns the face of a track in the image of ``frame``."""
    track.pose = head_pose(frame.camera, track.landmarks, track.pose)
    left, right = track.eyes.update(eye_aspect_ratios(track.landmarks, track.pose), track.stamp)
    visible = track.visibility.update(eye_visibility(frame.image, track.landmarks), track.stamp)
    return Face(
        face_id=track.id,
        confidence=face_confidence(track),
        roi=_roi(track.landmarks, frame.image),
        landmarks=track.landmarks,
        pose=track.pose,
        left_eye_openness=float(left),
        right_eye_openness=float(right),
        left_eye_visibility=float(visible[0]),
        right_eye_visibility=float(visible[1]),
    )


def _windows(image: Image) -> list[Window]:
    """Returns the windows that are searched in addition to the whole image.

    First come those for faces that fill the image, then those for small faces.
    """
    height, width = image.shape[:2]
    return close_up_windows(width, height) + small_face_windows(width, height)


def _roi(landmarks: FloatArray, image: Image) -> Roi:
    """Returns the box around the landmarks, clipped to the image."""
    height, width = image.shape[:2]
    left, top, right, bottom = bounds(landmarks)
    x, y = (min(max(math.floor(low), 0), end) for low, end in ((left, width), (top, height)))
    x_end, y_end = (
        min(max(math.ceil(high) + 1, 0), end) for high, end in ((right, width), (bottom, height))
    )
    return Roi(x, y, x_end - x, y_end - y)


def _inside(landmarks: FloatArray, image: Image) -> bool:
    """Returns whether enough of the landmarks [478, 3] are inside the image."""
    height, width = image.shape[:2]
    left, top, right, bottom = bounds(landmarks)
    if left >= 0 and top >= 0 and right < width and bottom < height:
        return True
    points = landmarks[:, :2]
    inside = ((points >= 0) & (points < (width, height))).all(axis=1)
    return bool(np.isfinite(points).all() and inside.mean() >= _MIN_INSIDE)


def _checked(frame: Frame) -> Image:
    """Returns the image of a frame. Raises InputError if it does not fit the camera."""
    image, camera = frame.image, frame.camera
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or image.size == 0:
        raise InputError(
            f"an image must be RGB uint8 [H, W, 3], not {image.dtype} {list(image.shape)}"
        )
    height, width = image.shape[:2]
    if (width, height) != (camera.width, camera.height):
        raise InputError(
            f"the image has {width}x{height} pixels, but its camera info is for "
            f"{camera.width}x{camera.height}: calibrate the camera at the size of its images"
        )
    return image
