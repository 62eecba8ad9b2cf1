"""The progress of making or loading a model."""

from collections.abc import Callable

# Called with the name of a model, the current step, and the finished share of the work, 0 to 1.
ModelProgress = Callable[[str, str, float], None]
