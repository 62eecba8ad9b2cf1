"""The gaze node: publishes the gaze of faces, geometric or by a network that reads images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from face_perception.action import CalibrateGaze
from face_perception.gaze import (
    GAZE_NETWORKS,
    GEOMETRIC,
    EyeContact,
    EyeContactSettings,
    GazeEstimator,
    GazeSettings,
    GeometricGaze,
    NetworkGaze,
)
from face_perception.inference import Model, NetworkSettings
from face_perception.nodes.gaze.calibration_server import GazeCalibration, refused_goal
from face_perception.nodes.gaze.network_worker import ImageGaze
from face_perception.paths import expanded
from face_perception.people import CalibrationStore, PersonRegistry, calibrations_dir
from face_perception.ros import messages, result_kinds
from face_perception.ros.driver import PerceptionNode
from face_perception.ros.goal_server import GoalServer
from face_perception.ros.image_input import ImageParameters
from face_perception.ros.network_loading import NetworkLoader, network_diagnostics
from face_perception.ros.result_kinds import Result
from face_perception.settings import setting
from face_perception.types import Camera, Face, Gaze


@dataclass(frozen=True)
class _Estimator(NetworkSettings):
    model: str = setting(
        GEOMETRIC,
        "Estimator: `geometric` (from landmarks), `small_gaze` (a small network that the package "
        "contains), or the name or path of the model card of another gaze network, such as "
        "`geddnet` or `dilated_net`. Networks read `image` as well.",
    )


@dataclass(frozen=True)
class GazeParameters(EyeContactSettings, GazeSettings, ImageParameters, _Estimator):
    """Parameters of the gaze node."""

    people: str = setting(
        "",
        "Folder of the calibrations of people. Empty: face_perception/people in the user's data "
        "folder.",
    )
    extend_calibrations: bool = setting(
        False,
        "A new calibration of a person adds its targets to the earlier ones, so that the robot can "
        "go on learning whenever it knows what the person looks at. Otherwise it replaces them.",
    )


class GazeNode(PerceptionNode[GazeParameters]):
    """Reads ``faces``, and ``image`` for a network; publishes ``gaze``."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__("gaze", GazeParameters, **kwargs)
        self._count = 0
        self._network: Model | None = None
        self._action: GoalServer | None = None

    def setup(self) -> None:
        self._estimator: GazeEstimator
        if self.values.model == GEOMETRIC:
            self._network = None
            self._estimator = GeometricGaze(self.values)
        else:
            self._network = NetworkLoader(self).load(self.values.model, GAZE_NETWORKS)
            self._estimator = NetworkGaze(self._network, self.values)
        self._registry = self._load_people()
        self._people = GazeCalibration(self, self._registry)
        if self._action is None:
            self._action = GoalServer(self, CalibrateGaze, "~/calibrate", refused_goal)
        self._action.attach(self._people.accept)
        self._gaze = self.publisher(result_kinds.GAZES, "gaze")

    def start(self) -> None:
        self.on_end(self._people.cancel_goals)
        self._images: ImageGaze | None = None
        if isinstance(self._estimator, NetworkGaze):
            self._images = ImageGaze(
                self,
                self._estimator,
                self._publish_gazes,
                compressed=self.values.compressed,
                reliability=self.values.qos,
                wanted=self._wanted,
            )
        self._faces = self.subscribe(
            result_kinds.FACES,
            "faces",
            self._on_faces,
            depth=10,
            wanted=self._wanted,
        )

    def _load_people(self) -> PersonRegistry:
        values = self.values
        folder = expanded(values.people) if values.people else calibrations_dir()
        return PersonRegistry(
            CalibrationStore(folder, self.get_logger().warning),
            {self._estimator.name: self._estimator.revision},
            priors={self._estimator.name: self._estimator.prior},
            eye_contact=_eye_contact(values),
            extend=values.extend_calibrations,
        )

    def change_values(self, values: GazeParameters) -> None:
        self._estimator.change_settings(values)
        self._registry.eye_contact = _eye_contact(values)

    def diagnostics(self) -> tuple[str, dict[str, str]]:
        problems = [self._faces.status]
        values = {"faces": str(self._count), "model": self.values.model}
        if self._images is not None:
            problems.append(self._images.status)
            values["without image"] = str(self.statistics.total("without image"))
            values["not seen"] = self._images.refused
        if self._network is not None:
            fallback, models = network_diagnostics([self._network])
            problems.append(fallback)
            values.update(models)
        return "; ".join(filter(None, problems)), values

    def _wanted(self) -> bool:
        return self.has_subscribers(self._gaze) or self._people.busy

    def _on_faces(self, result: Result[Face]) -> None:
        self.count("input faces")
        if self._images is not None:
            self._images.add_faces(result)
        elif isinstance(self._estimator, GeometricGaze):
            faces, camera = result.values, result.camera
            assert camera is not None  # faces have one
            stamp = messages.seconds(result.header.stamp)
            gazes = [self._estimator.estimate(camera, face, stamp) for face in faces]
            self._estimator.keep([face.face_id for face in faces], stamp)
            self._publish_gazes(result.header, camera, faces, gazes)

    def _publish_gazes(
        self, header: Any, camera: Camera, faces: Sequence[Face], gazes: Sequence[Gaze]
    ) -> None:
        """Publishes the gazes of one image; called on the worker's thread if a network runs."""
        gazes = self._people.update(header, camera, faces, gazes)
        self._count = len(faces)
        self.publish(self._gaze, Result(header, gazes), header)


def _eye_contact(values: EyeContactSettings) -> EyeContact:
    return EyeContact(values.eye_contact_prior, values.eye_contact_radius)
