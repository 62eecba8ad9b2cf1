"""Fuzzes the message and service handlers of a real node, in this process."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator

from node_handlers import ALLOWED, NodeHandlers

from bench.fuzzing.mutations import changed
from bench.fuzzing.targets import Target
from face_perception.errors import FacePerceptionError
from face_perception.nodes import node_class
from face_perception.ros.driver import PerceptionNode

_DOMAIN = "101"  # beside those of the tests
_STARTS_IN = 300.0  # seconds; a busy machine needs long


def node_target(name: str) -> Target:
    """Returns the target of a node, which is then running in this process."""
    os.environ.setdefault("ROS_DOMAIN_ID", "87")
    handlers: list[Callable[[random.Random], None]] = []
    foreign: list[BaseException] = []
    clock = [1_000_000_000]

    def subscribe(self: Any, kind: type[Any], topic: str, callback: Any, **options: Any) -> Any:
        handlers.append(lambda rng: callback(_message(kind, rng, clock)))
        return original_subscribe(self, kind, topic, callback, **options)

    def serve(self: Any, kind: type[Any], topic: str, callback: Any) -> None:
        handlers.append(lambda rng: callback(_message(kind.Request, rng, clock), kind.Response()))
        original_serve(self, kind, topic, callback)

    def log_exception(self: Any, error: Exception) -> None:
        if not isinstance(error, _ALLOWED):
            foreign.append(error)

    original_subscribe, original_serve = PerceptionNode.subscribe, PerceptionNode.serve
    PerceptionNode.subscribe = subscribe  # type: ignore[method-assign, assignment]
    PerceptionNode.serve = serve  # type: ignore[method-assign]
    PerceptionNode.log_exception = log_exception  # type: ignore[method-assign]
    PerceptionNode.has_subscribers = lambda self, *of: True  # type: ignore[method-assign]
    PerceptionNode.warn_throttled = _checked_warning  # type: ignore[method-assign]

    rclpy.init(args=["fuzz", "--ros-args", *_parameters(name), "--log-level", "error"])
    node = node_class(name)()
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    end = time.monotonic() + _CONFIGURE
    while not node.active and time.monotonic() < end:
        executor.spin_once(timeout_sec=0.2)
    if not node.active or not handlers:
        raise RuntimeError(f"the node {name} did not become active")

    def inputs(seed: int) -> Iterator[bytes]:
        rng = random.Random(seed)
        while True:
            yield rng.randbytes(8)

    def run(data: bytes) -> None:
        rng = random.Random(data)
        executor.spin_once(timeout_sec=0.0)
        rng.choice(handlers)(rng)
        if foreign:
            raise foreign.pop()

    return Target(f"{name} node", _ALLOWED, inputs, run)


def _checked_warning(self: Any, text: str, key: str = "") -> None:
    if len(text) > 5000 or len(key) > 1000:
        raise AssertionError(f"a warning of {len(text)} characters: {text[:100]}")


def _parameters(name: str) -> list[str]:
    given = {"talking_face": ["audio_out:=none"]}.get(name, [])
    return [word for parameter in given for word in ("-p", parameter)]


def _message(kind: type[Any], rng: random.Random, clock: list[int]) -> Any:
    """Returns a random message; half of the images are consistent."""
    message = kind()
    for field, text in kind.get_fields_and_field_types().items():
        if rng.random() < 0.9:
            setattr(message, field, _value(text, rng, clock))
    if isinstance(message, Image) and rng.random() < 0.8:
        message.height, message.width = rng.choice((1, 48, 480)), rng.choice((1, 64, 640))
        message.encoding = rng.choice(("rgb8", "bgr8", "mono8", "mono16", "bgra8"))
        width = {"mono8": 1, "mono16": 2, "bgra8": 4}.get(message.encoding, 3) * message.width
        message.step = width
        message.data = bytes(width * message.height)
    if isinstance(message, CompressedImage):
        picture = np.full((48, 64, 3), rng.randrange(256), np.uint8)
        ending = rng.choice((".jpg", ".png"))
        data = cv2.imencode(ending, picture)[1].tobytes()
        message.data = data if rng.random() < 0.3 else changed(data, rng)
    return message


def _value(text: str, rng: random.Random, clock: list[int]) -> Any:
    """Returns a random value of a field, given its type as rosidl names it."""
    if found := re.fullmatch(r"sequence<(.+?)(?:, *(\d+))?>", text):
        length = rng.choice(_LENGTHS[:7] if "/" in found[1] else _LENGTHS)
        return _values(found[1], min(length, int(found[2] or 10**6)), rng, clock)
    if found := re.fullmatch(r"(.+)\[(\d+)\]", text):
        return _values(found[1], int(found[2]), rng, clock)
    if text.startswith(("string", "wstring")):
        return rng.choice(_TEXTS)
    if text == "boolean":
        return rng.random() < 0.5
    if text in ("float", "double"):
        value = rng.choice(_FLOATS) if rng.random() < 0.4 else rng.uniform(-2, 2)
        return value if text == "double" else float(np.float32(value)) if abs(value) < 3e38 else 0.0
    if text == "octet":
        return bytes([rng.randrange(256)])
    if found := re.fullmatch(r"(u?)int(\d+)", text):
        bits = int(found[2])
        low, high = (0, 2**bits - 1) if found[1] else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
        small = (0, 1, 2, 3, 16, 48, 64, 640, 16000, 44100)
        return min(rng.choice((low, high, *small)), high)
    if text == "builtin_interfaces/Time":
        clock[0] += 33_000_000
        stamp = clock[0] if rng.random() < 0.8 else rng.choice((0, 1, 2**31 * 10**9 - 1))
        from builtin_interfaces.msg import Time

        return Time(sec=stamp // 10**9, nanosec=stamp % 10**9)
    package, _, name = text.partition("/")
    kind = getattr(importlib.import_module(f"{package}.msg"), name)
    return _message(kind, rng, clock)


def _values(text: str, length: int, rng: random.Random, clock: list[int]) -> Any:
    if text == "uint8":
        return rng.randbytes(length)
    if text in ("float", "double"):
        values = np.random.default_rng(rng.randrange(1 << 30)).normal(0, 1, length)
        if length and rng.random() < 0.2:
            values[rng.randrange(length)] = rng.choice(_FLOATS)
        with np.errstate(over="ignore"):
            return values.astype(np.float32 if text == "float" else np.float64).tolist()
    return [_value(text, rng, clock) for _ in range(length)]
