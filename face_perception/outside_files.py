"""Reads YAML, JSON and array files that people bring: any failure becomes one kind of error.

Such a file may be empty, cut off, a Git LFS pointer, or made to harm. ``one_error`` is put around
the reading; the other functions refuse what would take unbounded time or memory.
"""

from __future__ import annotations

import codecs
import contextlib
import io
import json
import os
import re
import sys
import zipfile
import zlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, BinaryIO

import yaml

from face_perception.errors import FacePerceptionError, InputError, machine_limit, one_line
from face_perception.files import open_regular, read_regular

if TYPE_CHECKING:
    import numpy.typing as npt

# Most bytes of a YAML or JSON file. PyYAML reads 150 kB a second; our largest file has 5 kB.
MOST_TEXT = 1 << 16
# Limits of the content of a YAML file. Aliases count as often as they are used.
_MOST_NODES, _MOST_DEPTH, _LONGEST_NUMBER = 100_000, 50, 100
_BRACKETS, _MOST_BRACKETS = re.compile(r"[\[\]{}]"), 200
# What the parts of a zip file may need in memory: so much in any case, and so many times the size
# of the file. Images and weights shrink to a tenth at most; a bomb shrinks to a thousandth.
_FREE_MEMORY, _LARGEST_RATIO = 64 << 20, 20
# Most arrays in an .npz file, and the kinds of their values: booleans, numbers and texts.
_MOST_ARRAYS, _ARRAY_KINDS = 20_000, "biufUS"

# How the files begin that one gets instead of a file, in small letters.
_ANNEX = (b"/annex/objects/", b"../.git/annex/", b".git/annex/")
_WEB_PAGE = (b"<!doctype html", b"<html", b"<!--", b"<head", b"<script")
_SERVER_ERROR = (
    *(b"404: not found", b"404 not found", b"not found", b"entry not found", b"access denied"),
    *(b"invalid username or password", b'{"error"', b'{"message"', b"<error>"),
)


class StandInError(InputError):
    """The file is not itself, but what one gets instead of it. The message has the fix."""


@contextlib.contextmanager
def one_error(
    subject: str, fix: str, kind: Callable[[str], FacePerceptionError] = InputError
) -> Iterator[None]:
    """Raises any exception of the block as ``kind``: "SUBJECT cannot be read: REASON: FIX".

    Put it around the reading of one file. If ``kind`` is a subclass such as ModelError, errors of
    that class pass unchanged. A plain InputError gets subject and fix, a StandInError only the
    subject. At a limit of the machine (``machine_limit``), the fix is that of the limit.

    >>> with one_error("camera calibration a.yaml", "write it again"):
    ...     parse_yaml("a: [")
    Traceback (most recent call last):
    face_perception.errors.InputError: camera calibration a.yaml cannot be read: it is not YAML \
(expected the node content, but found '<stream end>' in line 1): write it again
    """
    try:
        yield
    except Exception as error:
        if kind is not InputError and isinstance(kind, type) and isinstance(error, kind):
            raise
        text = f"{subject} cannot be read: {reason_of(error)}"
        has_fix = isinstance(error, StandInError) or machine_limit(error)
        raise kind(text if has_fix else f"{text}: {fix}") from error


@contextlib.contextmanager
def named_os_errors(
    path: str | os.PathLike[str], kind: Callable[[str], FacePerceptionError], fix: str = ""
) -> Iterator[None]:
    """Raises any OSError of the block as ``kind``, which names the file, the reason and ``fix``.

    >>> from face_perception.files import open_regular
    >>> with named_os_errors("none.png", InputError, "copy it"):
    ...     open_regular("none.png")
    Traceback (most recent call last):
    face_perception.errors.InputError: there is no file none.png: copy it
    """
    try:
        yield
    except OSError as error:
        missing = isinstance(error, FileNotFoundError)
        text = (
            f"there is no file {path}" if missing else f"{path} cannot be read: {reason_of(error)}"
        )
        raise kind(f"{text}: {fix}" if fix and not machine_limit(error) else text) from error


def reason_of(error: Exception) -> str:
    """Returns why something failed, on one line of limited length, never empty."""
    if limit := machine_limit(error):
        return limit
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if isinstance(error, MemoryError):
        return "it needs more memory than there is"
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    if isinstance(error, zipfile.BadZipFile | zlib.error | EOFError):
        return f"it is damaged or truncated ({one_line(error) or type(error).__name__})"
    if isinstance(error, UnicodeDecodeError):
        return f"it is not UTF-8 text (byte {error.start})"
    if isinstance(error, json.JSONDecodeError):
        return f"it is not JSON ({one_line(error)})"
    if isinstance(error, yaml.MarkedYAMLError):
        line = f" in line {error.problem_mark.line + 1}" if error.problem_mark else ""
        return f"it is not YAML ({one_line(error.problem or error.context or '')}{line})"
    if isinstance(error, yaml.YAMLError):
        return f"it is not YAML ({one_line(error)})"
    if isinstance(error, KeyError):
        text = one_line(error.args[0] if error.args else error)
        return text if " " in text else f"'{text}' is missing"
    name = "" if isinstance(error, FacePerceptionError) else f"{type(error).__name__}: "
    return f"{name}{one_line(error)}" if str(error).strip() else type(error).__name__


def stands_in(start: bytes) -> str:
    """Returns what a file is instead of its content, given its first 100 bytes; "" if it is itself.

    >>> stands_in(b"version https://git-lfs.github.com/spec/v1")
    'it is a Git LFS pointer and not the file itself (run `git lfs pull`)'
    """
    text = start.removeprefix(codecs.BOM_UTF8).lstrip().lower()
    if text.startswith(b"version https://git-lfs"):
        return "it is a Git LFS pointer and not the file itself (run `git lfs pull`)"
    if text.startswith(_ANNEX):
        return "it is a git-annex pointer and not the file itself (run `git annex get`)"
    if text.startswith(_WEB_PAGE):
        return "it is a web page and not the file itself (download it in a browser)"
    if text.startswith(_SERVER_ERROR) or (text.startswith(b"<?xml") and b"<error>" in text):
        answer = one_line(start.decode(errors="replace"), 60)
        return f"it is what a server answered instead of the file ({answer})"
    return ""


def refuse_stand_in(start: bytes) -> None:
    """Raises StandInError if a file that starts so is not itself (see ``stands_in``)."""
    if problem := stands_in(start):
        raise StandInError(problem)


def read_bytes(path: str | os.PathLike[str], most: int | None = None) -> bytes:
    """Returns the content of a file.

    Raises OSError, InputError if the file is empty, and StandInError.
    """
    data = read_regular(path, most)
    if not data:
        raise InputError("it is empty")
    refuse_stand_in(data[:100])
    return data


def read_yaml(path: str | os.PathLike[str]) -> Any:
    """Returns the content of a YAML file in UTF-8. Raises many types: use it in ``one_error``."""
    return parse_yaml(read_bytes(path, MOST_TEXT).decode("utf-8-sig"))


def read_json(path: str | os.PathLike[str], most: int = MOST_TEXT) -> Any:
    """Returns the content of a JSON file in UTF-8. Raises many types: use it in ``one_error``."""
    return json.loads(read_bytes(path, most))


def parse_yaml(text: str) -> Any:
    """Returns the plain values of a YAML text.

    Raises InputError or yaml.YAMLError if it is not YAML, and InputError if it is nested too
    deeply, or repeats itself through aliases until it has more than 100 000 values.
    """
    _check_brackets(text)
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        _size(node, {}, 0)
        return loader.construct_document(node)
    except (ValueError, ArithmeticError, LookupError, TypeError, AttributeError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"it is not YAML ({one_line(error)})") from error  # such as month 13
    finally:
        loader.dispose()


class _Loader(yaml.SafeLoader):
    """Reads plain values, and refuses numbers of more than 100 digits.

    Reads 1e-05 as a number, as YAML 1.2 and other programs do. For PyYAML it is a text.
    """

    def construct_yaml_int(self, node: yaml.ScalarNode) -> int:
        if len(node.value) > _LONGEST_NUMBER:
            raise InputError(f"line {node.start_mark.line + 1} has a number that is too long")
        return int(super().construct_yaml_int(node))


_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_yaml_int)
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)[eE][-+]?[0-9]+\Z"),
    list("-+.0123456789"),
)


def _check_brackets(text: str) -> None:
    """Raises InputError if more than 200 brackets are open at once: PyYAML is slow at those."""
    depth = 0
    for found in _BRACKETS.finditer(text):
        depth += 1 if found[0] in "[{" else -1
        if depth > _MOST_BRACKETS:
            raise InputError("it is nested too deeply")


def _size(node: yaml.Node, known: dict[int, int], depth: int) -> int:
    """Returns the number of values of a node, with those of its aliases. Raises InputError."""
    if depth > _MOST_DEPTH:
        raise InputError("it is nested too deeply, or contains itself")
    size = known.get(id(node), 0)
    if not size:
        parts: list[yaml.Node] = []
        if isinstance(node, yaml.MappingNode):
            parts = [part for pair in node.value for part in pair]
        elif isinstance(node, yaml.SequenceNode):
            parts = node.value
        size = 1 + sum(_size(part, known, depth + 1) for part in parts)
        known[id(node)] = size
    if size > _MOST_NODES:
        raise InputError("its aliases repeat its values too often")
    return size


def read_arrays(path: str | os.PathLike[str]) -> dict[str, npt.NDArray[Any]]:
    """Returns the arrays of an .npz file by name. Use it inside ``one_error``.

    Refuses pickled objects, and archives that unpack to much more than their size.
    """
    with open_regular(path) as file:
        return _arrays(file)


def parse_arrays(data: bytes) -> dict[str, npt.NDArray[Any]]:
    """Does the same as ``read_arrays`` with the content of a file."""
    return _arrays(io.BytesIO(data))


def _arrays(file: BinaryIO) -> dict[str, npt.NDArray[Any]]:
    start = file.read(100)
    refuse_stand_in(start)
    if not start.startswith(b"PK"):
        raise InputError("it is not an .npz file of arrays")
    size = file.seek(0, os.SEEK_END)
    with zipfile.ZipFile(file) as archive:
        check_archive(archive, size)
        return {
            info.filename.removesuffix(".npy"): parse_array(archive.read(info))
            for info in archive.infolist()
        }


def parse_array(data: bytes) -> npt.NDArray[Any]:
    """Returns the array of an .npy file's content. Refuses a header that the data cannot fill."""
    import numpy as np  # here, because command lines load this module

    stream = io.BytesIO(data)
    version = np.lib.format.read_magic(stream)
    if version not in ((1, 0), (2, 0)):
        raise InputError(f"it has an array of the unknown format {version}")
    read = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }[version]
    shape, _, dtype = read(stream)
    if dtype.kind not in _ARRAY_KINDS or not dtype.itemsize:
        raise InputError("it has an array of objects, which is not read because they can run code")
    size = dtype.itemsize
    for length in shape:
        size *= length
    if size != len(data) - stream.tell():
        raise InputError(f"it has an array of {len(data)} bytes that does not fit its own header")
    stream.seek(0)
    array = np.lib.format.read_array(stream, allow_pickle=False)
    if dtype.kind == "U":  # Python makes no text of other numbers, and raises SystemError
        codes = array.reshape(-1).view(np.dtype("u4").newbyteorder(dtype.byteorder))
        if codes.size and codes.max() > sys.maxunicode:
            raise InputError("it has a text that is not Unicode")
    return array


def check_archive(archive: zipfile.ZipFile, size: int) -> None:
    """Raises InputError if a zip file of ``size`` bytes unpacks to much more than that."""
    parts = archive.infolist()
    unpacked = sum(part.file_size for part in parts)
    if len(parts) > _MOST_ARRAYS or unpacked > max(_FREE_MEMORY, _LARGEST_RATIO * size):
        raise InputError(f"it would unpack to {unpacked >> 20} MB in {len(parts)} parts")
