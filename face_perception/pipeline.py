"""Runs all of perception on frames in one process, without ROS."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

from face_perception.affect import (
    AffectEstimator,
    AppearanceNet,
    BlendshapesNet,
    FaceMeasures,
    LandmarkActionUnits,
    load_affect,
    load_appearance,
    measure_face,
    median_measures,
    why_not_neutral,
)
from face_perception.attention import AttentionTracker, Sphere, WhoSpeaks
from face_perception.errors import InputError
from face_perception.faces import (
    HIDDEN_BELOW,
    MAX_FACES,
    FaceTracker,
    FaceTrackerSettings,
    crop_face,
    flip_averaging,
    load_tracker,
    mouth_visibility,
    plausible_camera,
    recompute_for_camera,
)
from face_perception.gaze import GEOMETRIC, GazeEstimator, estimate_gazes, load_gaze
from face_perception.inference import load
from face_perception.people import CalibrationStore, PersonRegistry, calibrations_dir
from face_perception.results import FrameResult
from face_perception.types import (
    ActionUnits,
    Attention,
    Blendshapes,
    Face,
    FaceCrop,
    Frame,
    Gaze,
    Neutral,
)

# Intensity of AU 45 above which the eyes in a single picture count as closed. How far this person
# usually opens them is not known: of 300 press photographs of neutral faces, 59 are above 0.3 (many
# have narrow eyes), 7 above 0.9 (nearly all of them closed).
_CLOSED = 0.9


class Perception:
    """Tracks faces and estimates gaze, affect and attention on a stream of frames. For one thread.

    ``Perception.load`` makes one with the default models.

    - ``people``: applies the gaze calibrations of known persons and estimates eye contact.
    - ``person``: id of a person, who is linked to the largest face of the first frame that shows a
      face. The link ends when the track of that face ends; no other face is linked, because it may
      be somebody else.
    - ``neutral``: measures of the neutral face, used only for the largest face of that first frame.
    - ``blendshapes``: also estimates blendshapes.
    - ``appearance``: gives the appearance of faces to ``action_units``, which must expect it.
    - ``targets``: named targets that people may look at, by name.
    - ``single_image``: treats each frame as a separate picture. Faces are not tracked; head pose
      and gaze are the means over the image and its mirror image (``faces.flip_averaging``); an
      assumed camera gets a longer focal length if a face is too large for it
      (``faces.plausible_camera``).

    >>> from face_perception.inference import sample_photo
    >>> from face_perception.media import FrameReader
    >>> with FrameReader(sample_photo("astronaut")) as clip:
    ...     (frame,) = clip
    >>> result = Perception.load(single_image=True).process(frame)
    >>> len(result.faces), result.expressions[0].label, result.attention[0].looking_at_robot
    (1, 'happy', True)
    """

    def __init__(
        self,
        tracker: FaceTracker,
        gaze: GazeEstimator,
        action_units: LandmarkActionUnits,
        affect: AffectEstimator,
        attention: AttentionTracker,
        *,
        people: PersonRegistry | None = None,
        person: str = "",
        neutral: FaceMeasures | None = None,
        blendshapes: BlendshapesNet | None = None,
        appearance: AppearanceNet | None = None,
        targets: Mapping[str, Sphere] = MappingProxyType({}),
        single_image: bool = False,
    ) -> None:
        self._tracker = tracker
        self._memories = (gaze, action_units, affect, attention)
        self._single_image = single_image
        self._gaze = gaze
        self._people = people
        self._person = person
        self._neutral = neutral
        self._main_face = ""  # id of the face that ``person`` and ``neutral`` belong to
        self._blendshapes = blendshapes
        self._appearance = appearance
        self._action_units = action_units
        self._affect = affect
        self._attention = attention
        self._targets = targets
        self.who_speaks = WhoSpeaks()  # tell it what is heard before the frame of that time

    @classmethod
    def load(
        cls,
        *,
        threads: int = 1,
        single_image: bool = False,
        gaze: str = GEOMETRIC,
        people: CalibrationStore | None = None,
        person: str = "",
        max_faces: int = MAX_FACES,
        neutral: FaceMeasures | None = None,
        blendshapes: bool = False,
        appearance: bool = True,
        affect: str = "expression",
        targets: Mapping[str, Sphere] = MappingProxyType({}),
    ) -> Perception:
        """Makes a ``Perception`` with the default models and settings.

        - ``threads``: CPU threads of each network.
        - ``gaze``: ``geometric``, or a gaze network by the name or path of its card.
        - ``people``: where calibrations are stored; None means the user's own store.
        - ``person``: id of the person whose calibration is used; empty uses none.
        - ``max_faces``: largest number of faces.
        - ``neutral``: measures of the neutral face, for example from ``affect.median_measures``.
        - ``appearance``: whether the image of a face counts for action units, besides landmarks.
        - ``affect``: an expression or multitask network by the name or path of its card. A
          multitask network also estimates the action units, in place of the landmarks.

        The other arguments are those of the class. Raises inference.ModelError, naming the command
        that fetches it, if a model is missing. Raises InputError if ``person`` is not a valid id or
        has no calibration for ``gaze``, and if a target is called like a face.
        """
        estimator = load_gaze(gaze, threads=threads)
        affects = load_affect(affect, threads=threads)
        store = people or CalibrationStore()
        known = PersonRegistry(
            store,
            {estimator.name: estimator.revision},
            priors={estimator.name: estimator.prior},
        )
        if person and not known.has_calibration(person):
            hint = ["calibrate", "--person", person, "--model", gaze]
            if store.folder != calibrations_dir():
                hint += ["--people", str(store.folder)]
            raise InputError(
                f"{person} is not calibrated for {gaze} in {store.folder}: run `face-perception "
                f"{shlex.join(hint)}`"
            )
        tracker = load_tracker(FaceTrackerSettings(max_faces=max_faces), threads=threads)
        for name in filter(tracker.may_be_id, targets):
            raise InputError(f"target {name} may be the id of a face: give it another name")
        return cls(
            tracker,
            estimator,
            LandmarkActionUnits(appearance=appearance),
            affects,
            AttentionTracker(),
            people=known,
            person=person,
            neutral=neutral,
            blendshapes=BlendshapesNet(load("blendshapes", threads=threads))
            if blendshapes
            else None,
            appearance=load_appearance(threads=threads) if appearance else None,
            targets=targets,
            single_image=single_image,
        )

    def restart(self, *, single_image: bool = False) -> None:
        """Forgets all faces, so that another clip can follow.

        The results are then those of a newly made ``Perception``: ids start at 1, and the person
        and the neutral face belong to the first face again. ``single_image`` is as in the class.
        """
        self._single_image = single_image
        self._tracker.reset(restart_ids=True)
        self._forget()

    def process(self, frame: Frame) -> FrameResult:
        """Returns the results of one frame.

        Raises InputError if the image is not RGB uint8 or has another size than its camera.
        """
        stamp = frame.stamp
        if self._single_image:
            frame, faces, gazes = self._process_still(frame)
        else:
            faces = self._tracker.track(frame)
            gazes = estimate_gazes(self._gaze, frame, faces)
        ids = [face.face_id for face in faces]
        self._gaze.keep(ids, stamp)
        if faces and not self._main_face:
            self._main_face = _largest(faces).face_id
            if self._people is not None and self._person:
                self._people.link(self._main_face, self._person)
        if self._people is not None:
            gazes = self._people.update(stamp, frame.camera, faces, gazes)
        blendshapes = self._blendshapes.estimate(faces) if self._blendshapes else []
        crops = [crop_face(frame.image, face) for face in faces]
        mouths = [mouth_visibility(crop) for crop in crops]
        affects = self._affect.estimate(stamp, crops, mouths)
        units = [affect.units for affect in affects if affect.units is not None]
        return FrameResult(
            stamp=stamp,
            camera=frame.camera,
            faces=tuple(faces),
            gazes=tuple(gazes),
            action_units=tuple(units or self._units(stamp, faces, blendshapes, crops, mouths)),
            expressions=tuple(affect.expression for affect in affects),
            valence_arousal=tuple(affect.valence_arousal for affect in affects),
            attention=self._attend(stamp, faces, gazes),
            blendshapes=tuple(blendshapes),
        )

    def _attend(
        self, stamp: float, faces: Sequence[Face], gazes: Sequence[Gaze]
    ) -> tuple[Attention, ...]:
        looks = self._attention.update(stamp, faces, gazes, objects=self._targets)
        speaking = self.who_speaks.update(stamp, faces)
        return tuple(
            replace(found, speaking=speaking[found.face_id], speaking_source=self.who_speaks.source)
            for found in looks
        )

    def set_neutral_from(self, frames: Iterable[Frame]) -> None:
        """Sets the neutral face to the median over the largest face of each frame.

        The neutral face is used as described in the class. The tracked faces are not affected.
        Leaves out frames in which the head is turned away, the eyes are closed or the mouth is
        hidden. Raises InputError if no frame is left, with the most frequent reason.
        """
        measures: list[FaceMeasures | None] = []
        reasons: Counter[str] = Counter()
        for frame in frames:
            measured, reason = self._measure(frame)
            measures.append(measured)
            reasons[reason] += 1
        if not any(measures):
            reason = reasons.most_common(1)[0][0] if reasons else "it has no frames"
            raise InputError(f"{reason}: give a picture of a neutral face that looks ahead")
        self._neutral = median_measures(measures)

    def _measure(self, frame: Frame) -> tuple[FaceMeasures | None, str]:
        """Returns the measures of the largest face, or None and why it cannot be neutral."""
        faces = self._tracker.detect(frame)
        if not faces:
            return None, "no face was found"
        face = _largest(faces)
        crop = crop_face(frame.image, face)
        seen = mouth_visibility(crop) >= HIDDEN_BELOW
        if reason := why_not_neutral(face, mouth_seen=seen, closed_above=_CLOSED):
            return None, reason
        measures = measure_face(
            face,
            self._blendshapes.estimate([face])[0] if self._blendshapes else None,
            self._appearance.estimate([crop])[0] if self._appearance else None,
        )
        return measures, "" if measures else "the face cannot be measured"

    def _units(
        self,
        stamp: float,
        faces: Sequence[Face],
        blendshapes: Sequence[Blendshapes],
        crops: Sequence[FaceCrop],
        mouths: Sequence[float],
    ) -> list[ActionUnits]:
        units_of, ids = self._action_units, [face.face_id for face in faces]
        units_of.keep(ids, stamp)
        is_set = units_of.neutral(self._main_face) == Neutral.SET
        if self._neutral is not None and self._main_face in ids and not is_set:
            units_of.set_neutral(self._main_face, self._neutral)
        shapes = {found.face_id: found for found in blendshapes}
        looks: dict[str, dict[int, float]] = {}
        if self._appearance is not None:
            looks = dict(zip(ids, self._appearance.estimate(crops), strict=True))
        return [
            units_of.estimate(
                face,
                stamp,
                shapes.get(face.face_id),
                looks.get(face.face_id),
                mouth_seen=mouth >= HIDDEN_BELOW,
            )
            for face, mouth in zip(faces, mouths, strict=True)
        ]

    def _process_still(self, frame: Frame) -> tuple[Frame, list[Face], list[Gaze]]:
        """Returns a picture with its plausible camera, its faces and their gazes.

        Head pose and gaze are the means over the picture and its mirror image.
        """
        self._forget()
        faces = self._tracker.detect(frame)
        camera = plausible_camera(frame.camera, faces)
        if camera is not frame.camera:
            frame, faces = replace(frame, camera=camera), recompute_for_camera(camera, faces)
        gazes = estimate_gazes(self._gaze, frame, faces)
        reverse = flip_averaging.mirror_frame(frame)
        others = flip_averaging.match_mirrored_faces(
            faces, self._tracker.detect(reverse) if faces else [], frame.camera
        )
        self._gaze.reset()
        pairs = [(i, other) for i, other in enumerate(others) if other is not None]
        seen = estimate_gazes(self._gaze, reverse, [other for _, other in pairs])
        for (i, other), gaze in zip(pairs, seen, strict=True):
            gazes[i] = flip_averaging.average_gazes(gazes[i], gaze)
            faces[i] = replace(
                faces[i], pose=flip_averaging.average_poses(faces[i].pose, other.pose)
            )
        return frame, faces, gazes

    def _forget(self) -> None:
        for memory in self._memories:
            memory.reset()
        self.who_speaks.reset()
        self._main_face = ""
        if self._people is not None:
            self._people.reset()


def _largest(faces: Sequence[Face]) -> Face:
    return max(faces, key=lambda face: face.roi.width * face.roi.height)
