"""Fuzzes the converters of published data sets: folders in which one file is changed."""

from __future__ import annotations

import importlib
import os
import random
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.fuzzing.mutations import changed, seeds_of_inputs
from bench.fuzzing.target import Target
from face_perception.errors import FacePerceptionError

# The tests of the converters make small data sets in the layouts of the published ones.
_TESTS = Path(__file__).resolve().parents[2] / "test" / "learning"
_PICTURES = (".jpg", ".png", ".avi", ".mov", ".mp4")
_MADE_BY = {
    **dict.fromkeys(("columbia_gaze", "mpiigaze", "afew_va", "disfa", "aff_wild2"), "converters"),
    **dict.fromkeys(("raf_db", "expw", "affectnet", "bp4d", "gaze_capture"), "picture_converters"),
    **dict.fromkeys(("eth_xgaze", "eyediap", "omg_emotion"), "picture_converters"),
}
CONVERTERS = tuple(f"converter {name}" for name in _MADE_BY)


def converter_target(name: str, folder: Path) -> Target:
    """Returns the target of a name in ``CONVERTERS``. Its data set is in ``folder``."""
    module = importlib.import_module(f"face_perception.learning.data.{name.split()[1]}")
    source, out, spoilt = folder / "source", folder / "out", folder / "spoilt"
    _maker(module)(source)
    files = sorted(path.relative_to(source) for path in source.rglob("*") if path.is_file())
    texts = [file for file in files if file.suffix not in _PICTURES]

    def run(data: bytes) -> object:
        rng = random.Random(data)
        shutil.rmtree(out, ignore_errors=True)
        shutil.rmtree(spoilt, ignore_errors=True)
        shutil.copytree(source, spoilt)
        _spoil(spoilt / rng.choice(texts if texts and rng.random() < 0.8 else files), rng)
        return module.convert(spoilt, out, tracker=_Tracker(), every=rng.choice((1, 1, 2)))

    return Target(name, (FacePerceptionError, OSError), seeds_of_inputs, run)


def _maker(module: Any) -> Callable[[Path], None]:
    sys.path.insert(0, str(_TESTS))
    name = module.__name__.rpartition(".")[2]
    if _MADE_BY[name] == "converters":
        import test_converters as tests

        makers: dict[str, Callable[[Path], None]] = {
            "columbia_gaze": tests.columbia,
            "mpiigaze": tests.mpii,
            "afew_va": tests.afew,
            "disfa": tests.disfa_set,
            "aff_wild2": tests.aff,
        }
        return makers[name]
    import test_picture_converters as pictures
    from faces_scene import photo

    portrait = photo("astronaut")[:300, 70:370]
    make = pictures.SETS[module]
    return lambda source: make(source, portrait, portrait[65:165, 85:185].copy())


def _spoil(path: Path, rng: random.Random) -> None:
    kind = rng.randrange(12)
    if kind == 0:
        path.unlink()
    elif kind == 1:
        path.unlink()
        os.mkfifo(path)
    elif kind == 2:
        path.unlink()
        path.symlink_to(rng.choice(("/dev/zero", "nowhere", path.name, "/")))
    elif kind == 3:
        other = os.fsencode(path.parent) + b"/" + rng.choice((b"\xff.jpg", b"a\nb.txt", b"0"))
        shutil.copy(path, other)
    else:
        path.write_bytes(changed(path.read_bytes(), rng))


class _Tracker:
    """Stands in for the face tracker, which takes most of the time: a face fills the picture."""

    def detect(self, frame: Any) -> list[Any]:
        from overlay_scene import face

        height, width = frame.image.shape[:2]
        return [face(x=width / 2, y=height / 2, size=min(height, width) / 2)]
