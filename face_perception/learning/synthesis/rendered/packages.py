"""Says which packages rendering needs; neither the product nor its tests need them."""

from __future__ import annotations

import importlib
from typing import Any

from face_perception.errors import MissingDependencyError

INSTALL = "pip install mitsuba==3.9.1 scipy"


def need_renderer() -> Any:
    """Returns the module mitsuba (BSD-3-Clause), ready to render on the processor.

    Raises MissingDependencyError.
    """
    try:
        mitsuba = importlib.import_module("mitsuba")
    except ImportError as error:
        raise MissingDependencyError(
            f"rendering people needs mitsuba ({error}): {INSTALL}, in a separate "
            "environment if you like"
        ) from error
    mitsuba.set_variant("scalar_rgb")
    mitsuba.set_log_level(mitsuba.LogLevel.Error)
    return mitsuba
