"""Tests action units of an animated face and of photographs, and expressions."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator

import cv2
import numpy as np
import pytest

from face_perception import affect, faces, inference
from face_perception.affect import (
    ExpressionNet,
    ExpressionSmoother,
    LandmarkActionUnits,
    RateLimitedExpressions,
    derive_valence_arousal,
    measure_face,
    median_measures,
)
from face_perception.types import (
    BLENDSHAPES,
    EXPRESSIONS,
    NAN,
    ActionUnit,
    Blendshapes,
    Camera,
    Expression,
    Face,
    FaceCrop,
    Frame,
    HeadPose,
    Image,
    Neutral,
    ValenceArousal,
)

UNITS = (1, 2, 4, 5, 12, 15, 18, 20, 25, 26, 45)
# Units that are estimated relative to the population's neutral face.
GUESSED = (12, 25, 26, 45)
RATE = 30.0
EYES_CLOSED = (0.3, 0.3)


def photograph(name: str) -> Image:
    image = cv2.imread(str(inference.sample_photo(name)), cv2.IMREAD_COLOR)
    return np.ascontiguousarray(image[..., ::-1])


@pytest.fixture(scope="module")
def net() -> ExpressionNet:
    return ExpressionNet(inference.load("expression"))


def face_in(tracker: faces.FaceTracker, image: Image) -> Face:
    height, width = image.shape[:2]
    (face,) = tracker.detect(Frame(image, 0.0, Camera.assume(width, height)))
    return face


@pytest.fixture(scope="module")
def smiling(photo_faces: dict[str, tuple[Frame, Face]]) -> Face:
    return photo_faces["astronaut"][1]


@pytest.fixture(scope="module")
def resting(photo_faces: dict[str, tuple[Frame, Face]]) -> Face:
    """Returns Grace Hopper's face with eyes that count as fully open, as after some tracking."""
    _, face = photo_faces["grace_hopper"]
    return dataclasses.replace(face, left_eye_openness=1.0, right_eye_openness=1.0)


def intensities(units: affect.LandmarkActionUnits, face: Face, stamp: float) -> dict[int, float]:
    return {code: unit.intensity for code, unit in units.estimate(face, stamp).units.items()}


def play(
    face: Callable[[float], Face],
    seconds: float,
    units: LandmarkActionUnits,
    start: float = 0.0,
) -> Iterator[tuple[float, dict[int, float]]]:
    for k in range(round(seconds * RATE)):
        t = start + k / RATE
        yield t, intensities(units, face(t), t)


def last(
    face: Face, seconds: float, units: LandmarkActionUnits, start: float = 0.0
) -> dict[int, float]:
    """Returns the intensities after this many seconds of the same face."""
    *_, (_, found) = play(lambda t: face, seconds, units, start)
    return found


# Points that each movement moves, with the displacement of an upright face in outer-canthus
# distances: x to the person's left, y up.
MOUTH_CORNERS = {faces.MOUTH_RIGHT: (-0.08, 0.09), faces.MOUTH_LEFT: (0.08, 0.09)}
OPEN_MOUTH = {
    **{int(i): (0.0, -0.25) for i in faces.LIPS_INNER_LOWER[1:-1]},
    faces.CHIN: (0.0, -0.25),
    faces.MOUTH_RIGHT: (0.02, -0.06),
    faces.MOUTH_LEFT: (-0.02, -0.06),
}
INNER_BROWS = {
    int(brow[-1]): (0.0, 0.1)
    for brow in (
        faces.RIGHT_BROW_UPPER,
        faces.RIGHT_BROW_LOWER,
        faces.LEFT_BROW_UPPER,
        faces.LEFT_BROW_LOWER,
    )
}
BROWS = {
    int(i): (0.0, 0.1)
    for brow in (
        faces.RIGHT_BROW_UPPER,
        faces.RIGHT_BROW_LOWER,
        faces.LEFT_BROW_UPPER,
        faces.LEFT_BROW_LOWER,
    )
    for i in brow
}
FROWN = {
    i: (0.035 if i in (faces.RIGHT_BROW_UPPER[-1], faces.RIGHT_BROW_LOWER[-1]) else -0.035, -0.04)
    for i in INNER_BROWS
}
POUT = {faces.MOUTH_RIGHT: (0.12, 0.0), faces.MOUTH_LEFT: (-0.12, 0.0)}
STRETCH = {faces.MOUTH_RIGHT: (-0.12, 0.0), faces.MOUTH_LEFT: (0.12, 0.0)}
CORNERS_DOWN = {faces.MOUTH_RIGHT: (0.0, -0.08), faces.MOUTH_LEFT: (0.0, -0.08)}
LIDS_UP = {
    int(i): (0.0, 0.06) for lid in (faces.RIGHT_EYE_UPPER, faces.LEFT_EYE_UPPER) for i in lid[1:-1]
}


def moved(face: Face, movement: dict[int, tuple[float, float]], share: float = 1.0) -> Face:
    """Returns the face with this share of the movement, applied in the plane of the face."""
    assert face.pose is not None
    landmarks = face.landmarks.copy()
    corners = landmarks[[faces.RIGHT_OUTER_CANTHUS, faces.LEFT_OUTER_CANTHUS], :2]
    size = float(np.linalg.norm(corners[0] - corners[1]))
    left, up = face.pose.rotation[:, 1], face.pose.rotation[:, 2]
    for point, (x, y) in movement.items():
        landmarks[point] += (share * size * (x * left + y * up)).astype(np.float32)
    return dataclasses.replace(face, landmarks=landmarks)


def blinking(face: Face) -> Face:
    left, right = EYES_CLOSED
    return dataclasses.replace(face, left_eye_openness=left, right_eye_openness=right)


def test_a_photograph_of_a_smile_has_unit_12_and_a_resting_face_has_not(
    smiling: Face, resting: Face
) -> None:
    smile = intensities(LandmarkActionUnits(), smiling, 0.0)
    assert set(smile) == set(UNITS)
    assert smile[12] > 0.8
    assert smile[25] > 0.8
    assert max(smile[code] for code in (26, 45)) < 0.3
    rest = intensities(LandmarkActionUnits(), resting, 0.0)
    assert max(rest[code] for code in GUESSED) < 0.1
    for found in (smile, rest):
        assert {code for code in found if math.isfinite(found[code])} == set(GUESSED)


def test_the_mirrored_face_has_the_same_units(tracker: faces.FaceTracker) -> None:
    def trusted(image: Image) -> dict[int, float]:
        found = LandmarkActionUnits().estimate(face_in(tracker, image), 0.0).units
        return {code: unit.intensity for code, unit in found.items() if unit.confidence > 0.3}

    image = photograph("astronaut")
    there = trusted(image)
    assert set(there) == {12, 25, 45}
    assert there == pytest.approx(trusted(np.ascontiguousarray(image[:, ::-1])), abs=0.25)


@pytest.mark.parametrize(
    ("movement", "expected"),
    [
        (MOUTH_CORNERS, {12}),
        (OPEN_MOUTH, {25, 26}),
        (INNER_BROWS, {1}),
        (BROWS, {1, 2}),
        (FROWN, {4}),
        (POUT, {18}),
        (STRETCH, {20}),
        (CORNERS_DOWN, {15}),
        (LIDS_UP, {5}),
    ],
)
def test_each_movement_raises_its_unit(
    resting: Face, movement: dict[int, tuple[float, float]], expected: set[int]
) -> None:
    units = LandmarkActionUnits()
    before = last(resting, 5, units)
    assert max(before.values()) < 0.1
    after = last(moved(resting, movement), 1, units, start=5)
    assert {code for code, value in after.items() if value > 0.5} == expected


def test_a_held_smile_does_not_become_neutral(resting: Face, smiling: Face) -> None:
    units = LandmarkActionUnits()
    half = moved(resting, MOUTH_CORNERS, 0.6)
    before = last(resting, 5, units)
    held = [found[12] for _, found in play(lambda t: half, 10.5, units, start=5)]
    assert before[12] < 0.05
    assert held[15] > 0.4, "after half a second"
    assert held[-1] > 0.85 * held[15], "ten seconds later"
    assert last(resting, 1, units, start=15.5)[12] < 0.1
    # The neutral face of somebody who smiles from the start is not known.
    assert last(smiling, 10, LandmarkActionUnits())[12] > 0.8


def test_the_first_seconds_become_the_neutral_face(resting: Face) -> None:
    """The brows are as high as in one person of ten."""
    units = LandmarkActionUnits()
    high_brows = moved(resting, BROWS, 0.5)
    found = list(play(lambda t: high_brows, 30, units))
    assert all(math.isnan(u[1]) for t, u in found if t < 3)
    assert all(u[1] < 0.1 for t, u in found if t > 6)
    assert units.neutral(resting.face_id) == Neutral.LEARNED
    assert last(moved(resting, BROWS, 1.5), 1, units, start=30)[1] > 0.8


def test_a_start_that_was_not_neutral_is_corrected(resting: Face) -> None:
    units = LandmarkActionUnits()
    raised = moved(resting, BROWS, 0.5)
    assert last(raised, 5, units)[1] < 0.1
    assert last(resting, 5, units, start=5)[1] == 0
    last(resting, 10, units, start=10)
    assert last(raised, 1, units, start=20)[1] > 0.5, "against the real neutral"


def test_a_held_movement_does_not_become_neutral(resting: Face) -> None:
    units = LandmarkActionUnits()
    last(resting, 30, units)
    raised = moved(resting, BROWS)
    assert last(raised, 15, units, start=30)[1] > 0.9
    assert last(resting, 1, units, start=45)[1] < 0.05


def test_speech_does_not_change_the_neutral_mouth(resting: Face) -> None:
    """Four syllables a second for half a minute, with a known and with an unknown neutral face."""

    def talking(t: float) -> Face:
        return moved(resting, OPEN_MOUTH, 0.5 * max(0.0, math.sin(2 * math.pi * 4 * t)))

    half_open = moved(resting, OPEN_MOUTH, 0.3)
    quiet, known, new = LandmarkActionUnits(), LandmarkActionUnits(), LandmarkActionUnits()
    last(resting, 40, quiet)
    last(resting, 10, known)
    for units in (known, new):
        *_, _ = play(talking, 30, units, start=10)
    expected = last(half_open, 1, quiet, start=40)[25]
    assert last(half_open, 1, known, start=40)[25] == pytest.approx(expected, abs=0.05)
    assert last(half_open, 1, new, start=40)[25] == pytest.approx(expected, abs=0.15)


def test_a_neutral_is_set_and_forgotten(resting: Face) -> None:
    units = LandmarkActionUnits()
    raised = moved(resting, BROWS)
    with pytest.raises(ValueError, match="face_1"):
        units.set_neutral("face_1")
    assert math.isnan(intensities(units, raised, 0.0)[1])
    units.set_neutral(resting.face_id)
    found = units.estimate(raised, 0.1)
    assert found.neutral == Neutral.SET
    assert found.units[1].intensity < 0.1
    # The set neutral face does not change, and units are measured in both directions.
    assert last(resting, 40, units, start=0.2)[4] > 0.5
    assert last(moved(resting, BROWS, 2.0), 1, units, start=40.2)[1] > 0.8
    units.forget_neutral(resting.face_id)
    assert units.estimate(raised, 41.3).neutral == Neutral.POPULATION
    with pytest.raises(ValueError, match="face_9"):
        units.forget_neutral("face_9")


@pytest.mark.parametrize("given", ["before", "after"])
def test_a_neutral_is_taken_from_another_picture(resting: Face, given: str) -> None:
    units = LandmarkActionUnits()
    neutral = measure_face(resting)
    raised = moved(resting, BROWS)
    if given == "after":
        units.estimate(raised, 0.0)
    units.set_neutral(resting.face_id, neutral)
    assert intensities(units, raised, 0.1)[1] > 0.8
    for soon in (0.2, 1.5):  # a hand hides the face; the tracker keeps its id
        units.keep([], soon)
        assert units.face_ids == []
    assert units.estimate(raised, 1.6).neutral == Neutral.SET
    units.keep([], 1.7 + faces.ID_EXPIRES_AFTER)
    assert not units.any_neutral_set, "it ends with the face"
    assert units.estimate(raised, 1.8 + faces.ID_EXPIRES_AFTER).neutral == Neutral.POPULATION


def test_an_unsuitable_face_is_refused_as_neutral(resting: Face) -> None:
    units = LandmarkActionUnits()
    for face, said in (
        (blinking(resting), "eyes are closed"),
        (turned(resting, 0.7), "turned away"),
        (dataclasses.replace(resting, pose=None), "without a head pose"),
    ):
        units.estimate(face, 0.0)
        with pytest.raises(ValueError, match=said):
            units.set_neutral(resting.face_id)
    with pytest.raises(ValueError, match="could be measured"):
        median_measures([None])


def test_blendshapes_add_unit_17_and_strengthen_unit_4(resting: Face) -> None:
    def shapes(**strengths: float) -> Blendshapes:
        values = [strengths.get(name, 0.1) for name in BLENDSHAPES]
        return Blendshapes(resting.face_id, "test", np.array(values, np.float32), 1.0)

    units = LandmarkActionUnits()
    for k in range(150):
        found = units.estimate(resting, k / RATE, shapes()).units
    assert found[4].intensity == found[17].intensity == 0
    frown = shapes(browDownLeft=0.6, browDownRight=0.6)
    assert units.estimate(resting, 5.0, frown).units[4].intensity > 0.1
    last_stamp = 5.0
    for k in range(15):
        last_stamp = 5.1 + k / RATE
        found = units.estimate(resting, last_stamp, frown).units
    assert found[4].intensity > 0.6
    assert units.estimate(resting, last_stamp + 1, shapes(mouthShrugLower=0.6)).units[17].intensity
    assert 17 not in units.estimate(resting, last_stamp + 2).units, "nothing is known of it"


def test_appearance_adds_units_and_counts_for_others(resting: Face) -> None:
    def of(found: affect.LandmarkActionUnits, stamp: float, **shown: float) -> dict[int, float]:
        look = {code: shown.get(f"au_{code}", 0.0) for code in (1, 2, 4, 6, 9, 15, 20, 26)}
        units = found.estimate(resting, stamp, appearance=look).units
        return {code: unit.intensity for code, unit in units.items()}

    new = LandmarkActionUnits(appearance=True)
    guessed = of(new, 0.0, au_6=0.7, au_9=-0.4)
    assert (guessed[6], guessed[9]) == (0.7, 0.0)
    assert all(math.isfinite(guessed[code]) for code in (1, 2, 4, 15, 20))
    assert math.isnan(guessed[5]), "no appearance of this unit"
    less, more = (
        of(LandmarkActionUnits(appearance=True), 0.0, au_15=seen)[15] for seen in (0.4, 0.6)
    )
    assert more - less == pytest.approx(0.75 * 0.2), "the landmarks have a quarter"
    # A face that always looks as if it wrinkled the nose is neutral so.
    for k in range(150):
        of(new, 0.1 + k / RATE, au_9=0.5)
    for k in range(30):
        known = of(new, 5.2 + k / RATE, au_9=0.5, au_2=1.0)
    assert known[9] < 0.05
    assert known[2] == pytest.approx(0.5, abs=0.1), "the landmarks, which are at rest, have half"


def test_the_appearance_of_closed_eyes_is_not_learned(resting: Face) -> None:
    units = LandmarkActionUnits(appearance=True)
    look = dict.fromkeys((1, 2, 4, 6, 9, 15, 20, 26), 0.6)
    for k in range(150):
        units.estimate(blinking(resting), k / RATE, appearance=look)
    found = units.estimate(resting, 5.0, appearance=look).units
    assert found[6].intensity == pytest.approx(0.6)
    assert found[26].confidence > found[6].confidence


def test_blinks_are_not_smoothed_and_do_not_raise_the_lids(resting: Face) -> None:
    units = LandmarkActionUnits()
    assert last(resting, 4, units)[45] == 0
    wide = moved(blinking(resting), LIDS_UP)
    shut = intensities(units, wide, 4.0)
    assert shut[45] == 1
    assert shut[5] == 0
    assert intensities(units, resting, 4 + 1 / RATE)[45] == 0


def test_lids_and_brows_are_not_learned_with_closed_eyes(resting: Face) -> None:
    heavy_lids = moved(resting, LIDS_UP, -0.3)
    asleep, awake = LandmarkActionUnits(), LandmarkActionUnits()
    last(blinking(heavy_lids), 20, asleep)
    last(heavy_lids, 20, awake)
    as_before = last(resting, 1, asleep, start=20)
    wider = last(resting, 1, awake, start=20)
    assert math.isnan(as_before[5])
    assert math.isnan(as_before[1])
    assert as_before[15] == pytest.approx(0), "the mouth was seen"
    assert wider[5] > 0.1


def turned(face: Face, angle: float) -> Face:
    """Returns the face on the optical axis, turned by ``angle`` (rad) away from the camera."""
    assert face.pose is not None
    turn = cv2.Rodrigues(np.array([0.0, angle, 0.0]))[0]
    facing = np.array([[0.0, 1.0, 0.0], [0.0, 0.0, -1.0], [-1.0, 0.0, 0.0]])
    upright = faces.rotate_to_frontal(face.landmarks, face.pose) * (1, -1, -1)
    landmarks = (upright @ turn.T + (320, 240, 0)).astype(np.float32)
    from_landmark_frame = faces.landmark_frame(HeadPose(np.zeros(3), np.eye(3))).T
    pose = HeadPose(np.array([0.0, 0.0, 0.5]), turn @ facing @ from_landmark_frame)
    return dataclasses.replace(face, landmarks=landmarks, pose=pose)


def test_a_turned_head_has_the_same_units_and_is_not_learned_from(resting: Face) -> None:
    neutral = measure_face(resting)
    high_brows = moved(resting, BROWS, 0.5)
    frontal, aside = turned(high_brows, 0.0), turned(high_brows, 0.7)

    def seen(face: Face) -> dict[int, float]:
        units = LandmarkActionUnits()
        units.set_neutral(face.face_id, neutral)
        return intensities(units, face, 0.0)

    assert seen(frontal) == pytest.approx(seen(high_brows), abs=0.02)
    assert seen(frontal) == pytest.approx(seen(aside), abs=0.02)
    assert last(frontal, 20, LandmarkActionUnits())[1] < 0.1
    assert math.isnan(last(aside, 20, LandmarkActionUnits())[1])


def test_a_gap_between_images_does_not_count_as_time(resting: Face) -> None:
    units = LandmarkActionUnits()
    for stamp in (0.0, 20.0, 40.0):
        assert math.isnan(intensities(units, resting, stamp)[1])


def test_confidence_falls_with_turn_size_and_unknown_neutral(resting: Face) -> None:
    def confidence(face: Face, units: LandmarkActionUnits | None = None) -> dict[int, float]:
        found = (units or LandmarkActionUnits()).estimate(face, 100.0).units
        assert all(math.isnan(unit.probability) for unit in found.values())
        return {code: unit.confidence for code, unit in found.items()}

    new = confidence(resting)
    assert all((0 < new[code] < 1) == (code in GUESSED) for code in UNITS)
    assert min(new[code] for code in (45, 25, 12)) > 2 * new[26] > 0.2
    known = LandmarkActionUnits()
    last(resting, 20, known, start=80)
    later = confidence(resting, known)
    assert all(later[code] > new[code] for code in UNITS)
    assert min(later[code] for code in (45, 25, 26, 12)) > later[2]
    assert later[2] > 1.5 * max(later[code] for code in (1, 4, 5, 15, 18, 20)) > 0.3

    assert resting.pose is not None
    turn = cv2.Rodrigues(np.array([0.0, 0.8, 0.0]))[0]
    turned = HeadPose(resting.pose.position, turn @ resting.pose.rotation)
    small = (resting.landmarks * 0.2).astype(np.float32)
    for worse in (
        dataclasses.replace(resting, pose=turned),
        dataclasses.replace(resting, landmarks=small),
        dataclasses.replace(resting, confidence=0.5),
    ):
        found = confidence(worse)
        assert all(found[code] < 0.8 * new[code] for code in GUESSED)


def test_units_that_cannot_be_measured_are_missing(resting: Face) -> None:
    def codes(**changes: object) -> tuple[int, ...]:
        face = dataclasses.replace(resting, **changes)
        return tuple(LandmarkActionUnits().estimate(face, 0.0).units)

    nothing = np.full((478, 3), np.nan, np.float32)
    no_openness = {"left_eye_openness": NAN, "right_eye_openness": NAN}
    assert codes() == UNITS
    assert codes(pose=None) == (45,)
    assert codes(landmarks=nothing) == (45,)
    assert codes(landmarks=np.zeros((478, 3), np.float32)) == (45,)
    assert codes(pose=HeadPose(np.full(3, np.nan), np.full((3, 3), np.nan))) == (45,)
    assert codes(**no_openness) == UNITS[:-1]
    assert codes(pose=None, **no_openness) == ()
    assert codes(left_eye_openness=NAN) == UNITS


def test_each_face_has_its_own_state_until_it_is_forgotten(resting: Face, smiling: Face) -> None:
    units = LandmarkActionUnits()
    high_brows = moved(resting, BROWS, 0.5)
    other = dataclasses.replace(smiling, face_id="face_2")
    for k in range(600):
        units.estimate(high_brows, k / RATE)
        units.estimate(other, k / RATE)
    first = Neutral.POPULATION
    units.keep(["face_1", "face_2"], 20.0)
    assert units.face_ids == ["face_1", "face_2"]
    assert intensities(units, high_brows, 20.0)[1] < 0.1
    units.keep(["face_1"], 20.0)
    assert units.face_ids == ["face_1"]
    assert units.estimate(high_brows, 20.1).neutral == Neutral.LEARNED
    assert units.estimate(high_brows, 5.0).neutral == first, "the clock went back"
    last(high_brows, 20, units, start=5)
    units.keep(["face_2"], 25.1 + faces.ID_EXPIRES_AFTER)
    assert units.estimate(high_brows, 27.2).neutral == first
    last(high_brows, 20, units, start=28)
    units.reset()
    assert units.estimate(high_brows, 48.0).neutral == first


def test_a_reused_id_starts_with_an_unknown_neutral_face(resting: Face) -> None:
    """A restarted tracker counts from 1 again, without an empty image in between."""
    away, gone = LandmarkActionUnits(), LandmarkActionUnits()
    for units in (away, gone):
        last(resting, 20, units)
    assert away.estimate(resting, 20 + 0.9 * faces.ID_EXPIRES_AFTER).neutral == Neutral.LEARNED
    assert gone.estimate(resting, 20 + 1.1 * faces.ID_EXPIRES_AFTER).neutral == Neutral.POPULATION


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"learn_time": 0.0}, "learn_time"),
        ({"memory_time": math.inf}, "memory_time"),
        ({"max_gap": -1.0}, "max_gap"),
        ({"min_cutoff": -1.0}, "min_cutoff"),
    ],
)
def test_settings_out_of_range_are_refused(settings: dict[str, float], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        LandmarkActionUnits(**settings)


def test_expressions_of_photographs_in_one_batch(
    net: ExpressionNet, tracker: faces.FaceTracker
) -> None:
    crops = []
    for name in ("astronaut", "grace_hopper"):
        image = photograph(name)
        face = dataclasses.replace(face_in(tracker, image), face_id=name)
        crops.append(faces.crop_face(image, face))
    smile, rest = net.estimate(crops)
    assert (smile.face_id, rest.face_id) == ("astronaut", "grace_hopper")
    assert (smile.label, rest.label) == ("happy", "neutral")
    assert smile.probability.max() > 0.9
    assert smile.confidence > rest.confidence
    assert smile.source == "expression"
    for found in (smile, rest):
        assert found.probability.shape == (7,)
        assert found.probability.sum() == pytest.approx(1, abs=1e-3)
    alone = net.estimate(crops[1:])[0]
    assert alone.probability == pytest.approx(rest.probability, abs=1e-4)
    happy, calm = derive_valence_arousal(smile), derive_valence_arousal(rest)
    assert happy.valence > 0.6
    assert 0.2 < happy.arousal < 0.5
    assert abs(calm.valence) < 0.2
    assert net.estimate([]) == []


@pytest.mark.parametrize(("name", "gray"), [("expression", False), ("expression_fer", True)])
def test_the_crop_gives_the_same_expression_as_the_photograph(
    name: str, gray: bool, tracker: faces.FaceTracker
) -> None:
    """The crop has fewer pixels than the photograph. That must not change the expression."""
    model = inference.load(name)
    row, column, side = model.card.facts["window"]
    for picture in ("astronaut", "grace_hopper"):
        image = photograph(picture)
        crop = faces.crop_face(image, face_in(tracker, image))
        size = model.inputs["face"].shape[1]
        assert size
        # Continue the similarity of the crop to the pixels of the network (pixel centres).
        scale = size / side
        shift = scale * (0.5 - np.array([column, row])) - 0.5
        transform = np.column_stack([scale * crop.transform[:, :2], scale * crop.transform[:, 2]])
        transform[:, 2] += shift
        cut = cv2.warpAffine(image, transform, (size, size), flags=cv2.INTER_LINEAR)
        if gray:
            cut = cv2.cvtColor(cut, cv2.COLOR_RGB2GRAY)[..., None]
        direct = model.infer({"face": cut[None].astype(np.float32)})["probability"][0]
        (patched,) = ExpressionNet(model).estimate([crop])
        assert np.abs(patched.probability - direct).max() < 0.25


@pytest.mark.parametrize("fact", [None, [18, 18], [18, 18, 0], [-1, 0, 50], [60, 10, 124], "all"])
def test_a_card_without_a_window_is_refused(fact: object) -> None:
    model = inference.load("expression")
    model.card = dataclasses.replace(model.card, facts={} if fact is None else {"window": fact})
    with pytest.raises(inference.ModelError, match=r"model expression must have the fact window"):
        ExpressionNet(model)


def test_the_older_expression_network_can_be_loaded_by_name(
    tracker: faces.FaceTracker,
) -> None:
    image = photograph("astronaut")
    net = ExpressionNet(inference.load("expression_fer"))
    (found,) = net.estimate([faces.crop_face(image, face_in(tracker, image))])
    assert (found.label, found.source) == ("happy", "expression_fer")


def test_a_crop_of_another_size_is_refused(net: ExpressionNet) -> None:
    crop = FaceCrop("face_1", np.zeros((112, 112, 3), np.uint8), np.eye(3)[:2])
    with pytest.raises(ValueError, match=r"160, 160, 3.*112.*crop_face"):
        net.estimate([crop])


def expression(name: str, share: float = 1.0, face_id: str = "face_1") -> Expression:
    """Returns an expression with this probability of one class; the others share the rest."""
    probability = np.full(7, (1 - share) / 7)
    probability[EXPRESSIONS.index(name)] += share
    return Expression(face_id, "scripted", probability, 1.0, "person_1")


def test_smoothing_depends_on_time_and_not_on_the_number_of_images() -> None:
    for rate in (10.0, 30.0):
        smooth = ExpressionSmoother(0.5)
        smooth([expression("neutral")], 0.0)
        for k in range(round(0.5 * rate)):
            (found,) = smooth([expression("happy")], (k + 1) / rate)
        happy = found.probability[EXPRESSIONS.index("happy")]
        assert happy == pytest.approx(1 - math.exp(-1))
        assert found.probability.sum() == pytest.approx(1)
        assert (found.source, found.person_id) == ("scripted", "person_1")
    assert found.confidence < 0.8, "torn between two classes, whatever each image says"


def test_smoothing_starts_again_after_a_gap() -> None:
    happy = expression("happy")

    def warm() -> ExpressionSmoother:
        smooth = ExpressionSmoother()
        smooth([expression("sad"), expression("sad", face_id="face_2")], 10.0)
        return smooth

    (mixed,) = warm()([happy], 10.1)
    assert mixed.label == "sad"
    left = warm()
    left([expression("sad", face_id="face_2")], 10.05)
    unknown = warm()
    nothing = Expression("face_1", "scripted", np.full(7, np.nan))
    (nobody_knows,) = unknown([nothing], 10.05)
    assert nobody_knows.label == ""
    assert math.isnan(nobody_knows.confidence)
    cleared = warm()
    cleared.reset()
    for smooth, stamp in (
        (warm(), 2.0),
        (warm(), 10 + 1.1 * faces.ID_EXPIRES_AFTER),
        (left, 10.1),
        (unknown, 10.1),
        (cleared, 10.1),
        (ExpressionSmoother(0.0), 10.1),
    ):
        (afresh,) = smooth([happy], stamp)
        assert afresh.probability == pytest.approx(happy.probability)
    assert warm()([], 10.1) == []
    with pytest.raises(ValueError, match="time_constant"):
        ExpressionSmoother(-0.5)


class Watched:
    """Wraps the expression network and records the faces it was run on."""

    def __init__(self, net: ExpressionNet) -> None:
        self.net, self.asked = net, []

    def estimate_affect(self, crops: list[FaceCrop]) -> list[tuple[Expression, ValenceArousal]]:
        self.asked += [crop.face_id for crop in crops]
        return self.net.estimate_affect(crops)


def test_the_network_runs_no_more_often_than_its_rate(net: ExpressionNet) -> None:
    random = np.random.default_rng(0)

    def patch(face_id: str) -> FaceCrop:
        image = random.integers(0, 255, (160, 160, 3)).astype(np.uint8)
        return FaceCrop(face_id, image, np.eye(3)[:2])

    watched = Watched(net)
    paced = RateLimitedExpressions(watched, ExpressionSmoother(0.5), rate=10.0)  # type: ignore[arg-type]
    results = []
    for k in range(60):  # two seconds at 30 Hz; a second face comes after one second
        here = ["face_1"] if k < 30 else ["face_1", "face_2"]
        results.append(paced.estimate([patch(face_id) for face_id in here], k / 30))
        assert [found.face_id for found in results[-1]] == here
    assert watched.asked.count("face_1") == 20
    assert watched.asked.count("face_2") == 10
    np.testing.assert_array_equal(results[1][0].probability, results[0][0].probability)
    assert (results[3][0].probability != results[0][0].probability).any()
    # The network runs at once for a face that was away, and after a stamp that goes back.
    paced.estimate([], 2.0)
    before = len(watched.asked)
    paced.estimate([patch("face_1")], 2.01)
    paced.estimate([patch("face_1")], 0.5)
    assert len(watched.asked) == before + 2
    every = Watched(net)
    all_images = RateLimitedExpressions(every, ExpressionSmoother(0.5), rate=0.0)  # type: ignore[arg-type]
    for k in range(5):
        all_images.estimate([patch("face_1")], k / 30)
    assert len(every.asked) == 5
    with pytest.raises(ValueError, match="rate"):
        RateLimitedExpressions(net, ExpressionSmoother(), rate=-1.0)


@pytest.mark.parametrize(
    ("name", "valence", "arousal"),
    [("neutral", 0, 0), ("happy", 1, 1), ("sad", -1, -1), ("angry", -1, 1), ("scared", -1, 1)],
)
def test_derived_valence_and_arousal(name: str, valence: int, arousal: int) -> None:
    found = derive_valence_arousal(expression(name))
    assert np.sign((found.valence, found.arousal)).tolist() == [valence, arousal]
    assert (found.source, found.face_id, found.person_id) == ("derived", "face_1", "person_1")
    # Half the probability gives half the valence and arousal.
    half = expression(name).probability / 2 + expression("neutral").probability / 2
    halved = derive_valence_arousal(Expression("face_1", "scripted", half, 0.5))
    assert (halved.valence, halved.arousal) == pytest.approx((found.valence / 2, found.arousal / 2))
    assert halved.confidence == 0.5


def test_unknown_probabilities_give_unknown_valence_and_arousal() -> None:
    found = derive_valence_arousal(Expression("face_1", "scripted", np.full(7, np.nan)))
    assert math.isnan(found.valence)
    assert math.isnan(found.arousal)
    assert math.isnan(found.confidence)


def test_units_are_plain_numbers(resting: Face) -> None:
    for unit in LandmarkActionUnits().estimate(resting, 0.0).units.values():
        assert isinstance(unit, ActionUnit)
        assert type(unit.intensity) is float
        assert type(unit.confidence) is float
