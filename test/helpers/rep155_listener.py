"""Runs rep155_consumer.py beside the nodes of a test, and reads what it has heard."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from waits import scaled

CONSUMER = Path(__file__).with_name("rep155_consumer.py")


class Heard:
    """What the consumer has printed, by topic."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._read = 0  # bytes
        self._lines: list[dict[str, Any]] = []
        self._log = file.open("wb")
        self.popen = subprocess.Popen([sys.executable, CONSUMER], stdout=self._log, cwd=file.parent)

    def __enter__(self) -> Heard:
        return self

    def __exit__(self, *_: object) -> None:
        self.popen.terminate()
        try:
            self.popen.wait(scaled(10))
        except subprocess.TimeoutExpired:  # rclpy now and then loses the signal
            self.popen.kill()
            self.popen.wait()
        self._log.close()

    def lines(self) -> list[dict[str, Any]]:
        """Returns all messages so far, in order. Reads only what is new in the file."""
        with self._file.open("rb") as file:
            file.seek(self._read)
            complete = file.read().rpartition(b"\n")[0]
        if complete:
            self._read += len(complete) + 1
            self._lines += [json.loads(line) for line in complete.splitlines()]
        return self._lines

    def frames(self, name: str, header: dict[str, Any]) -> list[dict[str, Any]]:
        """Returns the transforms of a frame with this header."""
        found = (line for line in self.lines() if line.get("child_frame_id") == name)
        return [line for line in found if line["header"] == header]

    def last(self) -> dict[str, dict[str, Any]]:
        """Returns the last message of each topic, and the last transform of each frame."""
        return {line.get("child_frame_id", line["topic"]): line for line in self.lines()}
