"""Stands in for calls in other processes. Each of them imports PyTorch, for 5 s of CPU."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Generator, Sequence
from typing import Any


def finished_here(
    function: Callable[..., Any], calls: Sequence[tuple[Any, ...]], workers: int, **_: Any
) -> Generator[tuple[int, Any], None, None]:
    """Makes each call in this process; the arguments are those of ``finished_calls``.

    Pickles calls and results, so that what cannot be sent to a process fails here, too.
    """
    assert workers > 0
    for number, arguments in enumerate(calls):
        run, given = pickle.loads(pickle.dumps((function, arguments)))
        yield number, pickle.loads(pickle.dumps(run(*given)))
