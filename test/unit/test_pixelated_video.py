"""The pixelated video of a session: no image may show a face, whenever the tracker finds it."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from face_perception.faces import load_tracker
from face_perception.inference import sample_photo
from face_perception.sessions import Cover, FacePixelation, highest_rate, pixelate
from face_perception.types import Camera, Face, Frame, Image, Roi

NOISE = np.random.default_rng(11).integers(0, 255, (120, 160, 3), np.uint8)
BOX = Roi(60, 40, 30, 40)
RATE = 32.0  # Hz, so that stamps are exact


def face(face_id: str, box: Roi = BOX) -> Face:
    return Face(face_id, 0.9, box, np.zeros((478, 3), np.float32), None)


def covers(
    seen: dict[int, list[Face]], count: int, rate: float = RATE, known_until: int = 10_000
) -> dict[int, Cover]:
    """Returns what is covered in each image that is written, by its number.

    ``seen`` has the faces that are found in an image, by its number. Other images have no face.
    """
    video: FacePixelation[int] = FacePixelation()
    written = {}
    for number in range(count):
        video.put(number / rate, number)
        if number < known_until:
            written |= dict(video.found(number / rate, seen.get(number, [])))
    return written


def test_a_pixelated_face_keeps_a_few_numbers_and_the_rest_stays() -> None:
    covered = pixelate(NOISE, Cover((BOX,)))
    inside = covered[28:92, 48:102].reshape(-1, 3)  # with the margin of 12 pixels
    assert len(np.unique(inside, axis=0)) <= 36
    outside = np.ones(NOISE.shape[:2], bool)
    outside[28:92, 48:102] = False
    assert (covered[outside] == NOISE[outside]).all()
    whole = pixelate(NOISE, Cover((), 20.0))
    assert len(np.unique(whole.reshape(-1, 3), axis=0)) <= 8 * 6


@pytest.mark.parametrize("box", [Roi(-50, -50, 60, 60), Roi(150, 100, 80, 80), Roi(500, 5, 9, 9)])
def test_a_face_at_the_edge_is_covered_as_far_as_it_is_visible(box: Roi) -> None:
    changed = (pixelate(NOISE, Cover((box,))) != NOISE).any()
    assert changed == (box.x < 160)


def test_a_face_that_is_not_found_any_more_stays_covered_for_a_second() -> None:
    written = covers({number: [face("face_1")] for number in range(60)}, 200)
    for number, cover in written.items():
        assert cover == Cover((BOX,) if number <= 59 + 32 else ()), number


def test_images_before_a_new_face_are_covered_as_a_whole() -> None:
    known = {number: [face("face_1")] for number in range(200)}
    for number in range(100, 200):
        known[number] = [*known[number], face("face_2", Roi(10, 10, 20, 20))]
    written = covers(known, 200)
    whole = [number for number, cover in written.items() if cover.cell]
    # All that were not written when the face was found: 1.5 s.
    assert whole == list(range(100 - 48, 100))
    assert written[70].cell == pytest.approx(20 * 1.6 / 6)
    assert sorted(written) == list(range(200 - 48))  # the last ones still wait


def test_an_image_in_which_the_face_was_missed_is_covered_as_a_whole() -> None:
    """The face may have moved before it was found again."""
    known = {number: [face("face_1")] for number in range(100) if number not in (50, 51)}
    written = covers(known, 100)
    assert [number for number, cover in written.items() if cover.cell] == [50, 51]


@pytest.mark.parametrize("rate", [2.0, 10.0, 60.0])
def test_an_image_waits_for_the_search_and_the_confirmation(rate: float) -> None:
    """The tracker searches every 10 images, or once a second, and confirms in 3 images."""
    found_at = 40 + round(max(10 + 2, rate + 2))
    known = {number: [face("face_1")] for number in range(found_at, 200)}
    written = covers(known, 200, rate)
    assert all(written[number].cell for number in range(40, found_at))


def test_without_a_tracker_nothing_is_written() -> None:
    assert sorted(covers({}, 300, known_until=100)) == list(range(100 - 48))
    video: FacePixelation[int] = FacePixelation()
    assert [video.put(number / 10, number) for number in range(257)] == [True] * 256 + [False]


@pytest.mark.parametrize("size", [640 * 480 * 3, 1920 * 1080 * 3, 3840 * 2160 * 3, 7680 * 4320 * 3])
def test_large_images_come_at_a_lower_rate_and_need_no_more_memory(size: int) -> None:
    """1.1 GB of 4K images waited; if the oldest ones were dropped, no image was ever due."""
    video: FacePixelation[int] = FacePixelation()
    rate = min(15.0, highest_rate(size, 1.0))
    last, most, waiting, written, refused = -1.0, 0, 0, 0, 0
    for number in range(30 * 20):
        now = number / 30
        if now - last >= 0.9 / rate:
            last = now
            taken = video.put(now, number, size)
            waiting, refused = waiting + taken, refused + (not taken)
            most = max(most, waiting * size)
        due = len(video.found(now, []))
        waiting, written = waiting - due, written + due
    assert most <= 256 << 20
    assert written >= 20
    assert refused == 0
    assert video.put(21.0, 0, 1 << 30) is False


def test_a_clock_that_goes_back_drops_what_waits() -> None:
    video: FacePixelation[str] = FacePixelation()
    video.put(100.0, "old")
    video.found(100.0, [])
    video.found(50.0, [])
    video.put(50.0, "new")
    due = [item for number in range(1, 100) for item, _ in video.found(50.0 + number / 30, [])]
    assert due == ["new"]


def test_faces_that_come_twice_delay_nothing() -> None:
    video: FacePixelation[int] = FacePixelation()
    written = []
    for number in range(100):
        video.put(number / RATE, number)
        for _ in range(2):
            written += [item for item, _ in video.found(number / RATE, [face("face_1")])]
    assert written == list(range(100 - 48))


def detail(image: Image) -> float:
    """Returns how much a part of an image varies between neighbouring pixels."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(float)
    return float(np.abs(np.diff(grey, axis=1)).mean() + np.abs(np.diff(grey, axis=0)).mean())


def test_a_person_who_appears_suddenly_is_covered_in_every_image() -> None:
    """A second person appears while the tracker follows the first one and seldom searches."""
    one, other = (
        cv2.resize(cv2.imread(str(sample_photo(name)))[:, :, ::-1], (256, 256))
        for name in ("astronaut", "grace_hopper")
    )
    empty = np.full_like(one, 90)
    tracker, video = load_tracker(), FacePixelation[tuple[bool, Image]]()
    camera = Camera.assume(512, 256)
    shown, tracked, compared = 45, 0, 0
    # Where the face of the second person is, in the right half.
    alone = Frame(other, 0.0, Camera.assume(256, 256))
    (box,) = (found.roi for found in load_tracker().detect(alone))
    rows = slice(int(box.y), int(box.y + box.height))
    columns = slice(256 + int(box.x), 256 + int(box.x + box.width))
    for number in range(100):
        there = number >= shown
        image = np.ascontiguousarray(np.hstack([one, other if there else empty]))
        faces = tracker.track(Frame(image, number / 30, camera))
        video.put(number / 30, (there, image))
        tracked += there and len(faces) < 2
        for (present, original), cover in video.found(number / 30, faces):
            if present:
                written = pixelate(original, cover)
                compared += 1
                limit = detail(original[rows, columns]) / 3
                assert detail(written[rows, columns]) < limit, number
    assert tracked >= 2, "the tracker found the face at once: the test shows nothing"
    assert compared >= 5
