"""Turns a missing optional package into an error that names the fix."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from face_perception.errors import MissingDependencyError


@contextmanager
def extra(doing: str, fix: str) -> Iterator[None]:
    """Raises MissingDependencyError, with ``doing`` and the ``fix``, if a third-party import fails.

    A missing module of this package stays an ImportError: it is a fault.
    """
    try:
        yield
    except ImportError as error:
        if error.name is None or error.name.startswith("face_perception"):
            raise
        raise MissingDependencyError(f"{doing} needs {error.name}: {fix}") from error
