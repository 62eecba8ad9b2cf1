"""One thing that is fuzzed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Target:
    """One target.

    - ``name``: what is fuzzed.
    - ``allowed``: the types of errors that it may raise.
    - ``inputs``: yields inputs without end, given a seed.
    - ``run``: takes one input.
    """

    name: str
    allowed: tuple[type[BaseException], ...]
    inputs: Callable[[int], Iterator[bytes]]
    run: Callable[[bytes], object]
