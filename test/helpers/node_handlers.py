"""Calls the handlers of a real node in this process with random input.

These are the handlers of messages, also of raw ones, of services, goals and parameters, and of what
browsers send to the node's page. The node is configured and active, and everything counts as
subscribed, so that everything is computed. Handlers are called directly, so that no input is lost
on the way. bench/fuzz.py calls them without end; test_hostile_messages.py checks that no text of a
message opens a file.
"""

from __future__ import annotations

import importlib
import json
import math
import random
import re
import time
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import rclpy
from action_msgs.msg import GoalStatus
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.context import Context
from rclpy.exceptions import ParameterException
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile
from rclpy.serialization import serialize_message
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from face_perception import msg
from face_perception.errors import FacePerceptionError
from face_perception.nodes import node_class
from face_perception.ros.driver import PerceptionNode
from face_perception.ros.goal_server import GoalServer
from face_perception.ros.raw_topics import RawTopics
from face_perception.ros.result_kinds import ResultKind, message_type_of
from face_perception.web.dashboard_page import COMMANDS, DashboardPage

# The only errors that a handler may raise: the driver logs them in one line.
ALLOWED = (FacePerceptionError, OSError, ParameterException)
# Texts that name a file or a model, and texts that the handlers know.
PATHS = ("/dev/zero", "/dev/stdin", "~", "../../etc/passwd", "a.yaml", "/etc/hostname")
_TEXTS = (
    *PATHS,
    *("", "face_1", "face_2", "geometric", "happy", "camera", "expression", "face_mesh"),
    *("x" * 5000, "\0", "ä\u202e", "%s%n", "{0}", "\n\n", "rgb8"),
    *("bgr8", "mono8", "mono16", "16UC1", "32FC1", "bayer_rggb8", "yuv422_yuy2", "nv12", "jpeg"),
    *("plumb_bob", "equidistant", "rational_polynomial"),
)
_LENGTHS = (0, 1, 2, 3, 3, 4, 5, 9, 64, 478, 3 * 478, 5000)
_FLOATS = (0.0, 1.0, -1.0, 0.5, 1e-30, 1e30, 1e308, math.nan, math.inf, -math.inf, 640.0)
_LONGEST_WARNING, _LONGEST_KEY = 5000, 1000  # characters
# The types of the topics that nodes read raw; those of others are chosen at random.
_RAW_TYPES = {
    "faces": msg.FaceArray,
    "gaze": msg.GazeArray,
    "action_units": msg.ActionUnitsArray,
    "blendshapes": msg.BlendshapesArray,
    "expressions": msg.ExpressionArray,
    "valence_arousal": msg.ValenceArousalArray,
    "motion_affect": msg.ValenceArousalArray,
    "attention": msg.AttentionArray,
    "status": msg.SessionStatus,
    "diagnostics": DiagnosticArray,
    "camera_info": CameraInfo,
    "image": Image,
}
# Parameters with which a node takes nothing that another process may need, and reads all topics.
_PARAMETERS: dict[str, dict[str, Any]] = {
    "talking_face": {"audio_out": "none", "barge_in": "stop"},
    "voice_activity": {"echo_cancellation": True},
    "dashboard": {"web_port": 0},
}
_VALUES = (True, 0, -1, 2**63 - 1, 0.5, math.nan, math.inf, -1e308, "", "x" * 5000, [0.5], [])


class NodeHandlers:
    """A running node, and the handlers that ``call_one`` calls.

    - ``name``: name of the node. ``parameters`` are set before it is configured.
    - ``patch``: sets an attribute of a class, as ``monkeypatch.setattr`` and ``setattr`` do. Each
      process can have one node at a time, unless the attributes are set back.
    - ``texts``: texts for the fields of messages.

    Raises RuntimeError, with the reason of the node, if it does not become active.
    """

    def __init__(
        self,
        name: str,
        patch: Callable[[Any, str, Any], None] = setattr,
        *,
        parameters: dict[str, Any] | None = None,
        texts: Sequence[str] = _TEXTS,
        timeout: float = 60.0,
    ) -> None:
        self._clock, self._texts = 1_000_000_000, texts
        self.unexpected: list[Exception] = []  # errors of other kinds than ``ALLOWED``
        self._handlers: list[Callable[[random.Random], None]] = []
        self._raw_topics: Any = None
        self._patch_driver(patch)
        self._context = Context()
        rclpy.init(args=[], context=self._context)
        chosen = {**_PARAMETERS.get(name, {}), **(parameters or {})}
        self.node = node_class(name)(
            context=self._context,
            parameter_overrides=[Parameter(key, value=value) for key, value in chosen.items()],
        )
        self.node.get_logger().set_level(rclpy.logging.LoggingSeverity.FATAL)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self.node)
        end = time.monotonic() + timeout
        while not self.node.active and time.monotonic() < end:
            self._executor.spin_once(timeout_sec=0.2)
        self._handlers += [self._set_parameter, lambda rng: self.node.diagnostics()]
        if hasattr(self.node, "_show"):  # what the dashboard does for browsers
            self._handlers.append(lambda rng: self.node._show(0.0))
        if not self.node.active:
            reason = self.node._failure or f"not within {timeout:g} s"
            self.close()
            raise RuntimeError(f"the node {name} did not become active: {reason}")

    def call_one(self, rng: random.Random) -> None:
        """Calls a random handler with a random message, and raises its error if there is one."""
        self._executor.spin_once(timeout_sec=0.0)
        rng.choice(self._handlers)(rng)
        if self.unexpected:
            raise self.unexpected.pop()

    def close(self) -> None:
        """Ends the node."""
        self.node.close()
        self._executor.shutdown()
        self.node.destroy_node()
        self._context.try_shutdown()

    def _patch_driver(self, patch: Callable[[Any, str, Any], None]) -> None:
        """Learns the handlers of the node, and notices errors that would only be logged."""

        def remember(method: str) -> None:
            original = getattr(PerceptionNode, method)

            def replaced(node: Any, kind: Any, topic: str, callback: Any, **more: Any) -> Any:
                if method == "serve":
                    self._handlers.append(
                        lambda rng: callback(self._message(kind.Request, rng), kind.Response())
                    )
                else:
                    self._handlers.append(lambda rng: callback(self._item(kind, rng)))
                return original(node, kind, topic, callback, **more)

            patch(PerceptionNode, method, replaced)

        for method in ("subscribe", "subscribe_latched", "serve"):
            remember(method)
        attach, raw_topics, page = GoalServer.attach, RawTopics.__init__, DashboardPage.__init__

        def attach_and_remember(server: Any, accept: Callable[[Any], None]) -> None:
            self._handlers.append(lambda rng: accept(_Goal(self._message(server.goal, rng), rng)))
            attach(server, accept)

        def make_server(server: Any, node: Any, action: Any, *more: Any) -> None:
            server.goal = action.Goal
            make_goal_server(server, node, action, *more)

        def make_raw_topics(topics: Any, *of: Any, **more: Any) -> None:
            raw_topics(topics, *of, **more)
            if self._raw_topics is None:
                self._handlers.append(self._send_raw)
            self._raw_topics = topics  # a session has others than the one before

        def make_page(served: Any, *of: Any, **more: Any) -> None:
            page(served, *of, **more)
            client = served.new_client(None)
            self._handlers.append(lambda rng: served.received(client, self._command(rng)))

        make_goal_server = GoalServer.__init__
        patch(GoalServer, "__init__", make_server)
        patch(GoalServer, "attach", attach_and_remember)
        patch(RawTopics, "__init__", make_raw_topics)
        patch(DashboardPage, "__init__", make_page)

        def log_exception(node: Any, error: Exception) -> None:
            if not isinstance(error, ALLOWED):
                self.unexpected.append(error)

        def warn_throttled(node: Any, text: str, key: str = "") -> None:
            if len(text) > _LONGEST_WARNING or len(key) > _LONGEST_KEY:
                self.unexpected.append(
                    AssertionError(f"a warning of {len(text)} characters: {text[:100]}")
                )

        patch(PerceptionNode, "log_exception", log_exception)
        patch(PerceptionNode, "warn_throttled", warn_throttled)
        patch(PerceptionNode, "has_subscribers", lambda node, *of: True)

    def _send_raw(self, rng: random.Random) -> None:
        """Gives a node a serialised message, one in four of them damaged."""
        topics = self._raw_topics
        if not topics._topics:
            return
        topic = rng.choice(topics._topics)
        kinds = sorted(_RAW_TYPES.items())
        kind = _RAW_TYPES.get(topic.rpartition("/")[2], rng.choice(kinds)[1])
        package, name = kind.__module__.partition(".")[0], kind.__name__
        if topic not in topics.kinds:
            endpoint = SimpleNamespace(
                topic_type=f"{package}/msg/{name}", qos_profile=QoSProfile(depth=10)
            )
            if not topics._add(topic, endpoint):
                return
        data = bytearray(serialize_message(self._message(topics.kinds[topic], rng)))
        if rng.random() < 0.25:
            for _ in range(rng.choice((1, 5))):
                data[rng.randrange(len(data))] = rng.randrange(256)
            del data[rng.choice((len(data), rng.randrange(len(data) + 1))) :]
        topics._received(topic, bytes(data))

    def _command(self, rng: random.Random) -> str | bytes:
        """Returns what a browser may send to the dashboard."""
        name = rng.choice((*COMMANDS, "seen", "x"))
        found: Any = {"command": name, "number": rng.choice((1, None, 2**70, "x", [], math.nan))}
        for text in COMMANDS.get(name, ()):
            found[text] = rng.choice((*self._texts, "\ud800", 1, None, ["a"]))
        if rng.random() < 0.2:
            found = rng.choice((None, [], 1, "x", {"seen": True}, {"command": {}}, [[]] * 1000))
        text = json.dumps(found)
        return text[: rng.randrange(len(text) + 1)].encode() if rng.random() < 0.2 else text

    def _set_parameter(self, rng: random.Random) -> None:
        names = [name for name in self.node._parameters if not name.startswith("use_sim")]
        self.node.set_parameters([Parameter(rng.choice(names), value=rng.choice(_VALUES))])

    def _item(self, kind: Any, rng: random.Random) -> Any:
        """Returns what the callback of a subscription gets for a random message."""
        message = self._message(message_type_of(kind), rng)
        return kind.read(message) if isinstance(kind, ResultKind) else message

    def _message(self, kind: type[Any], rng: random.Random) -> Any:
        """Returns a random message; half of the images are consistent."""
        message = kind()
        for field, text in kind.get_fields_and_field_types().items():
            if rng.random() < 0.9:
                setattr(message, field, self._value(text, rng))
        if isinstance(message, Image) and rng.random() < 0.8:
            message.height, message.width = rng.choice((1, 48, 480)), rng.choice((1, 64, 640))
            message.encoding = rng.choice(("rgb8", "bgr8", "mono8", "mono16", "bgra8"))
            width = {"mono8": 1, "mono16": 2, "bgra8": 4}.get(message.encoding, 3) * message.width
            message.step = width
            message.data = bytes(width * message.height)
        if isinstance(message, CompressedImage):
            picture = np.full((48, 64, 3), rng.randrange(256), np.uint8)
            data = bytearray(cv2.imencode(rng.choice((".jpg", ".png")), picture)[1].tobytes())
            for _ in range(rng.choice((0, 1, 5))):
                data[rng.randrange(len(data))] = rng.randrange(256)
            message.data = bytes(data[: rng.choice((None, rng.randrange(len(data))))])
        return message

    def _value(self, text: str, rng: random.Random) -> Any:
        """Returns a random value of a field, given its type as rosidl names it."""
        if found := re.fullmatch(r"sequence<(.+?)(?:, *(\d+))?>", text):
            length = rng.choice(_LENGTHS[:7] if "/" in found[1] else _LENGTHS)
            return self._values(found[1], min(length, int(found[2] or 10**6)), rng)
        if found := re.fullmatch(r"(.+)\[(\d+)\]", text):
            return self._values(found[1], int(found[2]), rng)
        if text.startswith(("string", "wstring")):
            return rng.choice(self._texts)
        if text == "boolean":
            return rng.random() < 0.5
        if text in ("float", "double"):
            value = rng.choice(_FLOATS) if rng.random() < 0.4 else rng.uniform(-2, 2)
            if text == "double":
                return value
            return float(np.float32(value)) if abs(value) < 3e38 else 0.0
        if text == "octet":
            return bytes([rng.randrange(256)])
        if found := re.fullmatch(r"(u?)int(\d+)", text):
            bits = int(found[2])
            low, high = (0, 2**bits - 1) if found[1] else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
            small = (0, 1, 2, 3, 16, 48, 64, 640, 16000, 44100)
            return min(rng.choice((low, high, *small)), high)
        if text == "builtin_interfaces/Time":
            self._clock += 33_000_000
            stamp = self._clock if rng.random() < 0.8 else rng.choice((0, 1, 2**31 * 10**9 - 1))
            return Time(sec=stamp // 10**9, nanosec=stamp % 10**9)
        package, _, name = text.partition("/")
        return self._message(getattr(importlib.import_module(f"{package}.msg"), name), rng)

    def _values(self, text: str, length: int, rng: random.Random) -> Any:
        if text == "uint8":
            return rng.randbytes(length)
        if text in ("float", "double"):
            values = np.random.default_rng(rng.randrange(1 << 30)).normal(0, 1, length)
            if length and rng.random() < 0.2:
                values[rng.randrange(length)] = rng.choice(_FLOATS)
            with np.errstate(over="ignore"):
                return values.astype(np.float32 if text == "float" else np.float64).tolist()
        return [self._value(text, rng) for _ in range(length)]


class _Goal:
    """Stands in for the handle of a goal."""

    def __init__(self, request: Any, rng: random.Random) -> None:
        self.request = request
        self.status = GoalStatus.STATUS_EXECUTING
        self._rng = rng

    @property
    def is_cancel_requested(self) -> bool:
        return self._rng.random() < 0.05

    def publish_feedback(self, feedback: Any) -> None:
        serialize_message(feedback)

    def execute(self, finish: Callable[[Any], Any]) -> None:
        serialize_message(finish(self))

    def succeed(self) -> None:
        """Does nothing, as the others."""

    canceled = abort = succeed
