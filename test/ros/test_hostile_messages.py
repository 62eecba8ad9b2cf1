"""Tests that texts in messages name no files: a node must open nothing that a message names."""

from __future__ import annotations

import contextlib
import os
import random
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from node_handlers import ALLOWED, PATHS, NodeHandlers

_CALLS = 150


class OpenedFiles:
    """The names of the files that this process opens while ``names`` is a list."""

    def __init__(self) -> None:
        self.names: list[str] | None = None
        sys.addaudithook(self._hook)  # cannot be removed

    def _hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.names is not None and event in ("open", "os.listdir", "os.scandir"):
            name = arguments[0]
            if isinstance(name, str | bytes | os.PathLike):
                self.names.append(os.fsdecode(name))


@pytest.fixture(scope="module")
def audit() -> OpenedFiles:
    return OpenedFiles()


@pytest.fixture
def opened(audit: OpenedFiles) -> Iterator[list[str]]:
    audit.names = []
    yield audit.names
    audit.names = None


@pytest.mark.parametrize(
    "name",
    [
        *("overlay", "gaze", "affect", "attention", "face_tracker", "talking_face", "session"),
        *("dashboard", "voice"),
    ],
)
def test_no_text_of_a_message_opens_a_file(
    name: str, domain: int, monkeypatch: pytest.MonkeyPatch, opened: list[str], tmp_path: Path
) -> None:
    pipe, marked = tmp_path / "pipe", tmp_path / "hostile.yaml"
    os.mkfifo(pipe)  # to open it would block the node
    marked.write_text("kind: network\n")
    texts = [*PATHS, str(pipe), str(marked), f"file://{marked}"]
    monkeypatch.chdir(tmp_path)
    folder = {"gaze": "people", "session": "folder"}.get(name)
    own = {folder: str(tmp_path / "own")} if folder else {}
    node = NodeHandlers(name, monkeypatch.setattr, parameters=own, texts=texts)
    try:
        rng = random.Random(0)
        opened.clear()
        for _ in range(_CALLS):
            with contextlib.suppress(*ALLOWED):
                node.call_one(rng)
        # A session's folder is named after its label.
        outside = [file for file in opened if not file.startswith(str(tmp_path / "own"))]
        found = [file for file in outside if any(text in file for text in texts if len(text) > 1)]
    finally:
        node.close()
    assert not found
