"""Tests MIMAMO-Net on a stream: the same results as offline, for the right images, also after
gaps.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import affect_models
import numpy as np
import pytest
from motion_crops import Found, offline, patches, run, values

from face_perception import motion
from face_perception.inference import ModelError
from face_perception.motion import Mimamo, MimamoSettings, load_mimamo
from face_perception.types import FaceCrop


@pytest.fixture(scope="module", autouse=True)
def models(empty_models: Path) -> Path:
    """A model cache with small networks."""
    affect_models.install_mimamo()
    return empty_models


@pytest.mark.parametrize("name", ["mimamo", "mimamo_released"])
@pytest.mark.parametrize("look_ahead", [0, 3, 6, 9])
def test_streaming_equals_offline(name: str, look_ahead: int) -> None:
    if name == "mimamo_released" and look_ahead > motion.HALF_WINDOW:
        with pytest.raises(ValueError, match="look_ahead must be from 0 to 6 with mimamo_released"):
            Mimamo(load_mimamo(name), MimamoSettings(look_ahead=look_ahead))
        return
    crops = patches(40)
    mimamo = Mimamo[int](load_mimamo(name), MimamoSettings(look_ahead=look_ahead, window=16))
    found: Found = []
    for t, crop in enumerate(crops):
        new = mimamo.estimate(t, 50 + t / 30, [crop])
        assert [tag for tag, _ in new] == ([t - look_ahead] if t >= look_ahead else [])
        found += new
    assert len(found) == 40 - look_ahead
    found += mimamo.finish()
    assert [tag for tag, _ in found] == list(range(40))
    assert {v.source for _, faces in found for v in faces} == {name}
    wanted = offline(crops, name, look_ahead, 16)
    assert np.ptp(wanted, axis=0).min() > 0.01, "the estimates differ from image to image"
    np.testing.assert_allclose(values(found), wanted, atol=1e-5)


def test_two_networks_give_the_same_as_one(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    networks = load_mimamo("mimamo")
    assert [m.name for m in networks.models] == [
        *("mimamo_appearance", "mimamo_frame", "mimamo_over_time"),
    ]
    crops = patches(30)
    wanted = values(run(Mimamo(networks, MimamoSettings(window=8, look_ahead=8)), crops))
    monkeypatch.setenv("FACE_PERCEPTION_MODELS", str(tmp_path))
    affect_models.install_mimamo(parts=False)
    networks = load_mimamo("mimamo")
    assert [m.name for m in networks.models] == ["mimamo_appearance", "mimamo"]
    got = values(run(Mimamo(networks, MimamoSettings(window=8, look_ahead=8)), crops))
    np.testing.assert_allclose(got, wanted, atol=1e-6)


@pytest.mark.parametrize("name", ["mimamo", "mimamo_released"])
def test_a_face_that_leaves_gets_estimates_for_all_its_images(name: str) -> None:
    one, two = patches(20, "face_1", 1), patches(20, "face_2", 2)
    together, alone = (Mimamo[int](load_mimamo(name), MimamoSettings(window=8)) for _ in range(2))
    found: Found = []
    for t in range(20):
        found += together.estimate(t, t / 30, [one[t], two[t]] if t < 10 else [one[t]])
    found += together.finish()
    assert [tag for tag, _ in found] == list(range(20)), "one answer an image"
    got = [(v.valence, v.arousal) for _, faces in found for v in faces if v.face_id == "face_2"]
    np.testing.assert_allclose(got, values(run(alone, two[:10])), atol=1e-5)
    # No face is left; a gap; a stamp that goes back.
    for stamp, crops in ((1.0, []), (20 / 30 + 0.3, one[:1]), (0.0, one[:1])):
        begun = Mimamo[int](load_mimamo(name), MimamoSettings(window=8))
        found = []
        for t in range(20):
            found += begun.estimate(t, t / 30, [two[t]])
        found += begun.estimate(20, stamp, crops)
        found = [row for row in found if row[0] < 20]
        assert [tag for tag, _ in found] == list(range(20))
        np.testing.assert_allclose(values(found), values(run(alone, two)), atol=1e-5)


@pytest.mark.parametrize("name", ["mimamo", "mimamo_released"])
def test_faces_do_not_influence_each_other(name: str) -> None:
    one, two = patches(30, "face_1", 1), patches(30, "face_2", 2)
    together = Mimamo[int](load_mimamo(name), MimamoSettings(window=8))
    found: Found = []
    for t in range(30):
        # The second face comes later, so that the lengths of the sequences differ.
        crops = [one[t]] if t < 5 else [two[t], one[t]]
        found += together.estimate(t, t / 30, crops)
    by_face: dict[str, dict[int, tuple[float, float]]] = {"face_1": {}, "face_2": {}}
    for tag, faces in found:
        for value in faces:
            by_face[value.face_id][tag] = (value.valence, value.arousal)
    assert [tag for tag, _ in found] == list(range(24))
    for crops, begin in ((one, 0), (two, 5)):
        alone = run(Mimamo(load_mimamo(name), MimamoSettings(window=8)), crops[begin:])
        for tag, value in by_face[crops[0].face_id].items():
            single = alone[tag - begin][1][0]
            np.testing.assert_allclose(value, (single.valence, single.arousal), atol=1e-5)


@pytest.mark.parametrize(
    ("step", "face"),
    [
        pytest.param(1.0, "face_1", id="gap"),
        pytest.param(-1.0, "face_1", id="stamp that goes back"),
        pytest.param(1 / 30, "", id="image without the face"),
        pytest.param(1 / 30, "face_2", id="another face"),
    ],
)
def test_a_gap_or_another_face_starts_again(step: float, face: str) -> None:
    crops = patches(20, seed=3)
    settings: dict[str, int] = {"look_ahead": 0, "window": 8}
    mimamo = Mimamo[int](load_mimamo("mimamo"), MimamoSettings(**settings))
    for t, crop in enumerate(patches(10, seed=4)):
        mimamo.estimate(t, 50 + t / 30, [crop])
    begin = 50 + 9 / 30 + step
    if face != "face_1":
        others = [FaceCrop(face, crops[0].image, np.eye(2, 3))] if face else []
        ((tag, seen),) = mimamo.estimate(-1, begin, others)
        assert (tag, [v.face_id for v in seen]) == (-1, [c.face_id for c in others])
        begin += 1 / 30
    found: Found = []
    for t, crop in enumerate(crops):
        found += mimamo.estimate(t, begin + t / 30, [crop])
    fresh = run(Mimamo(load_mimamo("mimamo"), MimamoSettings(**settings)), crops)
    np.testing.assert_allclose(values(found), values(fresh), atol=1e-6)


def test_images_of_other_rates_are_repeated_or_skipped() -> None:
    """At 15 Hz each image is used twice; at 60 Hz every second image is skipped."""
    crops = patches(24, seed=6)
    mimamo, found = (
        Mimamo[int](load_mimamo("mimamo_released"), MimamoSettings(look_ahead=6)),
        Found(),
    )
    for t, crop in enumerate(crops):
        found += mimamo.estimate(t, t / 15, [crop])
    # A tick between two images repeats the nearer one; in the middle, the earlier one.
    twice = [crops[t // 2] for t in range(47)]
    wanted = offline(twice, "mimamo_released", 6, 1)
    assert [tag for tag, _ in found] == list(range(21))
    np.testing.assert_allclose(values(found), wanted[:41:2], atol=1e-5)
    mimamo, found = (
        Mimamo[int](load_mimamo("mimamo_released"), MimamoSettings(look_ahead=0)),
        Found(),
    )
    for t, crop in enumerate(crops):
        found += mimamo.estimate(t, t / 60, [crop])
    assert [tag for tag, _ in found] == list(range(0, 24, 2))
    wanted = offline(crops[::2], "mimamo_released", 0, 1)
    np.testing.assert_allclose(values(found), wanted, atol=1e-5)


def test_appearance_every_so_many_images() -> None:
    crops = patches(20)
    networks = load_mimamo("mimamo_released")
    calls: list[int] = []
    infer = networks.appearance.infer

    def counting(inputs: Any) -> Any:
        calls.append(len(inputs["face"]))
        return infer(inputs)

    networks.appearance.infer = counting  # type: ignore[method-assign]
    thrifty = run(Mimamo(networks, MimamoSettings(appearance_every=4)), crops)
    assert calls == [1] * 5
    full = run(Mimamo(networks), crops)
    difference = np.abs(values(thrifty) - values(full)).max(1)
    assert not difference[::4].any(), "the images on which it ran"
    assert difference[3] > 0
    calls.clear()
    mimamo, found = Mimamo[int](networks, MimamoSettings(appearance_every=0)), Found()
    for t, crop in enumerate(crops):
        found += mimamo.estimate(t, t / 30, [crop], busy=t % 4 != 2)
    assert calls == [1] * 6, "the first, and whenever there was time"
    with pytest.raises(ValueError, match="appearance_every: -1"):
        Mimamo(networks, MimamoSettings(appearance_every=-1))


def test_errors_name_what_cannot_be_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ModelError, match="mimamo_appearance does not have inputs appearance"):
        load_mimamo("mimamo_appearance")
    mimamo = Mimamo[int](load_mimamo("mimamo_released"))
    small = FaceCrop("face_1", np.zeros((112, 112, 3), np.uint8), np.eye(2, 3))
    with pytest.raises(ValueError, match=r"must be RGB uint8 \[160, 160, 3\]"):
        mimamo.estimate(0, 0.0, [small])
    twice = [patches(1)[0], patches(1)[0]]
    with pytest.raises(ValueError, match="same face id"):
        mimamo.estimate(0, 0.0, twice)
    monkeypatch.setenv("FACE_PERCEPTION_MODELS", str(tmp_path))
    with pytest.raises(ModelError, match=r"no model 'mimamo'.*face-perception import"):
        load_mimamo("mimamo")


def test_estimates_stay_in_range() -> None:
    networks = load_mimamo("mimamo_released")
    assert networks.fusion is not None
    out = np.full((1, 1, 2), [2.5, np.nan], np.float32)
    networks.fusion.infer = lambda inputs: {"valence_arousal": out}  # type: ignore[method-assign]
    found = values(run(Mimamo(networks), patches(3)))
    assert found[:, 0].tolist() == [1.0] * 3
    assert np.isnan(found[:, 1]).all(), "what is no number is not made one"


def test_while_busy_a_gap_does_not_run_the_appearance_network() -> None:
    """Motion starts again after a gap, but appearance features are kept."""
    networks = load_mimamo("mimamo")
    mimamo = Mimamo[int](networks, MimamoSettings(appearance_every=0, look_ahead=0))
    crops = patches(8)
    stamps = (0.0, 1 / 30, 0.5, 0.9, 2.5, 2.5 + 1 / 30)  # two short gaps, one long gap
    appearance_runs = []
    for k, stamp in enumerate(stamps):
        assert mimamo.estimate(k, stamp, [crops[k]], busy=True), "an estimate of every image"
        appearance_runs.append(mimamo.appearance_runs)
    assert appearance_runs == [1, 1, 1, 1, 2, 2]
    assert mimamo.estimate(6, 2.9, [patches(1, face="face_2")[0]], busy=True)
    assert mimamo.appearance_runs == 3, "another face has no look yet"
    often = Mimamo[int](networks, MimamoSettings(appearance_every=8, look_ahead=0))
    for k, stamp in enumerate(stamps):
        often.estimate(k, stamp, [crops[k]], busy=True)
    assert often.appearance_runs == 4, "with a fixed rate, it starts with a look"
