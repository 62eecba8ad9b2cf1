"""Checks whether Parquet files can be read and written."""

from __future__ import annotations

from face_perception.optional_modules import extra


def require_pyarrow() -> None:
    """Raises MissingDependencyError without pyarrow."""
    with extra("a Parquet file", "pip install 'face_perception[table]'"):
        import pyarrow.parquet  # noqa: F401
