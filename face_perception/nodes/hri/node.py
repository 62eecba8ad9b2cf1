"""The hri node: publishes the results under /humans, as REP-155 defines it, and as frames.

hri_msgs and tf2_msgs are optional. The node publishes what the installed one of them allows.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from face_perception import hri
from face_perception.bringup.ros_names import check_topic
from face_perception.errors import MissingDependencyError
from face_perception.ros import result_kinds
from face_perception.ros.driver import PerceptionNode
from face_perception.ros.result_kinds import Result
from face_perception.settings import setting
from face_perception.types import Attention, Face

if TYPE_CHECKING:
    from face_perception.nodes.hri.candidate_matches import CandidateMatches
    from face_perception.nodes.hri.face_topics import FaceTopics
    from face_perception.nodes.hri.frame_broadcaster import FrameBroadcaster
    from face_perception.nodes.hri.id_topics import IdTopics
    from face_perception.nodes.hri.person_topics import PersonTopics
    from face_perception.nodes.hri.voice_topics import VoiceTopics

_CHECK_PERIOD = 0.2  # seconds between two looks at who listens, and whether messages still come


@dataclass(frozen=True)
class HriParameters(hri.PictureSettings, hri.FrameSettings):
    """Parameters of the hri node."""

    topic_root: str = setting(
        "/humans",
        "Beginning of the names of all topics. /humans is that of REP-155, which one node may use. "
        "If each of several cameras has an hri node, set humans, without a slash, for the others: "
        "their topics are then in their namespaces, such as /left/humans/faces/tracked.",
    )
    publish_tf: bool = setting(
        True,
        "Broadcast the frames face_<id> and gaze_<id>. Set it to false if another node broadcasts "
        "frames of these names.",
    )
    publish_persons: bool = setting(
        True,
        "Publish the topics persons and interactions/gazing under topic_root, and the frames "
        "person_<id>. Set it to false if a person manager runs, which publishes persons itself.",
    )
    gaze_wait: float = setting(
        0.1,
        "Longest wait for the gaze of an image. After that the frame gaze_<id> follows the head. A "
        "larger value delays the frames while the gaze is late.",
        minimum=0.0,
        maximum=1.0,
        unit="s",
    )


class HriNode(PerceptionNode[HriParameters]):
    """Reads ``faces`` and all results, publishes topics under /humans, and /tf."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__("hri", HriParameters, **kwargs)

    def setup(self) -> None:
        values, root = self.values, self.values.topic_root
        check_topic("topic_root", root)
        self._missing: list[str] = []
        self._count = 0
        self._frames: FrameBroadcaster | None = None
        self._faces: FaceTopics | None = None
        self._voices: VoiceTopics | None = None
        self._ids: list[IdTopics] = []
        self._of_attention: list[PersonTopics | CandidateMatches] = []
        if values.publish_tf and self._has("tf2_msgs", "no frames are broadcast"):
            from face_perception.nodes.hri.frame_broadcaster import FrameBroadcaster

            self._frames = FrameBroadcaster(
                self,
                prefix=values.frame_prefix,
                wait=values.gaze_wait,
                persons=values.publish_persons,
            )
        if self._has("hri_msgs", f"nothing is published under {root}"):
            from face_perception.nodes.hri.candidate_matches import CandidateMatches
            from face_perception.nodes.hri.face_topics import FaceTopics
            from face_perception.nodes.hri.person_topics import PersonTopics
            from face_perception.nodes.hri.voice_topics import VoiceTopics

            self._faces = FaceTopics(self, root, values)
            self._voices = VoiceTopics(self, root)
            self._matches = CandidateMatches(self, root)
            self._of_attention.append(self._matches)
            if values.publish_persons:
                persons = PersonTopics(self, root)
                self._of_attention.append(persons)
                self._ids.append(persons.ids)
            self._ids += [self._faces.ids, self._voices.ids]
        if self._frames is None and self._faces is None:
            raise MissingDependencyError("; ".join(self._missing))
        for missing in self._missing:
            self.get_logger().warning(missing)

    def _has(self, package: str, otherwise: str) -> bool:
        """Returns whether a package is installed; notes what is missing ``otherwise`` if not."""
        if importlib.util.find_spec(package) is not None:
            return True
        debian = package.replace("_", "-")
        self._missing.append(
            f"{package} is not installed, so {otherwise}: sudo apt install ros-$ROS_DISTRO-{debian}"
        )
        return False

    def without_effect(self, values: HriParameters) -> Iterable[tuple[str, Iterable[str]]]:
        if not values.publish_tf:
            yield "publish_tf is false", ("frame_prefix", "gaze_wait")

    def start(self) -> None:
        self._input = self.subscribe(
            result_kinds.FACES,
            "faces",
            self._on_faces,
            depth=10,
            wanted=self._wants_faces,
        )
        if self._of_attention:
            self.subscribe(
                result_kinds.ATTENTION,
                "attention",
                self._on_attention,
                depth=10,
                expected=False,
                wanted=lambda: any(part.wanted() for part in self._of_attention),
            )
        for part in (self._frames, self._faces, self._voices):
            if part is not None:
                part.start()
        for ids in self._ids:
            self.on_end(ids.end)
            self.timer(_CHECK_PERIOD, ids.tick)

    def diagnostics(self) -> tuple[str, dict[str, str]]:
        # Without voice_activity, the list of voices may be that of another node.
        voices = self._voices.ids if self._voices is not None else None
        shared = [ids.shared for ids in self._ids if ids is not voices]
        problem = "; ".join(filter(None, (self._input.status, *shared, *self._missing)))
        return problem, {"faces": str(self._count)}

    def _wants_faces(self) -> bool:
        return (self._frames is not None and self._frames.wanted()) or (
            self._faces is not None and (self._faces.ids.any_wanted() or self._matches.wanted())
        )

    def _on_faces(self, faces: Result[Face]) -> None:
        self.count("input")
        self._count = len(faces.values)
        if self._faces is not None:
            self._faces.on_faces(faces)
            self._matches.note_faces(faces)
        if self._frames is not None and self._frames.wanted():
            self._frames.add("faces", faces)

    def _on_attention(self, attention: Result[Attention]) -> None:
        for part in self._of_attention:
            if part.wanted():
                part.take(attention)
