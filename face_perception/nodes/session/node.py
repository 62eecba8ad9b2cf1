"""The session node: records the results of the other nodes, and markers, into a folder."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from rclpy.serialization import serialize_message
from std_msgs.msg import Header, String
from std_srvs.srv import Trigger

from face_perception import msg, srv
from face_perception.errors import FacePerceptionError, InputError, error_text, shortened
from face_perception.markers import Marker
from face_perception.nodes.session.lab_streaming import LabStreaming
from face_perception.nodes.session.surroundings import (
    ParameterReading,
    camera_facts,
    models,
    versions,
)
from face_perception.nodes.session.topic_recording import (
    TopicRecording,
    add_topic,
    topic_names,
)
from face_perception.nodes.session.video_recording import VideoRecording
from face_perception.ros import messages
from face_perception.ros.driver import PerceptionNode
from face_perception.ros.image_input import ImageParameters
from face_perception.ros.raw_topics import read_message
from face_perception.sessions import (
    VIDEO,
    SessionFolder,
    SessionRecorder,
    SessionSettings,
    TopicQos,
    check_marker,
    free_space,
    sessions_dir,
)
from face_perception.settings import setting

_GB = 1e9
_MB = 1 << 20
_LOOK_PERIOD = 0.5  # seconds between two looks for new publishers
_WRITE_PERIOD = 0.1  # seconds
_OLDEST = 3600.0  # seconds: how old a marker may be
_SETTLED = 3.0  # seconds after which nodes that have not told their parameters are given up
_MARKERS, _MARKER_KIND = "session/markers", "face_perception/msg/SessionMarker"
# What the nodes publish about people and the robot, without pictures and sound.
_TOPICS = (
    "faces,recognitions,gaze,action_units,blendshapes,expressions,valence_arousal,motion_affect,"
    "attention,look_at,look_at_id,speaker,target_probabilities,gaze_events,departed,targets,"
    "robot_target,voice_activity,avatar/state,camera_info,/diagnostics"
)


@dataclass(frozen=True)
class SessionParameters(SessionSettings, ImageParameters):
    """Parameters of the session node."""

    topics: str = setting(
        _TOPICS,
        "Topics to record, separated by commas, of any type that is installed. Names without a "
        "leading / are in the namespace of the node. Topics with pictures are left out, unless the "
        "session has video full.",
        dynamic=True,
    )
    lsl: bool = setting(
        False,
        "Exchange numbers and markers with Lab Streaming Layer, which others on the network can "
        "read. Needs the Python package pylsl.",
    )
    lsl_name: str = setting("face_perception", "Name of the streams in Lab Streaming Layer.")


class _Session:
    """What belongs to the session that is recorded now."""

    def __init__(
        self, recorder: SessionRecorder, topics: TopicRecording, started: float, video: str
    ) -> None:
        self.recorder, self.topics, self.started, self.video = recorder, topics, started, video
        self.began = time.monotonic()
        self.parameters: dict[str, dict[str, Any]] = {}
        self.reading: ParameterReading | None = None


class SessionNode(PerceptionNode[SessionParameters]):
    """Records topics between ``~/start`` and ``~/stop``; publishes ``session/status``."""

    computes_for_subscribers = False

    def __init__(self, **kwargs: Any) -> None:
        super().__init__("session", SessionParameters, **kwargs)
        self._session: _Session | None = None
        self._last: _Session | None = None  # which may have ended
        self._why_ended = ""  # if the last session ended by itself
        self._marking = threading.Lock()
        self._lsl: LabStreaming | None = None

    def setup(self) -> None:
        topic_names(self.values.topics)  # refuses wrong ones before the node is active
        self._status = self.publisher(msg.SessionStatus, "session/status", depth=1, latched=True)
        self._marked = self.publisher(msg.SessionMarker, _MARKERS)
        self.serve(srv.StartSession, "~/start", self._on_start)
        self.serve(Trigger, "~/stop", self._on_stop)
        self.serve(srv.MarkSession, "~/mark", self._on_mark)

    def without_effect(self, values: SessionParameters) -> Iterable[tuple[str, Iterable[str]]]:
        if not values.lsl:
            yield "lsl is false", ("lsl_name",)

    def change_values(self, values: SessionParameters) -> None:
        topic_names(values.topics)
        if (session := self._session) is not None:
            session.recorder.stop_below = values.stop_below * _GB

    def start(self) -> None:
        self._video = VideoRecording(self, self.values)
        if self.values.lsl:
            self._lsl = LabStreaming(self, self.values.lsl_name, self._mark)
        self.subscribe(String, "session/marker", self._on_marker, depth=100, expected=False)
        self.publish_at_end(self._status, self._status_message)
        self.on_end(self._end_session, "the node was deactivated")
        self.thread(self._write)
        self.timer(_LOOK_PERIOD, self._look)
        self._publish_status()

    def stop(self) -> None:
        self._lsl = None

    def diagnostics(self) -> tuple[str, dict[str, str]]:
        session = self._session
        free = free_space(sessions_dir(self.values.folder))
        problems = [self._why_ended] if session is None else [self._video.status]
        if free < self.values.warn_below * _GB:
            problems.append(
                f"the disk of the sessions has {free / _GB:.1f} GB left (warn_below: "
                f"{self.values.warn_below:g} GB): remove files, or set folder to another disk"
            )
        values = {"recording": "no", "free space (GB)": f"{free / _GB:.1f}"}
        if session is not None:
            recorder = session.recorder
            if recorder.dropped:
                problems.append(
                    f"{recorder.dropped} messages were not recorded: the disk is too slow, "
                    "or a message is larger than buffer; record fewer topics, or set buffer to a "
                    "larger value"
                )
            problems += session.topics.subscriptions.problems.values()
            values |= {
                "recording": str(recorder.folder.path),
                "topics": ", ".join(session.topics.subscriptions.subscribed),
                "video": session.video,
                "messages": str(recorder.messages),
                "size (MB)": f"{recorder.size / 1e6:.1f}",
                "markers": str(recorder.folder.marker_count),
            }
        return "; ".join(filter(None, problems)), values

    # Services and markers.

    def _on_start(self, request: Any, response: Any) -> Any:
        try:
            response.folder = self._begin(request.label, request.consent, request.video)
            response.success = True
            response.message = f"recording into {response.folder}"
        except (FacePerceptionError, OSError, LookupError) as error:
            response.message = error_text(error)
        return response

    def _on_stop(self, _: Any, response: Any) -> Any:
        session = self._session
        if session is None:
            response.message = "no session is recorded"
            if self._why_ended:
                response.message += f": {self._why_ended}"
            return response
        recorder = session.recorder
        self._end_session("it was stopped")
        response.success = not recorder.failure
        response.message = recorder.failure or (
            f"{recorder.folder.path}: {recorder.messages} messages, {recorder.size / 1e6:.1f} MB, "
            f"{recorder.folder.marker_count} markers"
            + (f", {recorder.dropped} messages dropped" if recorder.dropped else "")
        )
        return response

    def _on_mark(self, request: Any, response: Any) -> Any:
        stamp = self.ros_seconds() - request.age
        try:
            if not 0 <= request.age < _OLDEST:
                raise InputError(f"age {request.age:g} is not from 0 to {_OLDEST:g} s")
            self._set_marker(Marker(stamp, request.label, "service"))
            response.success = True
            response.message = f"{request.label} at {stamp:.3f}"
        except (FacePerceptionError, OSError) as error:
            response.message = error_text(error)
        return response

    def _on_marker(self, message: String) -> None:
        self._mark(Marker(self.ros_seconds(), message.data, "topic"))

    def _mark(self, marker: Marker) -> None:
        """Sets a marker that nobody waits for: what is wrong with it is logged."""
        try:
            self._set_marker(marker)
        except (FacePerceptionError, OSError) as error:
            self.warn_throttled(
                f"the marker of {marker.source} was not set: {error_text(error)}", key="marker"
            )

    def _set_marker(self, marker: Marker) -> None:
        """Stores, publishes and streams a marker. Raises InputError and OSError."""
        self._require_active()
        check_marker(marker.label)
        if (lsl := self._lsl) is not None and not marker.source.startswith("lsl "):
            lsl.send_marker(marker)
        message = msg.SessionMarker(
            header=Header(stamp=messages.time(marker.stamp)),
            label=marker.label,
            source=marker.source,
        )
        self.publish(self._marked, message)
        session = self._session
        if session is None:
            raise InputError("no session is recorded: start one first")
        with self._marking:
            session.recorder.mark(marker)
        now = self.get_clock().now().nanoseconds
        session.recorder.put(self._marked.topic_name, now, serialize_message(message))

    def _require_active(self) -> None:
        if not self.active:
            raise InputError(
                "the session node is not active: run `ros2 lifecycle set "
                f"{self.get_fully_qualified_name()} activate`"
            )

    # The session.

    def _begin(self, label: str, consent: str, video: str) -> str:
        """Starts a session and returns its folder. Raises InputError, OSError and LookupError."""
        values = self.values
        self._require_active()
        if self._session is not None:
            raise InputError(
                f"{self._session.recorder.folder.path} is recorded since "
                f"{time.strftime('%H:%M:%S', time.localtime(self._session.started))}: stop it first"
            )
        video = video or values.video
        if video not in VIDEO:
            raise InputError(f"video {shortened(video)}: use {', '.join(VIDEO)}, or nothing")
        names = [self.resolve_topic_name(name) for name in topic_names(values.topics)]
        root = sessions_dir(values.folder)
        free = free_space(root)
        if free < values.stop_below * _GB:
            raise InputError(
                f"the disk of {root} has {free / _GB:.1f} GB left, less than stop_below "
                f"({values.stop_below:g} GB): remove files, or set folder to another disk"
            )
        now = time.time()
        folder = SessionFolder(root, label, now, consent)
        folder.record |= {
            "video": video,
            "versions": versions(),
            "use_sim_time": bool(self.get_parameter("use_sim_time").value),
            "ros_time": self.ros_seconds(),
        }
        try:
            recorder = SessionRecorder(
                folder, buffer=values.buffer * _MB, stop_below=values.stop_below * _GB
            )
            add_topic(recorder, self._marked.topic_name, _MARKER_KIND, TopicQos())
            self._video.begin(recorder, video, values.video_rate)
        except (FacePerceptionError, OSError, LookupError):
            folder.remove()
            raise
        # What this node writes itself is not recorded a second time: the images of others would
        # show the faces that are pixelated in its own.
        own = {self._marked.topic_name, *([self._video.topic] if video != "off" else [])}
        topics = TopicRecording(
            self, recorder, [name for name in names if name not in own], pictures=video == "full"
        )
        self._why_ended = ""
        session = _Session(recorder, topics, now, video)
        self._session = self._last = session
        session.reading = ParameterReading(self, session.parameters.__setitem__)
        topics.subscriptions.look()
        self.get_logger().info(f"recording into {folder.path}")
        self._publish_status()
        return str(folder.path)

    def _end_session(self, reason: str) -> None:
        """Ends the session, if there is one."""
        session, self._session = self._session, None
        if session is None:
            return
        self._video.end()
        session.topics.subscriptions.end()
        try:
            self._store_surroundings(session)
        except Exception as error:  # the recording is closed in any case
            self.log_exception(error)
        session.recorder.close(reason, time.time())
        self.get_logger().info(f"{session.recorder.folder.path}: {reason}")
        self._publish_status()

    def _store_surroundings(self, session: _Session) -> None:
        """Puts the parameters and models into the record, which is written next time or at once."""
        if session.reading is None:
            return
        session.reading.end()
        session.reading = None
        record = session.recorder.folder.record
        record["parameters"] = session.parameters
        record["models"] = models(session.parameters)
        record["camera"] = self._camera(session)

    def _camera(self, session: _Session) -> dict[str, Any]:
        """Returns the camera of the first faces, empty without any."""
        topic = self.resolve_topic_name("faces")
        data = session.topics.first.get(topic)
        if data is None or session.topics.subscriptions.kinds[topic] is not msg.FaceArray:
            return {}
        try:
            faces = read_message(data, msg.FaceArray)
            camera = messages.camera_of(faces)
        except InputError as error:
            return {"problem": str(error)}
        return camera_facts(camera, faces.header.frame_id) if camera else {}

    def _look(self) -> None:
        session = self._session
        if session is None:
            return
        if session.recorder.failure:
            self._why_ended = session.recorder.failure
            self.get_logger().error(self._why_ended)
            self._end_session(self._why_ended)
            return
        session.topics.subscriptions.look()
        if session.reading is not None and time.monotonic() - session.began > _SETTLED:
            self._store_surroundings(session)
            try:
                session.recorder.folder.write_record()
            except OSError as error:
                self.warn_throttled(error_text(error), key="session.yaml")
        self._publish_status()

    def _write(self, stop: threading.Event) -> None:
        while not stop.wait(_WRITE_PERIOD):
            if (session := self._session) is not None:
                session.recorder.write()

    def _publish_status(self) -> None:
        self.publish(self._status, self._status_message())

    def _status_message(self) -> msg.SessionStatus:
        """Returns the status of the session that is recorded, else of the last one."""
        status = msg.SessionStatus(
            header=Header(stamp=self.get_clock().now().to_msg()),
            recording=self._session is not None,
            free_space=free_space(sessions_dir(self.values.folder)),
        )
        if (session := self._last) is not None:
            recorder = session.recorder
            status.folder = str(recorder.folder.path)
            status.started = messages.time(session.started)
            status.messages = recorder.messages
            status.dropped = recorder.dropped
            status.bytes = recorder.size
            status.markers = recorder.folder.marker_count
            status.problem = recorder.failure
        return status
