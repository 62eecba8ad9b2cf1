"""gaze node: faces to gaze. The geometric estimator needs no pixels; a network reads images too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from face_perception import msg
from face_perception.gaze import GEOMETRIC, EyeContact, GazeEstimator, GeometricGaze, NetworkGaze
from face_perception.inference import Model
from face_perception.nodes.gaze.calibration_server import CalibrateAction, GazeCalibration
from face_perception.nodes.gaze.network_worker import ImageGaze
from face_perception.people import CalibrationStore, PersonRegistry, calibrations_dir
from face_perception.ros import messages
from face_perception.ros import network_parameters as networks
from face_perception.ros.driver import PerceptionNode
from face_perception.ros.parameters import parameter, settings
from face_perception.ros.process import run
from face_perception.ros.qos import RELIABILITY, SensorSubscription
from face_perception.types import Camera, Face, Gaze


@dataclass(frozen=True)
class GazeParameters(networks.NetworkParameters):
    """Parameters of the gaze node."""

    model: str = parameter(
        GEOMETRIC,
        "Estimator: `geometric` (from landmarks), or a gaze network, which reads `image` as well: "
        "the name of a model card, such as `geddnet` or `dilated_net`, or the path of one.",
    )
    qos: str = parameter(
        "auto",
        "Reliability of a network's image subscription; auto: reliable where every publisher "
        "offers it.",
        choices=RELIABILITY,
    )
    compressed: bool = parameter(False, "A network reads image/compressed instead of image.")
    blink_level: float = parameter(
        0.75,
        "An eye is blinking below this openness, relative to the person's usual openness. The last "
        "gaze is then held.",
        minimum=0.0,
        maximum=1.0,
    )
    closed_level: float = parameter(
        0.5,
        "Eyes that stay below this openness for longer than a blink (0.4 s) are closed. Eyes that "
        "stay between this and blink_level are lowered for a look down.",
        minimum=0.0,
        maximum=1.0,
    )
    max_turn: float = parameter(
        1.05,
        "Turn of the head against the line of sight beyond which no eye is used, rad.",
        minimum=0.0,
        maximum=1.57,
    )
    min_cutoff: float = parameter(
        1.0,
        "Smoothing (one-euro) of a still gaze, Hz; less is smoother.",
        minimum=0.01,
        maximum=100.0,
    )
    beta: float = parameter(
        3.0,
        "How fast the smoothing yields to movement; more is faster.",
        minimum=0.0,
        maximum=100.0,
    )
    max_gap: float = parameter(
        0.5,
        "Time without a face after which its smoothing begins anew, s.",
        minimum=0.0,
        maximum=60.0,
    )
    people: str = parameter(
        "",
        "Folder of people's calibrations; empty: face_perception/people in the user's data folder.",
    )
    eye_contact_prior: float = parameter(
        0.5,
        "Prior: share of the time that people look at the camera. A lower value gives fewer false "
        "alarms of eye contact and misses more of it.",
        minimum=0.001,
        maximum=0.999,
    )
    eye_contact_radius: float = parameter(
        0.06,
        "A look that ends within this distance of the lens is eye contact, m. At most 4 degrees as "
        "seen from the eyes.",
        minimum=0.001,
        maximum=10.0,
    )


# Not the estimator's.
_PEOPLE = ("people", "eye_contact_prior", "eye_contact_radius")
_NODES = ("model", "qos", "compressed", *networks.NAMES, *_PEOPLE)


class GazeNode(PerceptionNode[GazeParameters]):
    """Reads ``faces``, and ``image`` for a network; publishes ``gaze``."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__("gaze", GazeParameters, **kwargs)
        self._count = 0
        self._network: Model | None = None
        self._action: CalibrateAction | None = None
        self._people: GazeCalibration | None = None
        self._faces: SensorSubscription | None = None
        self._images: ImageGaze | None = None

    def setup(self) -> None:
        own = settings(self.values, without=_NODES)
        self._estimator: GazeEstimator
        if self.values.model == GEOMETRIC:
            self._network = None
            self._estimator = GeometricGaze(**own)
        else:
            self._network = networks.Loading(self).load(self.values.model)
            self._estimator = NetworkGaze(self._network, **own)
        self._people = GazeCalibration(self, self._load_people())
        if self._action is None:
            self._action = CalibrateAction(self)
        self._action.calibration = self._people
        self._gaze = self.publisher(msg.GazeArray, "gaze")

    def start(self) -> None:
        if isinstance(self._estimator, NetworkGaze):
            self._images = ImageGaze(
                self,
                self._estimator,
                self._found,
                compressed=self.values.compressed,
                reliability=self.values.qos,
                wanted=self._wanted,
            )
        self._faces = SensorSubscription(
            self,
            msg.FaceArray,
            "faces",
            self.guarded(self._received),
            depth=10,
            hint="start face_tracker, or remap the topic to its `faces`",
            wanted=self._wanted,
        )

    def stop(self) -> None:
        if self._faces is not None:
            self._faces.destroy()
            self._faces = None
        if self._images is not None:
            self._images.destroy()
            self._images = None
        if self._people is not None:
            self._people.stop()

    def release(self) -> None:
        if self._people is not None:
            self._people.destroy()
            self._people = None
        if self._action is not None:
            self._action.calibration = None

    def destroy_node(self) -> None:
        # Not in close: a node that is told to shut down has results to send yet.
        if self._action is not None:
            self._action.destroy()
            self._action = None
        super().destroy_node()

    def _load_people(self) -> PersonRegistry:
        values = self.values
        folder = Path(values.people).expanduser() if values.people else calibrations_dir()
        return PersonRegistry(
            CalibrationStore(folder, self.get_logger().warning),
            {self._estimator.name: self._estimator.revision},
            priors={self._estimator.name: self._estimator.prior},
            eye_contact=EyeContact(values.eye_contact_prior, values.eye_contact_radius),
        )

    def report(self) -> tuple[str, dict[str, str]]:
        problems = [self._faces.status if self._faces else ""]
        values = {"faces": str(self._count), "model": self.values.model}
        if self._images is not None:
            problems.append(self._images.status)
            values["without image"] = str(self.statistics.total("without image"))
            values["not seen"] = self._images.refused
        if self._network is not None:
            fallen, models = networks.report([self._network])
            problems.append(fallen)
            values.update(models)
        return "; ".join(filter(None, problems)), values

    def _wanted(self) -> bool:
        return self.heard(self._gaze) or (self._people is not None and self._people.busy)

    def _received(self, message: Any) -> None:
        self.count("input faces")
        if self._images is not None:
            self._images.add_faces(message)
        elif isinstance(self._estimator, GeometricGaze):
            faces, camera = messages.faces_from_msg(message)
            stamp = messages.seconds(message.header.stamp)
            gazes = [self._estimator.estimate(camera, face, stamp) for face in faces]
            self._estimator.keep([face.id for face in faces], stamp)
            self._found(message.header, camera, faces, gazes)

    def _found(self, header: Any, camera: Camera, faces: Sequence[Face], gazes: list[Gaze]) -> None:
        """The gazes of one image: of a network on its worker's thread."""
        if self._people is not None:
            gazes = self._people.update(header, camera, faces, gazes)
        self._count = len(faces)
        out = msg.GazeArray(header=header, gazes=[messages.gaze_to_msg(gaze) for gaze in gazes])
        self.publish(self._gaze, out, header)


def main(args: list[str] | None = None) -> int:
    return run(GazeNode, args)
