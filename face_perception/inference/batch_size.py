"""Chooses the number of images that a network computes in one call, for a limit on the delay."""

from __future__ import annotations

from collections.abc import Mapping

from face_perception.errors import InputError


def choose_batch_size(budget: float, seconds: Mapping[int, float], *, period: float = 0.04) -> int:
    """Returns the batch size with the shortest time per image within the limit on the delay.

    ``budget`` is the largest delay of the first image of a batch, in seconds. ``seconds`` is the
    duration of one call, by batch size. The first image of a batch of B waits for the speech of the
    other images, (B - 1) * ``period`` seconds, and for the call. ``period`` is 0 if all of the
    speech is known in advance. Returns the smallest batch size if none meets the limit. Raises
    InputError if ``seconds`` is empty.

    >>> choose_batch_size(0.15, {1: 0.04, 2: 0.05, 4: 0.08})
    2
    """
    if not seconds:
        raise InputError("seconds is empty: measure at least one batch size")
    fitting = [b for b, taken in seconds.items() if (b - 1) * period + taken <= budget]
    return min(fitting, key=lambda b: (seconds[b] / b, b)) if fitting else min(seconds)
