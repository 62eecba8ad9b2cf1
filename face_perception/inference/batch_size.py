"""How many images to make at once, for a limit of delay."""

from __future__ import annotations

from collections.abc import Mapping

from face_perception.errors import InputError


def choose_batch_size(budget: float, seconds: Mapping[int, float], *, period: float = 0.04) -> int:
    """The batch size with the least time an image whose first image still comes within ``budget``
    seconds; the smallest there is where none does.

    ``seconds`` is what one call takes, by batch size. The first image of a batch of B waits for the
    speech of the others, (B - 1) * ``period``, and for the call; ``period`` is 0 where all of the
    speech is there at once. Raises InputError where ``seconds`` is empty.
    """
    if not seconds:
        raise InputError("no batch size was measured")
    fitting = [b for b, taken in seconds.items() if (b - 1) * period + taken <= budget]
    return min(fitting, key=lambda b: (seconds[b] / b, b)) if fitting else min(seconds)
