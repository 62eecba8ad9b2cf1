"""Everything that is perceived of one image, in one process: what the nodes do, without ROS."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from dataclasses import replace

from face_perception.affect import (
    BlendshapesNet,
    ExpressionNet,
    ExpressionSmoother,
    FaceMeasures,
    LandmarkActionUnits,
    derive_valence_arousal,
    measure_face,
    median_measures,
)
from face_perception.attention import AttentionTracker
from face_perception.errors import InputError
from face_perception.faces import (
    MAX_FACES,
    FaceTracker,
    FaceTrackerSettings,
    crop_face,
    flip_averaging,
    load_tracker,
    plausible_camera,
    recompute_for_camera,
)
from face_perception.gaze import GEOMETRIC, GazeEstimator, estimate_gazes, load_gaze
from face_perception.inference import load
from face_perception.people import CalibrationStore, PersonRegistry, calibrations_dir
from face_perception.results import FrameResult
from face_perception.types import ActionUnits, Blendshapes, Face, Frame, Gaze, Neutral


class Perception:
    """Tracker, gaze, affect and attention in one, on a stream of frames. For one thread.

    ``people`` calibrate the gaze of the faces that are linked to them, and give eye contact.
    ``person``, where one is named, is the largest face of the first image that shows one; with that
    face's id the link ends, and nobody else is linked: a newcomer may be somebody else. Likewise
    ``neutral`` is taken as the neutral face of that face only.

    With ``single_image`` every frame stands on its own: a face counts at once, none is followed,
    head pose and gaze are means of the image and its mirror image (see ``faces.flip_averaging``),
    and an assumed camera gets a longer lens if a face is too large for it (see
    ``faces.plausible_camera``).
    """

    def __init__(
        self,
        tracker: FaceTracker,
        gaze: GazeEstimator,
        action_units: LandmarkActionUnits,
        expressions: ExpressionNet,
        smooth_expressions: ExpressionSmoother,
        attention: AttentionTracker,
        *,
        people: PersonRegistry | None = None,
        person: str = "",
        neutral: FaceMeasures | None = None,
        blendshapes: BlendshapesNet | None = None,
        single_image: bool = False,
    ) -> None:
        self._tracker = tracker
        self._memories = (gaze, action_units, smooth_expressions, attention)
        self._single_image = single_image
        self._gaze = gaze
        self._people = people
        self._person = person
        self._neutral = neutral
        self._known = ""  # id of the face that ``person`` and ``neutral`` belong to
        self._blendshapes = blendshapes
        self._action_units = action_units
        self._expressions = expressions
        self._smooth_expressions = smooth_expressions
        self._attention = attention

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
    ) -> Perception:
        """On the default models and settings; ``threads`` for each network. ``gaze`` is
        ``geometric``, or a gaze network by the name or path of its card. ``people`` is where
        calibrations are (the user's), ``person`` whose is used. ``max_faces`` is the largest number
        of faces. ``neutral`` is the neutral face of the largest face (``affect.median_measures``).
        ``blendshapes`` also estimates blendshapes.

        Raises inference.ModelError where a model is missing, naming the command that fetches it,
        and InputError for a person who is not calibrated for ``gaze``, or an id that can be none.
        """
        estimator = load_gaze(gaze, threads=threads)
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
        return cls(
            load_tracker(FaceTrackerSettings(max_faces=max_faces), threads=threads),
            estimator,
            LandmarkActionUnits(),
            ExpressionNet(load("expression", threads=threads)),
            ExpressionSmoother(),
            AttentionTracker(),
            people=known,
            person=person,
            neutral=neutral,
            blendshapes=BlendshapesNet(load("blendshapes", threads=threads))
            if blendshapes
            else None,
            single_image=single_image,
        )

    def process(self, frame: Frame) -> FrameResult:
        """Everything about one frame. Raises InputError for an image that is not RGB uint8 or of
        another size than its camera.
        """
        stamp = frame.stamp
        if self._single_image:
            frame, faces, gazes = self._look_twice(frame)
        else:
            faces = self._tracker.track(frame)
            gazes = estimate_gazes(self._gaze, frame, faces)
        ids = [face.id for face in faces]
        self._gaze.keep(ids, stamp)
        if faces and not self._known:
            self._known = _largest(faces).id
            if self._people is not None and self._person:
                self._people.link(self._known, self._person)
        if self._people is not None:
            gazes = self._people.update(stamp, frame.camera, faces, gazes)
        blendshapes = self._blendshapes.estimate(faces) if self._blendshapes else []
        units = self._units(stamp, faces, blendshapes)
        crops = [crop_face(frame.image, face) for face in faces]
        expressions = self._smooth_expressions(self._expressions.estimate(crops), stamp)
        return FrameResult(
            stamp=stamp,
            camera=frame.camera,
            faces=tuple(faces),
            gazes=tuple(gazes),
            action_units=tuple(units),
            expressions=tuple(expressions),
            valence_arousal=tuple(derive_valence_arousal(found) for found in expressions),
            attention=tuple(self._attention.update(stamp, faces, gazes)),
            blendshapes=tuple(blendshapes),
        )

    def set_neutral_from(self, frames: Iterable[Frame]) -> None:
        """Take the largest face of other images as the neutral face of ``person`` (see there): the
        median of its measures. What is followed is left alone.

        Measures the largest face of each frame. Does not affect the faces that are followed. Raises
        InputError if no face can be measured in any frame.
        """
        self._neutral = median_measures(self._measure(frame) for frame in frames)

    def _measure(self, frame: Frame) -> FaceMeasures | None:
        faces = [face for face in self._tracker.detect(frame) if face.pose is not None]
        if not faces:
            return None
        face = _largest(faces)
        return measure_face(
            face, self._blendshapes.estimate([face])[0] if self._blendshapes else None
        )

    def _units(
        self, stamp: float, faces: Sequence[Face], blendshapes: Sequence[Blendshapes]
    ) -> list[ActionUnits]:
        units_of, ids = self._action_units, [face.id for face in faces]
        units_of.keep(ids, stamp)
        is_set = units_of.neutral(self._known) == Neutral.SET
        if self._neutral is not None and self._known in ids and not is_set:
            units_of.set_neutral(self._known, self._neutral)
        shapes = {found.face_id: found for found in blendshapes}
        return [units_of.estimate(face, stamp, shapes.get(face.id)) for face in faces]

    def _look_twice(self, frame: Frame) -> tuple[Frame, list[Face], list[Gaze]]:
        """A still, with its plausible camera, and its faces and gazes.

        Head pose and gaze are means of the still and its mirror image.
        """
        for memory in self._memories:
            memory.reset()
        self._known = ""
        if self._people is not None:
            for face_id in self._people.linked_persons():
                self._people.link(face_id, "")
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


def _largest(faces: Sequence[Face]) -> Face:
    return max(faces, key=lambda face: face.roi.width * face.roi.height)
