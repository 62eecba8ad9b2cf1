"""What is fuzzed: each target takes an input and may raise only its own kinds of errors."""

from __future__ import annotations

import os
import random
import tempfile
from collections.abc import Iterator
from pathlib import Path

from outside_readers import READERS, Reader, rewritten_archive

from bench.fuzzing.converter_targets import CONVERTERS, converter_target
from bench.fuzzing.media_targets import MEDIA, media_target
from bench.fuzzing.mutations import changed, from_grammar, seeds_of_inputs
from bench.fuzzing.target import Target
from face_perception.errors import FacePerceptionError

_BATCH = 100  # inputs that hypothesis makes at a time


def names() -> list[str]:
    """Returns the names of all targets, without importing what they need."""
    found = [reader.name for reader in READERS]
    found += ["avatar members", "origin of a web page", *MEDIA]
    for module, listed in (("torch", _TRAINING), ("rclpy", _NODES)):
        if _importable(module):
            found += listed
    return found


_TRAINING = (
    *("checkpoint", "old checkpoint", "checkpoint as .npz", "variables as .npz", "state dict"),
    *("state dict as .safetensors", "checkpoint of a run", "data set", "table of a data set"),
    *("annotations", "camera of a data set", "card of an ONNX file", "ONNX file"),
    *("settings of rendered people", "truth of rendered people", *CONVERTERS),
)
# Without motion_affect, which needs an imported network, hri, which needs hri_msgs, and those
# without subscriptions.
_NODES = (
    *("attention node", "gaze node", "affect node", "overlay node", "face_tracker node"),
    *("voice_activity node", "talking_face node", "people node", "session node", "voice node"),
    "dashboard node",
)


def _importable(module: str) -> bool:
    import importlib.util

    return importlib.util.find_spec(module) is not None


def target(name: str) -> Target:
    """Returns the target of a name. Imports what it needs."""
    if name in _NODES:
        from bench.fuzzing.node_targets import node_target

        return node_target(name.split()[0])
    if name in CONVERTERS:
        return converter_target(name, _folder())
    if name in MEDIA:
        return media_target(name, _folder())
    if name == "avatar members":
        (avatar,) = (reader for reader in READERS if reader.name == "avatar")
        return _of_avatar_members(avatar)
    if name == "origin of a web page":
        return _of_origins()
    readers = list(READERS)
    if name in _TRAINING:
        from outside_training_readers import TRAINING_READERS

        readers += TRAINING_READERS
    (reader,) = (reader for reader in readers if reader.name == name)
    return _of_reader(reader)


def _folder() -> Path:
    root = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    return Path(tempfile.mkdtemp(prefix="fuzz-", dir=root))


def _of_reader(reader: Reader) -> Target:
    path = reader.make(_folder())
    good = path.read_bytes()

    def inputs(seed: int) -> Iterator[bytes]:
        rng = random.Random(seed)
        texts: Iterator[bytes] = iter(())
        while True:
            if reader.text and rng.random() < 0.25:
                made = next(texts, None)
                if made is None:
                    texts = from_grammar(good, reader.text, _BATCH, rng.randrange(1 << 30))
                    made = next(texts, None)
                if made is not None:
                    yield made
                    continue
            yield changed(good, rng)

    rng = random.Random(0)

    def run(data: bytes) -> object:
        if path.is_symlink() or not path.exists():
            path.unlink(missing_ok=True)
        path.write_bytes(data)
        if rng.random() < 0.7:
            reader.seal(path)
        return reader.read(path)

    return Target(reader.name, (reader.error,), inputs, run)


def _of_avatar_members(reader: Reader) -> Target:
    """Changes the members of an avatar file, and puts all hashes right."""
    path = reader.make(_folder())
    good = path.read_bytes()

    def run(data: bytes) -> object:
        rng = random.Random(data)
        path.write_bytes(good)
        rewritten_archive(
            path, lambda name, member: changed(member, rng) if rng.random() < 0.3 else member
        )
        return reader.read(path)

    return Target("avatar members", (reader.error,), seeds_of_inputs, run)


def _of_origins() -> Target:
    from face_perception.web import origin_allowed

    good = b"http://127.0.0.1:8090\nhttp://localhost:8090\n[::1]:8090\nkiosk.example"

    def inputs(seed: int) -> Iterator[bytes]:
        rng = random.Random(seed)
        while True:
            yield changed(good, rng)

    def run(data: bytes) -> object:
        origin, _, host = data.decode("latin1").partition("\n")
        return origin_allowed(origin, host)

    return Target("origin of a web page", (FacePerceptionError,), inputs, run)
