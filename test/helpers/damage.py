"""Ways in which a file from outside can be odd or hostile, for tests of its reader."""

from __future__ import annotations

import copy
import itertools
import json
import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import yaml

LFS = (
    b"version https://git-lfs.github.com/spec/v1\n"
    b"oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 12345\n"
)
PAGE = b"<!DOCTYPE html><html><head><title>Google Drive - Virus scan warning</title></head></html>"


def _replaced(make: Callable[[Path], None]) -> Callable[[Path, bytes], None]:
    def damage(path: Path, good: bytes) -> None:
        path.unlink()
        make(path)

    return damage


def _content(change: Callable[[bytes], bytes]) -> Callable[[Path, bytes], None]:
    return lambda path, good: path.write_bytes(change(good)) and None


def _dangling(path: Path) -> None:
    path.symlink_to(path.with_name("nowhere"))


def _circular(path: Path) -> None:
    path.symlink_to(path)


def _noise(size: int) -> bytes:
    return random.Random(size).randbytes(size)


# What is never a good file, by name: replaces the file at a path, whose content was ``good``.
KINDS: dict[str, Callable[[Path, bytes], None]] = {
    "missing": lambda path, good: path.unlink(),
    "empty": _content(lambda good: b""),
    "folder": _replaced(Path.mkdir),
    "named pipe": _replaced(os.mkfifo),
    "device": _replaced(lambda path: path.symlink_to("/dev/zero")),
    "dangling link": _replaced(_dangling),
    "circular link": _replaced(_circular),
    "noise": _content(lambda good: _noise(3000)),
    "much noise": _content(lambda good: _noise(300_000)),
    "zeros": _content(lambda good: bytes(100_000)),
    "cut in half": _content(lambda good: good[: len(good) // 2]),
    "cut after 20 bytes": _content(lambda good: good[:20]),
    "Git LFS pointer": _content(lambda good: LFS),
    "web page": _content(lambda good: PAGE),
    "not UTF-8": _content(lambda good: b"\xff\xfe" + good[:20] + b"\xe4"),
    "nested lists": _content(lambda good: b"[" * 5000),
    "nested mappings": _content(lambda good: b'{"a":' * 5000),
    "nested indentation": _content(lambda good: b"- " * 5000),
}

_HUGE: tuple[Any, ...] = (10**40, -(10**40), 1e308, float("inf"), float("nan"), -1, 0)
_WRONG: tuple[Any, ...] = (
    None,
    True,
    "text",
    "",
    [],
    {},
    [[1]],
    {"a": 1},
    "x" * 2000,
    list(range(200)),
)


def changed_leaves(text: str, language: str) -> Iterator[str]:
    """Yields YAML or JSON texts in which one value has another type or is huge.

    Each place gets five of the values, in turn, and the whole text gets each of them.
    """
    good = yaml.safe_load(text) if language == "yaml" else json.loads(text)
    dump = yaml.safe_dump if language == "yaml" else json.dumps
    values = itertools.cycle((*_HUGE, *_WRONG))
    for place in list(places_of(good)):
        for value in itertools.islice(values, 5):
            changed = copy.deepcopy(good)
            at = changed
            for key in place[:-1]:
                at = at[key]
            at[place[-1]] = value
            yield dump(changed)
    for value in (*_HUGE, *_WRONG):
        yield dump(value)


def places_of(value: Any, before: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yields the path, as keys and indices, of each value in nested mappings and lists.

    Leaves out the key ``seal``.
    """
    pairs = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in pairs:
        if key != "seal":
            yield (*before, key)
            if isinstance(inner, dict | list):
                yield from places_of(inner, (*before, key))


def laughter(levels: int = 8) -> str:
    """Returns a YAML text of 300 bytes whose last value repeats others 9 ** ``levels`` times."""
    lines = ["a: &a [x, x, x, x, x, x, x, x, x]"]
    for before, name in zip("abcdefghij", "bcdefghijk"[:levels], strict=False):
        lines.append(f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]")
    return "\n".join(lines) + "\n"


def merged(levels: int = 8) -> str:
    """Returns a YAML text of 300 bytes whose merge keys repeat others 9 ** ``levels`` times."""
    lines = ["a: &a {x: 1}"]
    for before, name in zip("abcdefghij", "bcdefghijk"[:levels], strict=False):
        lines.append(f"{name}: &{name} {{<<: [{', '.join([f'*{before}'] * 9)}]}}")
    return "\n".join(lines) + "\n"
