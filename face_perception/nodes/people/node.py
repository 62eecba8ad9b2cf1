"""The people node: recognises enrolled persons, enrols new ones and forgets them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

from face_perception.action import EnrolPerson
from face_perception.errors import one_line
from face_perception.inference import NetworkSettings
from face_perception.nodes.people.enrolment_server import Enrolment, refused_goal
from face_perception.nodes.people.person_services import PersonServices
from face_perception.paths import expanded
from face_perception.people import (
    RECOGNITION_MODEL,
    EnrolledStore,
    FaceTemplates,
    PeopleRecognition,
    RecognitionSettings,
)
from face_perception.ros import messages, result_kinds
from face_perception.ros.driver import PerceptionNode
from face_perception.ros.goal_server import GoalServer
from face_perception.ros.network_loading import NetworkLoader, network_diagnostics
from face_perception.ros.result_kinds import Result
from face_perception.ros.stamp_join import StampJoin
from face_perception.settings import setting
from face_perception.types import Face, FaceCrop

_WAIT = 0.5  # seconds that faces wait for their crops
_REFRESH_PERIOD = 1.0  # seconds between two checks for changed files


@dataclass(frozen=True)
class PeopleParameters(RecognitionSettings, NetworkSettings):
    """Parameters of the people node."""

    folder: str = setting(
        "",
        "Folder of the enrolled persons. Empty: face_perception/enrolled in the user's data "
        "folder.",
    )


class PeopleNode(PerceptionNode[PeopleParameters]):
    """Reads ``faces`` and ``face_crops``, publishes ``recognitions``."""

    # face_tracker listens to ``recognitions``; without enrolled persons there is nothing to do.
    computes_for_subscribers = False

    def __init__(self, **kwargs: Any) -> None:
        super().__init__("people", PeopleParameters, **kwargs)
        self._action: GoalServer | None = None
        self._naming = False  # whether the last recognitions name anybody

    def setup(self) -> None:
        values = self.values
        self._network = NetworkLoader(self).load(RECOGNITION_MODEL)
        folder = expanded(values.folder) if values.folder else None
        store = EnrolledStore(folder, self.get_logger().warning)
        self._people = PeopleRecognition(FaceTemplates(self._network), store, values)
        self._enrolment = Enrolment(self, self._people)
        if self._action is None:
            self._action = GoalServer(self, EnrolPerson, "~/enrol", refused_goal)
        self._action.attach(self._enrolment.accept)
        PersonServices(self, self._people)
        self.timer(_REFRESH_PERIOD, self._refresh)
        self._recognitions = self.publisher(result_kinds.RECOGNITIONS, "recognitions")

    def start(self) -> None:
        self.on_end(self._enrolment.cancel_goals)
        self._naming = False
        self._join = StampJoin("faces", _WAIT)
        self._worker = self.worker(self._recognise)
        self._faces, self._crops = (
            self.subscribe(
                kind,
                topic,
                partial(self._add, topic),
                depth=10,
                wanted=self._wanted,
            )
            for kind, topic in (
                (result_kinds.FACES, "faces"),
                (result_kinds.FACE_CROPS, "face_crops"),
            )
        )

    def change_values(self, values: PeopleParameters) -> None:
        self._people.change_settings(values)

    def diagnostics(self) -> tuple[str, dict[str, str]]:
        fallback, models = network_diagnostics([self._network])
        problems = (self._faces.status, self._crops.status, fallback)
        persons = {"enrolled": str(len(self._people.persons))}
        return "; ".join(filter(None, problems)), {**persons, **models}

    def _wanted(self) -> bool:
        # After the last person is forgotten, one more image takes the names away.
        return self._people.busy or self._naming

    def _refresh(self) -> None:
        try:
            self._people.refresh()
        except OSError as error:
            self.warn_throttled(str(error))

    def _add(self, topic: str, result: Result[Any]) -> None:
        self.count(f"input {topic}")
        stamp = messages.nanoseconds(result.header.stamp)
        for _, group in self._join.add(topic, stamp, result, frozenset(("faces", "face_crops"))):
            if self._worker.put((group["faces"], group.get("face_crops"))):
                self.count("dropped")

    def _recognise(self, pair: tuple[Result[Face], Result[FaceCrop] | None]) -> None:
        faces, crops = pair
        header = faces.header
        assert faces.camera is not None  # faces have one
        self._enrolment.note_image()
        found = self._people.update(
            messages.seconds(header.stamp),
            faces.camera,
            faces.values,
            {crop.face_id: crop for crop in crops.values} if crops else {},
        )
        for change in found.changes:
            before, after = change.before or "unknown", change.after or "unknown"
            face_id = one_line(change.face_id, 80)
            text = f"{face_id}: {before} -> {after} ({change.why})"
            # A face that was named and is not any more, or is somebody else, was named wrongly.
            if change.before:
                self.get_logger().warning(text)
            else:
                self.get_logger().info(text)
        self._naming = any(one.person_id for one in found.recognitions)
        self.publish(self._recognitions, Result(header, found.recognitions), header)
