"""Reads markers that somebody types: lines, or single keys with a label each.

A thread reads, so that what is typed while another marker is on its way has the time at which it
was typed.
"""

from __future__ import annotations

import codecs
import contextlib
import os
import queue
import sys
import termios
import threading
import time
import tty
from collections.abc import Iterator, Mapping, Sequence
from typing import TextIO

from face_perception.errors import InputError, shortened

_MOST = 4096  # bytes that are read at once
_END_KEYS = ("\x1b", "\x04")  # Esc and Ctrl+D
_ESCAPE = b"\x1b"
Typed = tuple[str, float]  # a text, and when it was typed (monotonic, seconds)


def typed_lines(stream: TextIO) -> Iterator[Typed]:
    """Yields each line of a file or terminal that is not empty, without spaces around it.

    Bytes that are not UTF-8 stay as they are (surrogates): one wrong line does not end the others.
    """
    rest, when = b"", time.monotonic()
    for data, when in _read(stream.fileno()):
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            if text := _decoded(line):
                yield text, when
    if text := _decoded(rest):
        yield text, when


def key_labels(texts: Sequence[str]) -> dict[str, str]:
    """Returns the label of each key, from texts such as ``a=condition A``.

    Raises InputError if one of them names no single key, or has no label, or if a key comes twice.
    """
    found: dict[str, str] = {}
    for text in texts:
        key, _, label = text[:1], text[1:2], text[2:].strip()
        if text[1:2] != "=" or not label or not key.isprintable():
            raise InputError(
                f"--key {shortened(text)} cannot be used: give a key and a label, such as "
                "--key 'a=condition A'"
            )
        if key in found:
            raise InputError(f"--key {shortened(text)}: the key {key} has a label already")
        found[key] = label
    return found


def pressed_keys(stream: TextIO, labels: Mapping[str, str]) -> Iterator[Typed]:
    """Returns an iterator over the label of each key that is pressed, until Esc or Ctrl+D.

    It prints the keys first, and also if another key is pressed. Raises InputError at once if
    ``stream`` is not a terminal.
    """
    if not stream.isatty():
        raise InputError(
            "--key needs a terminal, and the standard input is not one: run the command in a "
            "terminal, or leave --key out and write a line for each marker"
        )
    return _pressed(stream.fileno(), labels)


def _pressed(number: int, labels: Mapping[str, str]) -> Iterator[Typed]:
    before = termios.tcgetattr(number)
    print("\n".join(f"  {key}  {label}" for key, label in labels.items()), file=sys.stderr)
    print("  Esc  end", file=sys.stderr)
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    try:
        # Keys come at once, and those that were typed before are kept; Ctrl+C still interrupts.
        tty.setcbreak(number, termios.TCSANOW)
        for data, when in _read(number):
            if data.startswith(_ESCAPE) and len(data) > 1:
                continue  # an arrow or function key
            for key in decoder.decode(data):
                if key in _END_KEYS:
                    return
                if key in labels:
                    yield labels[key], when
                else:
                    known = ", ".join(f"{one}: {label}" for one, label in labels.items())
                    print(f"the key {key!r} has no label ({known})", file=sys.stderr)
    finally:
        termios.tcsetattr(number, termios.TCSADRAIN, before)


def _read(number: int) -> Iterator[tuple[bytes, float]]:
    """Yields what a thread reads from an open file, and when (monotonic, seconds)."""
    found: queue.SimpleQueue[tuple[bytes, float]] = queue.SimpleQueue()

    def read() -> None:
        data = b"?"
        while data:
            data = b""
            with contextlib.suppress(OSError):  # the terminal was closed
                data = os.read(number, _MOST)
            found.put((data, time.monotonic()))

    # Not a thread that Python waits for: it may wait for a key for ever.
    threading.Thread(target=read, name="typed markers", daemon=True).start()
    while (item := found.get())[0]:
        yield item


def _decoded(line: bytes) -> str:
    return line.decode(errors="surrogateescape").strip()
