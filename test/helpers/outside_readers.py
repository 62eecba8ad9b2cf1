"""The readers of files from outside that need neither ROS nor PyTorch, each with a good file.

test_outside_files.py damages these files in every way; bench/fuzz.py changes them at random. The
readers of checkpoints and data sets are in outside_training_readers.py.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml

from face_perception.avatar import Avatar, AvatarError, crop_box, load_avatar, save_avatar
from face_perception.bringup.parameter_file import check_parameter_file
from face_perception.commands.sample_inputs import network_inputs
from face_perception.errors import FacePerceptionError, InputError
from face_perception.files import add_seal
from face_perception.inference import (
    ModelBuild,
    ModelError,
    Port,
    find_card,
    install_model,
    load,
    read_reference_inputs,
    read_variant,
)
from face_perception.inference.conversion.onnx_graph import Graph
from face_perception.inference.models import store
from face_perception.inference.models.cards import Card, Source
from face_perception.inference.models.variants import write_variant
from face_perception.inference.tensorrt import engine_cache
from face_perception.learning.recipe import read_settings
from face_perception.markers import read_marker_file
from face_perception.media import load_camera
from face_perception.outside_files import named_os_errors, parse_yaml
from face_perception.people import (
    Calibration,
    CalibrationStore,
    Correction,
    EnrolledPerson,
    EnrolledStore,
)
from face_perception.results import (
    RunRecord,
    find_events,
    frame_columns,
    frame_rows,
    read_clip,
    read_clips,
    read_record,
    summarise_persons,
    write_table,
)
from face_perception.settings import setting
from face_perception.web import read_web_token


def nothing(path: Path) -> None:
    """Nothing belongs to the file that has to be put right."""


@dataclass(frozen=True)
class Reader:
    """One reader.

    - ``name``: what it reads.
    - ``error``: the one type of error that it may raise.
    - ``make``: makes a good file, and what belongs to it, in a folder; returns its path.
    - ``read``: reads the file.
    - ``text``: "yaml" or "json" if the file has that format, else empty.
    - ``seal``: puts seals and hashes right after a change, so that the reader gets to the content.
    - ``good``: kinds of damage (see ``damage.KINDS``) that leave a file that it reads.
    - ``says_why``: whether its errors say what the file is instead. Some only say "damaged",
      because what they read can be made again.
    """

    name: str
    error: type[FacePerceptionError]
    make: Callable[[Path], Path]
    read: Callable[[Path], object]
    text: str = ""
    seal: Callable[[Path], None] = nothing
    good: tuple[str, ...] = ()
    says_why: bool = True


def sealed(text: str) -> str:
    """Returns a text with its last seal replaced by the right one."""
    return add_seal(re.sub(r"^seal: .*\n?", "", text, flags=re.MULTILINE))


def seal_text(path: Path) -> None:
    """Puts the seal of a text right; leaves bytes that are no text."""
    try:
        path.write_text(sealed(path.read_text()))
    except UnicodeDecodeError:
        return


def _network(folder: Path) -> Path:
    """Installs a network that doubles two numbers; returns its card."""
    graph = Graph("double")
    face = graph.input("face", (2,))
    graph.output("twice", graph.node("Add", face, face), (2,))
    build = ModelBuild(
        name="double",
        onnx=graph.serialise(),
        task="doubles a face",
        licence="MIT",
        origin="here",
        inputs={"face": Port((None, 2), "float32", "anything")},
        outputs={"twice": Port((None, 2), "float32", "doubled", 0.1)},
        reference_inputs={"face": np.ones((3, 2), np.float32)},
        facts={"classes": ["a", "b"], "window": 8},
    )
    return install_model(build, folder).path.with_suffix(".yaml")


def _beside(suffix: str) -> Callable[[Path], Path]:
    return lambda folder: _network(folder).with_suffix(suffix)


def _seal_network(path: Path) -> None:
    """Writes the hash of an ONNX file into its card."""
    card = path.with_suffix(".yaml")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    card.write_text(sealed(re.sub(r"sha256: \w+", f"sha256: {digest}", card.read_text())))


def _variant(folder: Path) -> Path:
    card = find_card(_network(folder))
    data = store.read(card)
    write_variant(card, "fp16", data, data, [], "onnxruntime")
    return folder / "double.fp16.yaml"


SOURCE = Source("wheel", "1", "a.bin", "0" * 64)


def _recorded_card(path: Path) -> Card:
    return Card(
        "double",
        "model",
        "doubles",
        "MIT",
        "double.onnx",
        source=SOURCE,
        recipe="expression",
        folder=path.parent,
    )


def _record(folder: Path) -> Path:
    (folder / "double.onnx").write_bytes(b"network")
    record = {"source": SOURCE.sha256, "revision": 1}
    record["sha256"] = hashlib.sha256(b"network").hexdigest()
    path = folder / "double.onnx.json"
    path.write_text(json.dumps(record))
    return path


CAMERA = """\
image_width: 64
image_height: 48
camera_matrix: {rows: 3, cols: 3, data: [60, 0, 31.5, 0, 61, 23.5, 0, 0, 1]}
distortion_model: plumb_bob
distortion_coefficients: {rows: 1, cols: 5, data: [0.1, -0.2, 0, 0, 0]}
"""


def written(name: str, content: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        (folder / name).write_text(content)
        return folder / name

    return make


def _avatar(folder: Path) -> Path:
    box = (8, 8, 24, 24)
    left, top, right, bottom = crop_box(box)
    mask = np.full((bottom - top, right - left), 255, np.uint8)
    rng = np.random.default_rng(0)
    save_avatar(
        folder / "me.avatar",
        Avatar(
            pictures=tuple(rng.integers(0, 255, (2, 32, 32, 3), np.uint8)),
            boxes=(box, box),
            masks=(mask, mask),
            latents=np.zeros((2, 8, 32, 32), np.float32),
            fps=25.0,
            version="1.5",
            autoencoder="",
            source="me.png",
        ),
    )
    return folder / "me.avatar"


def _read_avatar(path: Path) -> object:
    return load_avatar(path).blenders()


def rewritten_archive(path: Path, change: Callable[[str, bytes], bytes]) -> None:
    """Changes the members of an avatar file, and puts hashes and seal right."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    members = {name: change(name, data) for name, data in members.items()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            if name == "avatar.yaml":
                try:
                    content = parse_yaml(data.decode())
                    content["sha256"].update(
                        {
                            other: hashlib.sha256(members[other]).hexdigest()
                            for other in members
                            if other != name and other in content["sha256"]
                        }
                    )
                    data = yaml.safe_dump(content, sort_keys=False).encode()
                except Exception:
                    pass  # not the content of an avatar any more
                data = sealed(data.decode(errors="replace")).encode()
            archive.writestr(name, data)


def _seal_avatar(path: Path) -> None:
    try:
        rewritten_archive(path, lambda name, data: data)
    except Exception:
        return  # not an archive any more


def _person(folder: Path) -> Path:
    fit = Correction(bias_yaw=0.05, bias_pitch=-0.1)
    known = Calibration("geometric", "3", fit, 0.01, 0.06, 30, 1, made=0.0)
    CalibrationStore(folder).put("anna", known)
    return next(folder.glob("*.json"))


def _read_person(path: Path) -> object:
    """Raises the warning of the store, which leaves out what it cannot read."""
    warned: list[str] = []
    found = CalibrationStore(path.parent, warned.append).load_all()
    if warned:
        raise InputError(warned[0])
    return found


@dataclass(frozen=True)
class RecipeSettings:
    """Settings of each type."""

    task: str = setting("small")
    epochs: int = setting(3, minimum=1, maximum=100)
    rate: float = setting(0.1, above=0.0)
    sizes: tuple[float, ...] = setting((1.0, 2.0), length=2)
    mirror: bool = setting(True)


RECIPE = "task: small\nepochs: 3\nrate: 0.1\nsizes: [1.0, 2.0]\nmirror: true\n"
ENGINE_KEY = {"model": "abc", "device": "none"}


def _engine(folder: Path) -> Path:
    engine_cache.write(folder / "a.engine", ENGINE_KEY, b"engine")
    return folder / "a.engine"


def _read_engine(path: Path) -> object:
    """Raises ModelError for an engine that the cache would build again."""
    found = engine_cache.read(path, ENGINE_KEY)
    if found is None:
        raise ModelError(f"{path} is damaged and is built again")
    return found


def _enrolled(folder: Path) -> Path:
    looks = np.random.default_rng(0).normal(0, 0.1, (2, 128)).astype(np.float32)
    EnrolledStore(folder).put(EnrolledPerson("anna", "dlib-1", looks, made=1.8e9))
    return next(folder.glob("*.json"))


def _read_enrolled(path: Path) -> object:
    with named_os_errors(path, InputError):
        return EnrolledStore(path.parent).get("anna") or EnrolledStore(path.parent)._read(path)


def _results(folder: Path) -> Path:
    from synthetic_session import ROBOT, Script, lines, write

    person = Script("face_1", looks=[(0.0, 1.0, ROBOT)], smiles=[(0.5, 1.0)])
    return write(folder / "clip.jsonl", lines([person], 2.0, 10.0))


def _read_results(path: Path) -> object:
    """Reads all that a report needs."""
    with named_os_errors(path, InputError):
        clip = read_clip(path)
    list(frame_rows(path, frame_columns([path])))
    return summarise_persons(clip, find_events(clip))


def _table(folder: Path) -> Path:
    results = _results(folder)
    columns = frame_columns([results])
    write_table(folder / "frames.csv", columns, frame_rows(results, columns))
    return folder / "frames.csv"


def _read_table(path: Path) -> object:
    with named_os_errors(path, InputError):
        return [summarise_persons(clip, find_events(clip)) for clip in read_clips(path)]


def _run_record(folder: Path) -> Path:
    RunRecord("/a.mp4", 1, 2, "", 3, 4, {"gaze": "geometric"}).write(folder / "clip.jsonl")
    return folder / "clip.run.json"


_ANY_TEXT = (
    *("cut in half", "cut after 20 bytes"),
    *("nested lists", "nested mappings", "nested indentation"),
)
MARKERS = "stamp,label,source\n1.500000,begin,service\n2.500000,'=end,topic\n"
_PARAMETERS = "/**/gaze:\n  ros__parameters:\n    threads: 2\n"

READERS = (
    Reader("enrolled person", InputError, _enrolled, _read_enrolled, "json", says_why=False),
    Reader(
        "results of a clip",
        InputError,
        _results,
        _read_results,
        says_why=False,
    ),
    Reader(
        "table of frames",
        InputError,
        _table,
        _read_table,
        says_why=False,
    ),
    Reader(
        "record of a run",
        InputError,
        _run_record,
        lambda path: read_record(path.with_name("clip.jsonl")),
        "json",
        good=("missing", "dangling link", "circular link"),
    ),
    Reader(
        "markers of a session",
        InputError,
        written("markers.csv", MARKERS),
        read_marker_file,
        good=("missing", "dangling link", "circular link", "cut in half"),
    ),
    Reader(
        "parameter file",
        InputError,
        written("params.yaml", _PARAMETERS),
        lambda path: check_parameter_file(str(path), ["/gaze"], ["gaze", "attention"]),
        "yaml",
        good=("empty",),
    ),
    Reader(
        "password of a page",
        InputError,
        written("token", "a long password\n"),
        read_web_token,
        good=_ANY_TEXT,
    ),
    Reader("model card", ModelError, _network, find_card, "yaml", seal_text),
    Reader(
        "network",
        ModelError,
        _beside(".onnx"),
        lambda path: load(path.with_suffix(".yaml"), backend="onnxruntime"),
        seal=_seal_network,
    ),
    Reader(
        "variant card",
        ModelError,
        _variant,
        lambda path: read_variant(path.with_name("double.yaml"), "fp16"),
        "yaml",
        seal_text,
    ),
    Reader(
        "model record",
        ModelError,
        _record,
        lambda path: store.read(_recorded_card(path)),
        "json",
        says_why=False,
    ),
    Reader(
        "reference inputs",
        ModelError,
        _beside(".npz"),
        lambda path: read_reference_inputs(find_card(path.with_suffix(".yaml"))),
    ),
    Reader(
        "captured inputs",
        ModelError,
        _beside(".npz"),
        lambda path: network_inputs(find_card(path.with_suffix(".yaml")), 2, arrays=path),
    ),
    Reader("TensorRT engine", ModelError, _engine, _read_engine, says_why=False),
    Reader("camera calibration", InputError, written("camera.yaml", CAMERA), load_camera, "yaml"),
    Reader("avatar", AvatarError, _avatar, _read_avatar, seal=_seal_avatar),
    Reader(
        "calibration of a person",
        InputError,
        _person,
        _read_person,
        "json",
        good=("missing", "dangling link"),  # of a person who has none
        says_why=False,
    ),
    Reader(
        "recipe",
        InputError,
        written("recipe.yaml", RECIPE),
        lambda path: read_settings(RecipeSettings, path),
        "yaml",
        good=("cut in half",),  # the other settings have defaults
    ),
)


def npz_bytes(**arrays: object) -> bytes:
    """Returns the content of a compressed .npz file."""
    content = io.BytesIO()
    np.savez_compressed(content, **arrays)  # type: ignore[arg-type]
    return content.getvalue()
