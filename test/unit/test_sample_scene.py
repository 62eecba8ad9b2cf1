"""Tests the sample scene with the photographs of the model cache, against its stated truth."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from face_perception.inference import load, sample_photo
from face_perception.media import LOOP_SECONDS, PHOTOS, SampleScene

TIMES = np.arange(0, LOOP_SECONDS, 0.1)


@pytest.fixture(scope="module")
def photos() -> dict[str, np.ndarray]:
    return {n: cv2.cvtColor(cv2.imread(str(sample_photo(n))), cv2.COLOR_BGR2RGB) for n in PHOTOS}


@pytest.fixture(scope="module")
def scene(photos: dict[str, np.ndarray]) -> SampleScene:
    return SampleScene(photos)


def test_same_time_same_picture(scene: SampleScene, photos: dict[str, np.ndarray]) -> None:
    again = SampleScene(photos)
    for t in (0.0, 7.3, 17.0, 33.0):
        picture = scene.render(t)
        assert picture.shape == (480, 640, 3)
        assert picture.dtype == np.uint8
        assert (picture == again.render(t)).all()
        assert (picture == scene.render(t + 3 * LOOP_SECONDS)).all()
    assert (scene.render(0) != scene.render(5)).any()


def test_a_picture_is_the_callers(scene: SampleScene) -> None:
    picture = scene.render(1.0)
    before = picture.copy()
    picture[:] = 0
    assert (scene.render(1.0) == before).all()


def test_everything_happens_in_a_loop(scene: SampleScene) -> None:
    seen = [scene.truth(t) for t in TIMES]
    everybody = [s for sightings in seen for s in sightings]
    clear = [[s for s in sightings if s.visible > 0.99] for sightings in seen]
    numbers = [len(sightings) for sightings in clear]
    assert numbers.count(0) > 10, "nobody for a second"
    assert {s.photo for s in everybody} == set(PHOTOS)
    assert numbers.count(2) > 50, "both at once for five seconds"
    heights = [s.height for s in everybody]
    assert min(heights) < 80
    assert 280 < max(heights) < 300
    rolls = np.degrees([s.roll for s in everybody])
    assert rolls.min() == pytest.approx(-20, abs=1)
    assert rolls.max() == pytest.approx(25, abs=1)
    astronaut = [any(s.photo == "astronaut" for s in sightings) for sightings in seen]
    assert astronaut[0]
    assert not all(astronaut), "leaves"
    assert astronaut[-1], "and returns"


def test_they_cross_and_one_hides_the_other(scene: SampleScene) -> None:
    before = [s.photo for s in scene.truth(15.0)]
    after = [s.photo for s in scene.truth(20.0)]
    assert before == after[::-1] == ["astronaut", "grace_hopper"]
    hidden = [
        s.visible
        for t in np.arange(15.5, 19, 0.1)
        for s in scene.truth(t)
        if s.photo == "grace_hopper"
    ]
    assert min(hidden) < 0.2


def test_movement_is_steady(scene: SampleScene) -> None:
    last = {s.photo: s for s in scene.truth(0)}
    for t in np.arange(1, 2 * LOOP_SECONDS * 30) / 30:
        now = {s.photo: s for s in scene.truth(t)}
        for name in now.keys() & last.keys():
            a, b = last[name], now[name]
            assert np.hypot(b.x - a.x, b.y - a.y) < 20, f"jumps at {t:.2f}"
            assert abs(b.height / a.height - 1) < 0.05
            assert abs(b.roll - a.roll) < np.radians(3)
        last = now


def test_truth_is_where_the_mesh_finds_the_face(scene: SampleScene) -> None:
    mesh = load("face_mesh")
    for t in (1.0, 4.5, 6.5, 8.5, 14.0, 25.0, 26.0, 28.0, 33.9):
        image = scene.render(t)
        for s in scene.truth(t):
            c, sn, scale = np.cos(s.roll), np.sin(s.roll), 192 / (1.5 * s.height)
            turn = scale * np.array([[c, sn], [-sn, c]])
            offset = 96 - turn @ (s.x, s.y)
            patch = cv2.warpAffine(image, np.column_stack([turn, offset]), (192, 192),
                                   borderMode=cv2.BORDER_REPLICATE)  # fmt: skip
            output = mesh.infer({"image": np.float32(patch[None]) / 255})
            points = output["landmarks"].reshape(-1, 3)[:468, :2]
            low, high = points.min(0), points.max(0)
            assert output["presence"].item() > 0.9
            assert (low + high) / 2 == pytest.approx((96, 96), abs=4), "3 % of the face"
            assert high[1] - low[1] == pytest.approx(128, rel=0.04)
            eyes = points[263] - points[33]
            assert abs(np.arctan2(eyes[1], eyes[0])) < np.radians(5)


@pytest.mark.parametrize(("width", "height"), [(160, 120), (1280, 720), (480, 640), (1, 1)])
def test_other_sizes(photos: dict[str, np.ndarray], width: int, height: int) -> None:
    scene = SampleScene(photos, width, height)
    for t in (0.0, 14.0, 17.0, 33.0):
        assert scene.render(t).shape == (height, width, 3)
        for s in scene.truth(t):
            assert 0 < s.visible <= 1


def test_smaller_is_the_same_picture(scene: SampleScene, photos: dict[str, np.ndarray]) -> None:
    small = SampleScene(photos, 160, 120)
    for t in (4.5, 14.0, 33.5):
        shrunk = cv2.resize(scene.render(t), (160, 120), interpolation=cv2.INTER_AREA)
        difference = np.abs(small.render(t).astype(int) - shrunk)
        assert difference.mean() < 5


def test_only_the_person_is_cut_out(scene: SampleScene) -> None:
    wall = scene.render(31.3)
    assert scene.truth(31.3) == []
    (person,) = scene.truth(33.9)
    change = np.abs(scene.render(33.9).astype(int) - wall).max(axis=2)
    rows, columns = np.nonzero(change > 40)
    assert rows.min() > person.y - 1.2 * person.height, "the wall above the hair is ours"
    assert (abs(columns - person.x) < 2.7 * person.height).all()
    lowest = np.nonzero(change)[0].max()
    assert change[lowest - 5 : lowest + 1].max() < 40, "no hard lower edge"


def test_what_is_wrong_is_said(photos: dict[str, np.ndarray]) -> None:
    with pytest.raises(ValueError, match=r"grace_hopper.*models fetch"):
        SampleScene({"astronaut": photos["astronaut"]})
    with pytest.raises(ValueError, match=r"astronaut.*\[512, 512, 3\]"):
        SampleScene({**photos, "astronaut": photos["astronaut"][:100]})
    with pytest.raises(ValueError, match="0x480"):
        SampleScene(photos, 0, 480)
