"""Draws lines, areas, circles and text with subpixel positions, and defines shared colours."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from face_perception.types import Image

Points = npt.NDArray[np.floating]
Colour = tuple[int, int, int]

# RGB
WHITE = (245, 245, 245)
GRAY = (170, 176, 182)
AT_ROBOT = (70, 220, 110)
PERHAPS_AT_ROBOT = (255, 190, 60)

TEXT, SMALL_TEXT = 0.40, 0.30  # font scales of OpenCV at 640 x 480


class Pen:
    """Draws on ``image``, in place, with sizes that suit it. Skips points that are not finite.

    ``scale`` is 1 for 640 x 480; ``thin`` is the default thickness of lines in pixels.
    """

    _SHIFT = 4

    def __init__(self, image: Image) -> None:
        self.image = image
        self.height, self.width = image.shape[:2]
        self.scale = max(min(self.height / 480, self.width / 640), 0.5)
        self.thin = max(1, round(0.8 * self.scale))
        self._reach = 4 * max(self.height, self.width)

    def line(
        self, points: Points, colour: Colour, thickness: int = 0, closed: bool = False
    ) -> None:
        """Draws a line through ``points`` [N, 2] (pixels)."""
        fixed = self._fixed(points)
        if fixed is not None:
            cv2.polylines(
                self.image,
                [fixed],
                closed,
                colour,
                thickness or self.thin,
                cv2.LINE_AA,
                self._SHIFT,
            )

    def area(self, points: Points, colour: Colour) -> None:
        """Draws a filled convex polygon with the corners ``points`` [N, 2] (pixels)."""
        fixed = self._fixed(points)
        if fixed is not None:
            cv2.fillConvexPoly(self.image, fixed, colour, cv2.LINE_AA, self._SHIFT)

    def circle(self, centre: Points, radius: float, colour: Colour, thickness: int = 0) -> None:
        """Draws a circle, in pixels; a ``thickness`` of -1 fills it."""
        fixed = self._fixed(np.reshape(centre, (1, 2)))
        if fixed is not None and 0 < radius < self._reach:
            x, y = (int(v) for v in fixed[0])
            r = round(radius * (1 << self._SHIFT))
            weight = thickness or self.thin
            cv2.circle(self.image, (x, y), r, colour, weight, cv2.LINE_AA, self._SHIFT)

    def text(self, text: str, x: float, y: float, colour: Colour, size: float = TEXT) -> None:
        """Writes one line of text; ``x`` is its left end and ``y`` its base line (pixels)."""
        cv2.putText(
            self.image,
            text,
            (round(x), round(y)),
            cv2.FONT_HERSHEY_SIMPLEX,
            size * self.scale,
            colour,
            self.thin,
            cv2.LINE_AA,
        )

    def text_width(self, text: str, size: float = TEXT) -> int:
        """Returns the width of one line of text in pixels."""
        (width, _), _ = cv2.getTextSize(
            text, cv2.FONT_HERSHEY_SIMPLEX, size * self.scale, self.thin
        )
        return int(width)

    def _fixed(self, points: Points) -> npt.NDArray[np.int32] | None:
        if not np.isfinite(points).all():
            return None
        # Clip points far outside the image, because OpenCV's integers would overflow.
        near = np.clip(points, -self._reach, self._reach)
        return np.rint(near * (1 << self._SHIFT)).astype(np.int32)
