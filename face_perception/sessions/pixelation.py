"""Makes the faces of a video unrecognisable, also before they are found."""

from __future__ import annotations

import bisect
import math
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

import cv2
import numpy as np

from face_perception.types import Face, Image, Roi

T = TypeVar("T")

_CELLS = 6  # of the longer side of a face; a face of 6 x 6 cells cannot be recognised
_MARGIN = 0.3  # of the longer side: hair, ears and chin are outside the box of the landmarks
_HOLD = 1.0  # seconds for which the place of a face that is not found any more stays covered
# An image is due when it is so old, and followed by so many images with known faces. FaceTracker
# searches once a second and at least every 10 images, and confirms a face in 3 images.
DELAY, _DELAY_IMAGES = 1.5, 15
_MOST_WAITING = 256  # images: more than 1.5 s at the highest video_rate
# Most bytes of the images that wait. An image of 4K has 25 MB, so only 10 may wait.
_MOST_BYTES = 256 << 20
_MEMORY = 10.0  # seconds, for which sightings are kept: longer than an image waits


@dataclass(frozen=True)
class Cover:
    """What to cover in an image: some boxes, and the whole image if ``cell`` (pixels) is not 0."""

    boxes: tuple[Roi, ...]
    cell: float = 0.0


def pixelate(image: Image, cover: Cover) -> Image:
    """Returns a copy of RGB uint8 [H, W, 3] in which faces are drawn in large cells.

    A box is enlarged by 30 % of its longer side on all sides. If the whole image is covered, it has
    square cells of ``cover.cell`` pixels.
    """
    out: Image = image.copy()
    tall, wide = image.shape[:2]
    if cover.cell:
        _coarsen(out, cover.cell)
    for box in cover.boxes:
        longer = max(box.width, box.height)
        margin = round(_MARGIN * longer)
        left, top = max(0, int(box.x) - margin), max(0, int(box.y) - margin)
        right = min(wide, int(box.x + box.width) + margin)
        bottom = min(tall, int(box.y + box.height) + margin)
        if right > left and bottom > top:
            _coarsen(out[top:bottom, left:right], _cell(box))
    return out


def _cell(box: Roi) -> float:
    """Returns the side of a cell in which a face cannot be recognised, pixels."""
    return max(1.0, (1 + 2 * _MARGIN) * max(box.width, box.height) / _CELLS)


def _coarsen(part: Image, cell: float) -> None:
    """Draws a part of an image in cells of about ``cell`` pixels, in place."""
    tall, wide = part.shape[:2]
    size = max(1, round(wide / cell)), max(1, round(tall / cell))
    small = cv2.resize(part, size, interpolation=cv2.INTER_AREA)
    part[:] = np.asarray(cv2.resize(small, (wide, tall), interpolation=cv2.INTER_NEAREST))


def highest_rate(size: int, longest_wait: float) -> float:
    """Returns the rate in Hz at which images of ``size`` bytes can wait for their faces.

    An image waits up to ``longest_wait`` seconds for its own faces, and ``DELAY`` for later ones.

    >>> round(highest_rate(3840 * 2160 * 3, longest_wait=1.0), 1)
    4.3
    """
    return _MOST_BYTES / max(1, size) / (DELAY + longest_wait)


class FacePixelation(Generic[T]):
    """Says what to cover in the images of a video, each when it is due.

    A tracker finds a face some time after it came into view. So an image waits for ``DELAY``
    seconds. If a face is found then that was not found in the image before, nobody knows where it
    was in the images since it was found last, or of a new face in all images that wait: these are
    covered as a whole. The place of a face stays covered for a second after it was last found.

    Stamps are in seconds; one that goes back drops all images that wait. The faces of an image may
    come twice, as from two publishers.

    >>> video = FacePixelation()
    >>> video.put(10.0, "the first image")
    True
    >>> due = [item for n in range(17) for item in video.found(10.0 + n / 10, [])]
    >>> due
    [('the first image', Cover(boxes=(), cell=0.0))]
    """

    def __init__(self) -> None:
        self._waiting: deque[tuple[float, T, int]] = deque()
        self._clear()

    def _clear(self) -> None:
        self._waiting.clear()
        self._bytes = 0  # of the images that wait
        self._stamps: list[float] = []  # of the images whose faces are known, in order
        self._places: dict[str, list[tuple[float, Roi]]] = {}  # by face id: when and where found
        self._unsure: list[tuple[float, float, float]] = []  # begin, end, cell of a whole cover

    def put(self, stamp: float, image: T, size: int = 0) -> bool:
        """Takes an image of ``size`` bytes whose faces are known, now or soon.

        Returns False, and does not take it, if too many images or bytes wait. Those that wait are
        kept: if the oldest one made room, none would ever be due.
        """
        if len(self._waiting) >= _MOST_WAITING or self._bytes + size > _MOST_BYTES:
            return False
        self._waiting.append((stamp, image, size))
        self._bytes += size
        return True

    def found(self, stamp: float, faces: Iterable[Face]) -> list[tuple[T, Cover]]:
        """Takes the faces that were found in an image, and returns the images that are due.

        Call it for every image of the tracker, also for those that are not in the video.
        """
        before = self._stamps[-1] if self._stamps else -math.inf
        if stamp < before:
            self._clear()
            before = -math.inf
        self._forget(stamp - _MEMORY)
        if stamp > before:
            self._stamps.append(stamp)
        for face in faces:
            places = self._places.setdefault(face.face_id, [])
            last = places[-1][0] if places else -math.inf
            if last < before or math.isinf(before):
                self._unsure.append((last, stamp, _cell(face.roi)))
            places.append((stamp, face.roi))
        due = []
        while self._waiting and self._is_due(self._waiting[0][0]):
            at, image, size = self._waiting.popleft()
            self._bytes -= size
            due.append((image, self._cover(at)))
        return due

    def _is_due(self, stamp: float) -> bool:
        later = len(self._stamps) - bisect.bisect_right(self._stamps, stamp)
        return later >= _DELAY_IMAGES and self._stamps[-1] - stamp >= DELAY

    def _cover(self, stamp: float) -> Cover:
        cells = [cell for begin, end, cell in self._unsure if begin < stamp < end]
        boxes = []
        for places in self._places.values():
            past = [place for place in places if place[0] <= stamp]
            if past and stamp - past[-1][0] <= _HOLD:
                boxes.append(past[-1][1])
        return Cover(tuple(boxes), max(cells, default=0.0))

    def _forget(self, oldest: float) -> None:
        """Forgets what was found before, unless an image waits for it."""
        if self._waiting:
            oldest = min(oldest, self._waiting[0][0] - _HOLD)
        self._stamps = [stamp for stamp in self._stamps if stamp >= oldest]
        self._unsure = [span for span in self._unsure if span[1] >= oldest]
        kept = {
            face_id: [place for place in places if place[0] >= oldest]
            for face_id, places in self._places.items()
        }
        self._places = {face_id: places for face_id, places in kept.items() if places}
