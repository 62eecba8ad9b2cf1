"""Which warnings are logged: one for each fault in a period."""

from __future__ import annotations

import tracemalloc

from face_perception.ros.log_limiter import LogLimiter


def logged(limiter: LogLimiter, key: str, text: str, now: float = 0.0) -> bool:
    return limiter.allows(limiter.fault(key, text), now)


def test_two_faults_of_one_key_are_both_logged() -> None:
    limiter = LogLimiter(period=10.0)
    assert logged(limiter, "camera_info", "it is for 640x480 images, but they are 512x512")
    assert logged(limiter, "camera_info", "unknown distortion model 'radtan'")
    assert not logged(
        limiter, "camera_info", "it is for 640x480 images, but they are 1024x768", 9.9
    )
    assert not logged(limiter, "camera_info", "unknown distortion model 'fish'", 9.9)
    assert logged(limiter, "camera_info", "unknown distortion model 'fish'", 10.0)


def test_names_from_the_network_cannot_fill_the_log() -> None:
    limiter = LogLimiter(period=10.0)
    names = ["".join(chr(ord("a") + int(digit)) for digit in str(i)) for i in range(5000)]
    count = sum(logged(limiter, "faces refused", f"the face {name} has no box") for name in names)
    assert count == 5
    assert sum(limiter.allows(name, 0.0) for name in names) == len(names)
    assert not limiter.allows(names[-1], 9.9)


def test_names_from_the_network_cannot_fill_the_memory() -> None:
    """Keys hold names, such as those of targets, and texts hold names of any length."""
    limiter = LogLimiter(period=10.0)
    tracemalloc.start()
    try:
        for number in range(5000):
            name = chr(0x4E00 + number) * 2000  # 4 kB
            logged(limiter, f"target {number}", f"target {number} is in the frame {name}")
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 4e6
