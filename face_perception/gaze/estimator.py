"""Loads a gaze estimator by name and runs it on a frame, without ROS."""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType

from face_perception.gaze.geometric import GEOMETRIC, GeometricGaze
from face_perception.gaze.network import NetworkGaze, is_gaze_network
from face_perception.inference import Purpose, load, log_terms
from face_perception.types import Face, Frame, Gaze

GazeEstimator = GeometricGaze | NetworkGaze

SMALL_GAZE = "small_gaze"  # the network that the package contains
GAZE_NETWORKS = Purpose(
    is_gaze_network,
    "`face-perception import geddnet`, `dilated-net` or `onnx`",
    MappingProxyType({SMALL_GAZE: "resources/gaze/small_gaze.yaml"}),
    (GEOMETRIC,),
)


def load_gaze(name: str = GEOMETRIC, *, threads: int = 1) -> GazeEstimator:
    """Returns the estimator ``geometric``, or the gaze network of a card's name or path.

    ``small_gaze`` is a network that the package contains. ``threads`` is the number of CPU threads
    of the network. Raises inference.ModelError if there is no such model or it is not a gaze
    network.

    >>> estimator = load_gaze()
    >>> estimator.name, estimator.prior.pitch.scale  # looks up and down are underestimated
    ('geometric', 0.39)
    """
    if name == GEOMETRIC:
        return GeometricGaze()
    model = load(name, GAZE_NETWORKS, threads=threads)
    log_terms(model.card.terms)
    return NetworkGaze(model)


def estimate_gazes(estimator: GazeEstimator, frame: Frame, faces: Sequence[Face]) -> list[Gaze]:
    """Returns the gazes of the ``faces`` in ``frame``, in their order.

    Call it once for each frame, because estimators smooth over time. Raises what ``estimate`` of
    the estimator raises.
    """
    if isinstance(estimator, NetworkGaze):
        return estimator.estimate(frame, faces)
    return [estimator.estimate(frame.camera, face, frame.stamp) for face in faces]
