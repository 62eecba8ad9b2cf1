"""The attention node: publishes what each face attends to, who speaks, and whom to face."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from geometry_msgs.msg import Point, PointStamped
from std_msgs.msg import String

from face_perception.attention import (
    SPEAKER,
    SPEAKER_NETWORKS,
    AttentionSettings,
    AttentionTracker,
    LookAt,
    LookAtSettings,
    SpeakerChoice,
    SpeakerNetwork,
    SpeakerSettings,
    WhoSpeaks,
    WhoSpeaksSettings,
    check_look_at,
    eyes_midpoint,
    parse_targets,
)
from face_perception.bringup.ros_names import check_topic
from face_perception.errors import one_line
from face_perception.inference import NetworkSettings
from face_perception.nodes.attention.network_input import NetworkInput
from face_perception.nodes.attention.people_topics import PeopleTopics
from face_perception.nodes.attention.sound_input import SoundInput, SoundInputSettings
from face_perception.nodes.attention.target_input import TargetInput
from face_perception.ros import messages, result_kinds
from face_perception.ros.driver import PerceptionNode
from face_perception.ros.network_loading import NetworkLoader
from face_perception.ros.result_kinds import Result
from face_perception.ros.stamp_join import StampJoin
from face_perception.ros.tf_frames import Frames
from face_perception.settings import setting
from face_perception.types import Attention, FloatArray

_NOBODY_SPEAKS = (
    "look_at_policy is speaker, but nothing tells who speaks: choosing as with engaged_first; "
    "start voice_activity and microphone"
)


@dataclass(frozen=True)
class _Network(NetworkSettings):
    speaker_model: str = setting(
        "",
        "Model card of a network that sees the faces and hears the sound, and tells who speaks: "
        "`lr_asd`, which `face-perception import lr_asd` makes. Empty: rules on the motion of the "
        "lips.",
    )
    speaker_model_period: float = setting(
        0.2,
        "Time between two runs of speaker_model. A larger value costs less and is later.",
        minimum=0.0,
        maximum=1.0,
        unit="s",
        dynamic=True,
    )


@dataclass(frozen=True)
class AttentionParameters(
    _Network,
    SoundInputSettings,
    SpeakerSettings,
    WhoSpeaksSettings,
    LookAtSettings,
    AttentionSettings,
):
    """Parameters of the attention node."""

    robot_frame: str = setting(
        "",
        "The frame in which robot_point is given, such as head_link; transformed with tf2 into the "
        "frame of the image. Empty: the frame of the image. While the transform is not known, "
        "nobody's target is.",
    )
    targets: str = setting(
        "",
        "Named places and things that people may look at, besides the robot and other faces: "
        "NAME=X,Y,Z,RADIUS in metres, separated by semicolons, such as 'door=1.5,0,3,0.5; "
        "cup=0,0,0.05,0.06@tray_link'. After @ comes the frame of the point; without it, the "
        "frame of the image. The topic targets adds others.",
        dynamic=True,
    )
    gaze_wait: float = setting(
        0.1,
        "Longest wait for the gaze of an image. After that the head pose is used instead. A larger "
        "value delays attention while the gaze is late.",
        minimum=0.0,
        maximum=1.0,
        unit="s",
    )


class AttentionNode(PerceptionNode[AttentionParameters]):
    """Reads ``faces``, ``gaze`` and what is heard; publishes ``attention`` and what follows."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__("attention", AttentionParameters, **kwargs)
        self._count = 0

    def setup(self) -> None:
        self._tracker = AttentionTracker(self.values)
        self._look = LookAt(self.values)
        self._who = WhoSpeaks(self.values)
        self._speaker_choice = SpeakerChoice(self.values)
        self._network: SpeakerNetwork | None = None
        if self.values.speaker_model:
            load = NetworkLoader(self).load
            self._network = SpeakerNetwork(load(self.values.speaker_model, SPEAKER_NETWORKS))
        parse_targets(self.values.targets)  # refuses wrong ones before the node is active
        if self.values.direction_topic:
            check_topic("direction_topic", self.values.direction_topic)
        self._guarded_update = self.guarded(self._update)
        self._join = StampJoin("faces", self.values.gaze_wait)
        self._attention = self.publisher(result_kinds.ATTENTION, "attention")
        self._look_at = self.publisher(PointStamped, "look_at")
        self._look_at_id = self.publisher(String, "look_at_id", depth=1, latched=True)
        self._speaker = self.publisher(String, "speaker", depth=1, latched=True)
        self._people_topics = PeopleTopics(self)

    def start(self) -> None:
        self._speaker_named: str | None = None  # as published; None: nothing was
        self._chosen: str | None = None  # as published; None: nothing was
        for latched in (self._speaker, self._look_at_id):
            self.publish_at_end(latched, String)
        self._faces = self.subscribe(
            result_kinds.FACES,
            "faces",
            lambda faces: self._add("faces", faces),
            depth=10,
            wanted=self._wanted,
        )
        self._gaze = self.subscribe(
            result_kinds.GAZES,
            "gaze",
            lambda gazes: self._add("gaze", gazes),
            depth=10,
            expected=False,
            wanted=self._wanted,
        )
        self._frames = Frames(self)
        self.on_end(self._frames.destroy)
        self._sound = SoundInput(self, self._who, self.values, self._wanted, self._network)
        self._by_network: NetworkInput | None = None
        if self._network is not None:
            self._by_network = NetworkInput(self, self._network, self._who, self._wanted)
        self._targets = TargetInput(self, self._frames, self.values.targets, self._wanted)
        self._robot_target = ""  # until the topic says more: whoever announced it may be gone
        self.subscribe_latched(String, "robot_target", self._on_robot_target)

    def _on_robot_target(self, message: String) -> None:
        self._robot_target = message.data

    def _wanted(self) -> bool:
        return self.has_subscribers(
            self._attention,
            self._look_at,
            self._look_at_id,
            self._speaker,
            *self._people_topics.publishers,
        )

    def without_effect(self, values: AttentionParameters) -> Iterable[tuple[str, Iterable[str]]]:
        if not values.speaker_model:
            yield "speaker_model is empty", ("speaker_model_period",)
        if not values.direction_topic:
            yield "direction_topic is empty", ("direction_sigma",)

    def change_values(self, values: AttentionParameters) -> None:
        check_look_at(values)
        parse_targets(values.targets)
        self._tracker.change_settings(values)
        self._look.change_settings(values)
        self._who.change_settings(values)
        self._speaker_choice.change_settings(values)
        if self.active:
            self._targets.change_text(values.targets)

    def diagnostics(self) -> tuple[str, dict[str, str]]:
        source = "gaze" if self._expected() else "head pose: gaze has no publisher"
        problem, heard = self._sound.diagnostics()
        seen: dict[str, str] = {}
        unseen = ""
        if self._by_network is not None:
            unseen, seen = self._by_network.diagnostics()
        problems = "; ".join(filter(None, (self._faces.status, problem, unseen)))
        heard |= seen
        return problems, {"faces": str(self._count), "source": source, **heard}

    def _expected(self) -> frozenset[str]:
        """Returns the topics other than ``faces`` whose message about an image the node awaits."""
        return frozenset({"gaze"} if self._gaze.published else ())

    def _add(self, key: str, result: Result[Any]) -> None:
        if key == "faces":
            self.count("input")
        stamp = messages.nanoseconds(result.header.stamp)
        for _, group in self._join.add(key, stamp, result, self._expected()):
            self._guarded_update(group)

    def _update(self, group: dict[str, Result[Any]]) -> None:
        faces = group["faces"]
        gazes = {g.face_id: g for g in group["gaze"].values} if "gaze" in group else {}
        header = faces.header
        stamp = messages.seconds(header.stamp)
        eyes = {face.face_id: eyes_midpoint(face, gazes.get(face.face_id)) for face in faces.values}
        looks = self._tracker.update(
            stamp, faces.values, gazes, self._robot(header), self._targets.spheres(header)
        )
        for name in self._tracker.ambiguous:
            self.warn_throttled(
                f"target {name} has the id of a face, so nobody is said to look at it: give it "
                "another name",
                key="target has the id of a face",
            )
        network = self._by_network
        found = None if network is None else network.estimates(stamp)
        speaking = self._who.update(stamp, faces.values, found)
        source = self._who.source
        if network is not None and source:
            source = network.name
        attention = [
            replace(item, speaking=speaking[item.face_id], speaking_source=source) for item in looks
        ]
        self._count = len(attention)
        self.publish(self._attention, Result(header, attention), header)
        self._publish_look_at(header, attention, eyes)
        self._publish_speaker(stamp, speaking)
        self._people_topics.update(header, attention, self._tracker, eyes, self._robot_target)

    def _publish_speaker(self, stamp: float, speaking: Mapping[str, float]) -> None:
        speaker = self._speaker_choice.update(stamp, speaking)
        if speaker != self._speaker_named:
            self._speaker_named = speaker
            self.publish(self._speaker, String(data=speaker))

    def _robot(self, header: Any) -> FloatArray | None:
        """Returns robot_point [3] in the frame of the image, NaN if the transform is not known.

        Returns None if it is given in that frame.
        """
        frame, image_frame = self.values.robot_frame, header.frame_id
        if not frame or frame == image_frame:
            return None
        point = np.array(self.values.robot_point, np.float64)
        try:
            return self._frames.transformed(point, frame, image_frame, header.stamp)
        except LookupError as error:
            self.warn_throttled(
                f"robot_point is in {one_line(frame, 80)} (robot_frame), but {error}: nobody's "
                "target is known",
                key="robot_frame",
            )
            return np.full(3, np.nan)

    def _publish_look_at(
        self,
        header: Any,
        attention: Sequence[Attention],
        eyes: Mapping[str, FloatArray | None],
    ) -> None:
        deaf = not self._sound.voice_published
        if self.values.look_at_policy == SPEAKER and attention and deaf:
            self.note_problem("look_at", _NOBODY_SPEAKS)
        chosen = self._look.update(messages.seconds(header.stamp), attention)
        if chosen != self._chosen:
            self._chosen = chosen
            self.publish(self._look_at_id, String(data=chosen))
        if (place := eyes.get(chosen)) is not None:
            x, y, z = place.tolist()
            self.publish(self._look_at, PointStamped(header=header, point=Point(x=x, y=y, z=z)))
