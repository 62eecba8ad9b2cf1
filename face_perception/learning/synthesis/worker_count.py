"""How many processes are worth starting to draw a number of images."""

from __future__ import annotations

# Starting a process takes about as long as drawing 25 images (0.4 s of CPU time; 0.017 s an image
# of `gaze_crops`).
IMAGES_PER_WORKER = 50


def useful_workers(workers: int, images: int) -> int:
    """Returns how many of ``workers`` processes to use for ``images`` images: at least 1."""
    return max(1, min(workers, images // IMAGES_PER_WORKER))
