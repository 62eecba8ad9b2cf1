"""Decides which images of a stream are too old to be used."""

from __future__ import annotations

# Nanoseconds that stamps must go back for a new beginning, such as a bag that starts again. Drivers
# and networks swap images that are some frames apart.
_NEW_BEGINNING = 1_000_000_000
# So many images in a row that are older than the newest are a new beginning, too: a bag of less
# than a second that starts again, or a clock that was set back.
_OLDER_IN_A_ROW = 30


class ImageOrder:
    """Finds images that are older than an image before. Times are in nanoseconds.

    >>> order = ImageOrder()
    >>> [order.step_back(stamp) for stamp in (5_000_000_000, 4_900_000_000, 5_100_000_000)]
    [0, 100000000, 0]
    """

    def __init__(self) -> None:
        self._newest: int | None = None
        self._older = 0

    def step_back(self, stamp: int) -> int:
        """Returns by how much an image is too old to be used; 0 if it is used.

        An image is used if it is not older than the newest image before, or if it is a new
        beginning: see ``_NEW_BEGINNING`` and ``_OLDER_IN_A_ROW``.
        """
        back = 0 if self._newest is None else self._newest - stamp
        self._older = self._older + 1 if back > 0 else 0
        if 0 < back < _NEW_BEGINNING and self._older < _OLDER_IN_A_ROW:
            return back
        self._newest, self._older = stamp, 0
        return 0
