"""Estimates gaze with a network that takes pictures of a face.

GEDDnet takes gray crops of the face and both eyes from the normalized camera, Dilated-Net only the
eyes, others the eyes and what landmarks tell, and imported ONNX files one colour picture of the
face. The inputs of the model tell which.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from face_perception.gaze.card_prior import prior_of_card
from face_perception.gaze.eyeballs import (
    EyeReading,
    added_sigma,
    facing_cosine,
    gaze_origin,
    read_eyes,
    select_open,
    usable_pose,
    visibility_of_eyes,
)
from face_perception.gaze.face_pictures import PICTURE, make_face_picture, picture_of
from face_perception.gaze.gaze_memory import GazeMemory, GazeSettings
from face_perception.gaze.network_crops import (
    EYE_SHAPE,
    FACE_SIDE,
    CropsUnavailable,
    make_gaze_crops,
)
from face_perception.gaze.network_measures import GAZE_MEASURES, measure_gaze_of_eyes
from face_perception.gaze.normalized_camera import from_normalized_angles
from face_perception.inference import Card, Model, ModelError, infer_batch
from face_perception.types import Face, FloatArray, Frame, Gaze, HeadPose

# Shapes of the inputs that a gaze network may have: gray crops, histogram equalised, 0 to 255.
_CROPS: Mapping[str, tuple[int | None, ...]] = {
    "face": (None, 1, FACE_SIDE, FACE_SIDE),
    "left_eye": (None, 1, *EYE_SHAPE),
    "right_eye": (None, 1, *EYE_SHAPE),
}
# An input besides the crops, and an output besides the gaze, which a network may have.
_MEASURES, _SIGMA = "measures", "sigma"
_INPUTS = {**_CROPS, _MEASURES: (None, len(GAZE_MEASURES))}
_OUTPUT, _ANGLES = "gaze", (None, 2)


@dataclass(frozen=True, slots=True)
class _Inputs:
    """Inputs of one face by name, and the axes [3, 3] that the network's angles are in."""

    rotation: FloatArray
    arrays: dict[str, FloatArray]


@dataclass(frozen=True, slots=True)
class _Answer:
    """Direction [3] in the optical frame; standard deviations, radians, NaN if not told."""

    direction: FloatArray
    pitch_sigma: float
    yaw_sigma: float


class NetworkGaze(GazeMemory):
    """Estimates the gaze of faces with a network such as GEDDnet or Dilated-Net.

    All faces of a frame go through the network in one batch.

    ``model`` takes one or more of ``face`` [N, 1, 96, 96], ``left_eye`` and ``right_eye``
    [N, 1, 64, 96] (float32, gray, histogram equalised, 0 to 255) and returns ``gaze`` [N, 2]: pitch
    (positive up) and yaw (positive to the image's left), radians, in the normalized camera of each
    face. It may also take ``measures`` [N, 7] (float32, see ``GAZE_MEASURES``) and return ``sigma``
    [N, 2], the standard deviations of pitch and yaw, radians. Instead of all these it may take
    ``picture`` [N, size, size, 3] (float32, RGB, 0 to 255), which the fact ``picture`` of its card
    describes; that also states the axes of its angles.

    While both eyes are closed or the head is turned away, ``valid`` is false and the last direction
    is held, as in ``GeometricGaze``. The same happens if an input cannot be made. ``refused`` has
    the reasons for the last frame, by face id. ``settings`` None means the defaults of
    ``GazeSettings``.

    ``prior`` is that in the fact ``prior`` of the card (values of ``EstimatorPrior`` by name), or
    ``NETWORK_PRIOR``.

    Raises inference.ModelError if ``model`` does not have these inputs and outputs, or if the prior
    of its card is wrong.

    After ``face-perception import geddnet FILE``:

    >>> from face_perception.faces import load_tracker
    >>> from face_perception.inference import load, sample_photo
    >>> from face_perception.media import FrameReader
    >>> with FrameReader(sample_photo("astronaut")) as clip:
    ...     (frame,) = clip
    >>> estimator = NetworkGaze(load("geddnet"))
    >>> (gaze,) = estimator.estimate(frame, load_tracker().detect(frame))
    >>> gaze.source, gaze.valid
    ('geddnet', True)
    """

    def __init__(self, model: Model, settings: GazeSettings | None = None) -> None:
        super().__init__(settings)
        _check(model)
        self._model = model
        self._cut = picture_of(model.card) if PICTURE in model.inputs else None
        self.prior = prior_of_card(model.card)
        self.name = model.name
        self.refused: Mapping[str, str] = {}

    @property
    def revision(self) -> str:
        """Revision of the estimator: the SHA-256 of the weights."""
        return self._model.card.sha256

    def estimate(self, frame: Frame, faces: Sequence[Face]) -> list[Gaze]:
        """Returns the gazes of the ``faces`` in ``frame``, in their order.

        Call it once for each frame. ``origin`` is that of ``GeometricGaze``; ``direction`` is NaN
        if it is not known and there is no earlier one. Raises InputError if the image does not have
        the size of its camera or for an unknown distortion model of the lens, and
        inference.ModelError if the network fails.
        """
        refused: dict[str, str] = {}
        blanks, inputs = [], {}
        for face in faces:
            level = self.update_openness(face, frame.stamp)
            pose = usable_pose(face)
            readings = [] if pose is None else read_eyes(frame.camera, face, pose)
            open_eyes = select_open(readings, level)
            front = 0.0 if pose is None else facing_cosine(pose)
            if pose is not None and open_eyes and front >= self.min_facing:
                try:
                    inputs[face.face_id] = self._inputs_of(frame, face, pose, open_eyes)
                except CropsUnavailable as error:
                    refused[face.face_id] = str(error)
            elif pose is not None and not readings:
                refused[face.face_id] = "its eyes are outside the image"
            blanks.append(
                Gaze(
                    face_id=face.face_id,
                    origin=np.full(3, np.nan) if pose is None else gaze_origin(readings, pose),
                    direction=np.full(3, np.nan),
                    confidence=face.confidence * front * visibility_of_eyes(open_eyes),
                    valid=False,
                    source=self.name,
                    eyes=self.eye_state(
                        face.face_id,
                        frame.stamp,
                        seen=bool(readings) and front >= self.min_facing,
                        opened=bool(open_eyes) and front >= self.min_facing,
                    ),
                    yaw_sigma=math.hypot(self.prior.yaw.sigma, added_sigma(open_eyes, front)),
                    pitch_sigma=math.hypot(self.prior.pitch.sigma, added_sigma(open_eyes, front)),
                    yaw_gain=self.prior.yaw.scale,
                    pitch_gain=self.prior.pitch.scale,
                    yaw_gain_sigma=self.prior.yaw.scale_sigma,
                    pitch_gain_sigma=self.prior.pitch.scale_sigma,
                )
            )
        self.refused = refused
        seen = self._answers(inputs)
        return [self._remembered(gaze, frame.stamp, seen.get(gaze.face_id)) for gaze in blanks]

    def _inputs_of(
        self, frame: Frame, face: Face, pose: HeadPose, open_eyes: list[EyeReading]
    ) -> _Inputs:
        """Returns what the network takes of one face. Raises CropsUnavailable."""
        if self._cut is not None:
            picture, axes = make_face_picture(frame.image, frame.camera, face, pose, self._cut)
            return _Inputs(axes, {PICTURE: picture.astype(np.float32)})
        names = [name for name in self._model.inputs if name in _CROPS]
        made = make_gaze_crops(frame.image, frame.camera, face, names)
        arrays = {name: crop[None].astype(np.float32) for name, crop in made.crops.items()}
        if _MEASURES in self._model.inputs:
            arrays[_MEASURES] = measure_gaze_of_eyes(face, pose, open_eyes, made.rotation)
            if not np.isfinite(arrays[_MEASURES]).all():
                raise CropsUnavailable("the landmarks of its eyes are not known")
        return _Inputs(made.rotation, arrays)

    def _answers(self, inputs: Mapping[str, _Inputs]) -> dict[str, _Answer]:
        """Returns what the network tells about each face."""
        if not inputs:
            return {}
        found = infer_batch(
            self._model,
            {
                name: np.stack([face.arrays[name] for face in inputs.values()])
                for name in self._model.inputs
            },
        )
        angles = np.asarray(found[_OUTPUT], np.float64)
        sigmas = np.asarray(found.get(_SIGMA, np.full_like(angles, np.nan)), np.float64)
        answers = {}
        for (face_id, face), (pitch, yaw), sigma in zip(
            inputs.items(), angles, sigmas, strict=True
        ):
            if np.isfinite((pitch, yaw)).all():
                # The vector of the network points towards the eyes, so its yaw has the opposite
                # sign.
                direction = from_normalized_angles(face.rotation, -float(yaw), float(pitch))
                answers[face_id] = _Answer(direction, float(sigma[0]), float(sigma[1]))
        return answers

    def _remembered(self, gaze: Gaze, stamp: float, answer: _Answer | None) -> Gaze:
        if answer is not None:
            smooth = self.smooth_direction(gaze.face_id, stamp, answer.direction)
            gaze = replace(gaze, direction=smooth, valid=True)
            if math.isfinite(answer.pitch_sigma + answer.yaw_sigma):
                gaze = replace(gaze, pitch_sigma=answer.pitch_sigma, yaw_sigma=answer.yaw_sigma)
            return gaze
        held = self.last_direction(gaze.face_id)
        return replace(gaze, direction=gaze.direction if held is None else held, confidence=0.0)


def is_gaze_network(model: Card | Model) -> bool:
    """Returns whether the inputs and outputs are those of a gaze network (see ``NetworkGaze``)."""
    inputs = {name: port.shape for name, port in model.inputs.items()}
    outputs = {name: port.shape for name, port in model.outputs.items()}
    return (
        bool(inputs)
        and (_takes_picture(inputs) or all(_INPUTS.get(n) == shape for n, shape in inputs.items()))
        and all(port.dtype == "float32" for port in model.inputs.values())
        and outputs.get(_OUTPUT, ())[1:] == _ANGLES[1:]
    )


def _check(model: Model) -> None:
    """Raises ModelError if the inputs and outputs are not those of a gaze network."""
    if is_gaze_network(model):
        return
    inputs = {name: port.shape for name, port in model.inputs.items()}
    outputs = {name: port.shape for name, port in model.outputs.items()}
    raise ModelError(
        f"model {model.name} is not a gaze network: it takes {_listed(inputs)} and returns "
        f"{_listed(outputs)}; a gaze network takes one or more of {_listed(_INPUTS)}, or "
        f"{PICTURE} [N, size, size, 3] alone, and returns {_listed({_OUTPUT: _ANGLES})}. Use "
        "geometric, or a network made with `face-perception import geddnet`, `dilated-net` or "
        "`onnx`"
    )


def _takes_picture(inputs: Mapping[str, tuple[int | None, ...]]) -> bool:
    shape = inputs.get(PICTURE, ())
    return len(inputs) == 1 and len(shape) == 4 and shape[3] == 3 and shape[1] == shape[2]


def _listed(ports: Mapping[str, tuple[int | None, ...]]) -> str:
    return ", ".join(
        f"{name} [{', '.join('N' if size is None else str(size) for size in shape)}]"
        for name, shape in ports.items()
    )
