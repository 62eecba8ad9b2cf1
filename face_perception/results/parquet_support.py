"""Checks whether Parquet files can be read and written."""

from __future__ import annotations

from face_perception.optional_modules import extra


def require_pyarrow() -> None:
    """Raises MissingDependencyError without pyarrow."""
    with extra("a Parquet file", "pip install pyarrow"):
        import pyarrow.parquet  # noqa: F401
