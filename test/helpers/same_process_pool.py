"""Stands in for a pool of processes. Each process of a real one imports PyTorch, for 5 s of CPU."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any


class SameProcessPool(Executor):
    """Runs each job at once, in this process.

    Pickles jobs and results as ``ProcessPoolExecutor`` does, so that what cannot be sent to a
    process fails here, too.
    """

    def __init__(self, *_: Any, **__: Any) -> None:
        """Takes the arguments of ``ProcessPoolExecutor``, and needs none."""

    def submit(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        run, given, named = pickle.loads(pickle.dumps((function, args, kwargs)))
        try:
            future.set_result(pickle.loads(pickle.dumps(run(*given, **named))))
        except BaseException as error:
            future.set_exception(error)
        return future
