"""Names a clip to analyse, and the files of its results."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class ClipTask:
    """A picture or film to analyse, and where its results go.

    ``output`` is a file for the lines, ``-`` for stdout, or None for no lines. ``annotated`` is the
    picture or film to write; in a folder, it gets the name of the input.
    """

    input: str
    output: str | None
    annotated: Path | None
