"""Markers from a keyboard: single keys in a terminal, and lines."""

from __future__ import annotations

import os
import pty
import termios
import threading
from collections.abc import Iterator
from typing import TextIO

import pytest

from face_perception import cli
from face_perception.commands.typed_markers import key_labels, pressed_keys, typed_lines
from face_perception.errors import InputError

LABELS = {"a": "condition A", "ü": "Übung"}


@pytest.fixture
def terminal() -> Iterator[tuple[int, TextIO]]:
    """The keyboard of a terminal, and the terminal as a program sees it."""
    keyboard, seen = pty.openpty()
    with os.fdopen(seen) as stream:
        yield keyboard, stream
    os.close(keyboard)


def test_each_key_is_a_marker_until_escape(
    terminal: tuple[int, TextIO], capsys: pytest.CaptureFixture[str]
) -> None:
    keyboard, stream = terminal
    before = termios.tcgetattr(stream)
    keys = pressed_keys(stream, LABELS)
    os.write(keyboard, b"a")
    assert next(keys)[0] == "condition A"
    os.write(keyboard, "üx".encode())
    assert next(keys)[0] == "Übung"
    # While somebody works on one marker, the next ones are read with their own times.
    os.write(keyboard, b"a")
    first, when = next(keys)
    os.write(keyboard, b"\x1b[A")  # an arrow is no marker, and not the end
    threading.Event().wait(0.05)
    os.write(keyboard, b"a")
    second, later = next(keys)
    assert (first, second) == ("condition A", "condition A")
    assert later > when
    os.write(keyboard, b"\x1b")
    assert list(keys) == []
    assert termios.tcgetattr(stream) == before
    shown = capsys.readouterr().err
    assert "  ü  Übung\n  Esc  end\n" in shown
    assert "the key 'x' has no label (a: condition A, ü: Übung)" in shown


def test_keys_without_a_terminal_are_refused(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    reading, writing = os.pipe()
    os.close(writing)
    with os.fdopen(reading) as stream:
        monkeypatch.setattr("sys.stdin", stream)
        assert cli.main(["session", "mark", "--key", "a=condition A"]) == 1
    assert "--key needs a terminal, and the standard input is not one" in capsys.readouterr().err
    assert cli.main(["session", "mark", "now", "--key", "a=b"]) == 1
    assert "either the text of one marker or --key" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["", "a", "a=", "ab=c", "a= ", "\t=c"])
def test_a_key_without_a_label_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="give a key and a label, such as --key 'a=condition A'"):
        key_labels([text])


def test_a_key_has_one_label() -> None:
    assert key_labels(["a=condition A", "== b = c"]) == {"a": "condition A", "=": "b = c"}
    with pytest.raises(InputError, match="the key a has a label already"):
        key_labels(["a=1", "a=2"])


def test_lines_are_markers_and_the_last_one_needs_no_end() -> None:
    reading, writing = os.pipe()
    with os.fdopen(reading) as stream:
        os.write(writing, b"condition A\n\n  pause \ncaf\xe9\nlast")
        os.close(writing)
        assert [text for text, _ in typed_lines(stream)] == [
            "condition A",
            "pause",
            "caf\udce9",
            "last",
        ]
