"""Modules that only some commands need."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def extra(doing: str, fix: str) -> Iterator[None]:
    """Raises RuntimeError, what ``doing`` needs and the ``fix``, where a module of others' is not
    installed; one of ours that is missing is a defect.
    """
    try:
        yield
    except ImportError as error:
        if error.name is None or error.name.startswith("face_perception"):
            raise
        raise RuntimeError(f"{doing} needs {error.name}: {fix}") from error
