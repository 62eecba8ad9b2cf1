"""Any gaze estimator by its name, and one way to ask it about a frame; for those without ROS."""

from __future__ import annotations

from collections.abc import Sequence

from face_perception.gaze.geometric import GEOMETRIC, GeometricGaze
from face_perception.gaze.network import NetworkGaze
from face_perception.inference import load
from face_perception.types import Face, Frame, Gaze

GazeEstimator = GeometricGaze | NetworkGaze


def load_gaze(name: str = GEOMETRIC, *, threads: int = 1) -> GazeEstimator:
    """The estimator: ``geometric``, or a gaze network by its card's name or path.

    Raises inference.ModelError where there is no such network, or it is none for gaze.
    """
    if name == GEOMETRIC:
        return GeometricGaze()
    return NetworkGaze(load(name, threads=threads))


def estimate_gazes(estimator: GazeEstimator, frame: Frame, faces: Sequence[Face]) -> list[Gaze]:
    """Gazes of the ``faces`` of ``frame``, in their order; once a frame.

    Raises what the estimator raises.
    """
    if isinstance(estimator, NetworkGaze):
        return estimator.estimate(frame, faces)
    return [estimator.estimate(frame.camera, face, frame.stamp) for face in faces]
