"""Tests the portrait by running the face networks on what it renders."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from speech_clip import RECORDED

from face_perception import faces
from face_perception.affect import LandmarkActionUnits
from face_perception.avatar import (
    FaceState,
    IdleMotionAnimator,
    PortraitError,
    PortraitRenderer,
    Renderer,
    load_portrait,
)
from face_perception.avatar.portrait import portrait_renderer, source_picture
from face_perception.avatar.portrait.anatomy import measure_anatomy
from face_perception.avatar.portrait.eye_painting import PaintedEye
from face_perception.avatar.portrait.mouth_interior import MouthInterior
from face_perception.faces import FaceTracker
from face_perception.gaze import GeometricGaze
from face_perception.geometry import yaw_pitch
from face_perception.inference import Model, sample_photo
from face_perception.speech import MOUTH_RATE, BandMouth, Mouth, MouthShape, NeuralMouth, read_wav
from face_perception.types import Camera, Face, Frame

SIDE = 512
CAMERA = Camera.assume(SIDE, SIDE)
NAMES = ("", "astronaut", "grace_hopper", "yongen")
FACES = ("synthetic", "astronaut", "grace_hopper", "yongen")

SPEECH = Path(__file__).parents[1] / "data" / "speech_espeak.wav"


def clip_image() -> np.ndarray:
    clip = cv2.VideoCapture(str(Path(__file__).parents[1] / "data" / "yongen.mp4"))
    clip.set(cv2.CAP_PROP_POS_FRAMES, 100)
    read, bgr = clip.read()
    assert read
    return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB))


@pytest.fixture(scope="module")
def portraits(face_networks: tuple[Model, Model]) -> dict[str, PortraitRenderer]:
    tracker = FaceTracker(*face_networks)
    made = {
        name: load_portrait(source, tracker=tracker)
        for name, source in zip(FACES, NAMES, strict=True)
        if name != "yongen"
    }
    return {**made, "yongen": PortraitRenderer(clip_image(), tracker=tracker)}


@pytest.fixture
def look(tracker: FaceTracker) -> Callable[[Renderer, FaceState], Face]:
    """Returns the face that is found first in one rendered image."""

    def see(portrait: Renderer, state: FaceState) -> Face:
        (face,) = tracker.detect(Frame(portrait.render(state), 0.0, CAMERA), max_faces=1)
        return face

    return see


def distance(face: Face, a: int, b: int) -> float:
    return float(np.linalg.norm(face.landmarks[a, :2] - face.landmarks[b, :2]))


def lips(face: Face) -> float:
    """Returns the distance of the lips, divided by that of the outer canthi."""
    return distance(face, 13, 14) / distance(face, 33, 263)


def mouth_width(face: Face) -> float:
    return distance(face, 61, 291) / distance(face, 33, 263)


def eyes(face: Face) -> float:
    """Returns the mean of height over width of both eyes."""
    right = distance(face, 159, 145) / distance(face, 33, 133)
    return (right + distance(face, 386, 374) / distance(face, 263, 362)) / 2


def any_state(random: np.random.Generator) -> FaceState:
    """Returns a state with random values of everything at once, also out of range."""

    def within(most: float) -> float:
        return float(random.uniform(-most, most))

    return FaceState(
        mouth=MouthShape(*(float(v) for v in random.random(6))),
        smile=within(1.0),
        inner_brow=within(1.0),
        outer_brow=within(1.0),
        lids=within(1.2),
        blink=float(random.random()),
        gaze_yaw=within(0.8),
        gaze_pitch=within(0.6),
        head_yaw=within(0.3),
        head_pitch=within(0.3),
        head_roll=within(0.3),
        brow_knit=within(1.2),
        cheeks=within(1.2),
        nose=within(1.2),
        stretch=within(1.2),
        tighten=within(1.2),
    )


@pytest.mark.parametrize("name", FACES)
def test_jaw_parts_the_lips(
    name: str, portraits: dict[str, PortraitRenderer], look: Callable
) -> None:
    seen = [
        lips(look(portraits[name], FaceState(MouthShape(jaw=jaw)))) for jaw in (0, 0.25, 0.5, 1)
    ]
    assert seen[0] < 0.03, "closed at rest, also where the picture is not"
    assert all(b > a + 0.015 for a, b in itertools.pairwise(seen)), seen
    assert seen[-1] > 0.12


@pytest.mark.parametrize("name", FACES)
def test_mouth_shapes_are_seen(
    name: str, portraits: dict[str, PortraitRenderer], look: Callable
) -> None:
    portrait = portraits[name]
    rest = look(portrait, FaceState())
    wide = look(portrait, FaceState(MouthShape(wide=1)))
    rounded = look(portrait, FaceState(MouthShape(round=1)))
    smile = look(portrait, FaceState(smile=1))
    teeth = look(portrait, FaceState(MouthShape(teeth=1)))
    pressed = look(portrait, FaceState(MouthShape(jaw=0.4, press=1, teeth=1)))
    open_ = look(portrait, FaceState(MouthShape(jaw=0.4, teeth=1)))
    assert mouth_width(rounded) < 0.95 * mouth_width(rest)
    assert mouth_width(wide) > 1.04 * mouth_width(rest)
    assert mouth_width(smile) > 1.04 * mouth_width(rest)
    assert lips(teeth) > lips(rest) + 0.02
    assert lips(pressed) < 0.03 < lips(open_)

    def corners_over_middle(face: Face) -> float:
        points = face.landmarks[:, 1]
        return float((points[13] + points[14]) / 2 - (points[61] + points[291]) / 2)

    frown = look(portrait, FaceState(smile=-1))
    assert corners_over_middle(smile) > corners_over_middle(rest) + 2
    assert corners_over_middle(frown) < corners_over_middle(rest) - 2


def test_light_is_read_from_the_cheeks_that_are_in_the_picture(tracker: FaceTracker) -> None:
    """A picture that is cut off at the brows has no forehead. Nothing else is used instead."""
    picture = np.ascontiguousarray(photo()[..., ::-1])
    found = tracker.detect(Frame(picture, 0.0, Camera.assume(*picture.shape[1::-1])))
    landmarks = found[0].landmarks.copy()
    top = round(float(landmarks[[10, 151], 1].max())) + 8
    landmarks[:, 1] -= top
    cut = picture[top:].copy()
    face = measure_anatomy(cut, landmarks)
    light = MouthInterior(cut, face)._throat
    below = round(float(landmarks[[205, 425], 1].max())) + 8
    cut[below:] = 0, 0, 255
    assert np.array_equal(MouthInterior(cut, face)._throat, light)


@pytest.mark.parametrize("name", FACES)
def test_blink_shuts_the_eyes(
    name: str, portraits: dict[str, PortraitRenderer], look: Callable
) -> None:
    seen = [eyes(look(portraits[name], FaceState(blink=b))) for b in (0.0, 0.5, 1.0)]
    assert seen[1] < 0.9 * seen[0]
    assert seen[2] < 0.6 * seen[0]
    narrow, open_ = (eyes(look(portraits[name], FaceState(lids=v))) for v in (-1.0, 1.0))
    assert narrow < 0.95 * seen[0] < 0.98 * open_


@pytest.mark.parametrize("name", FACES)
def test_brows_go_up_and_down(
    name: str, portraits: dict[str, PortraitRenderer], look: Callable
) -> None:
    def brows(**weights: float) -> float:
        face = look(portraits[name], FaceState(**weights))
        points = face.landmarks[:, 1]
        brow = points[[105, 66, 334, 296]].mean()
        return float(points[[133, 362]].mean() - brow) / distance(face, 33, 263)

    rest = brows()
    assert brows(inner_brow=1, outer_brow=1) > rest + 0.02
    assert brows(inner_brow=-1, outer_brow=-1) < rest - 0.01


@pytest.mark.parametrize("name", FACES)
def test_irises_go_where_they_are_told(
    name: str, portraits: dict[str, PortraitRenderer], look: Callable
) -> None:
    def irises(yaw: float, pitch: float) -> np.ndarray:
        face = look(portraits[name], FaceState(gaze_yaw=yaw, gaze_pitch=pitch))
        points = face.landmarks[:, :2]
        centres = points[[33, 133, 362, 263]].mean(0)
        return (points[[468, 473]].mean(0) - centres) / distance(face, 33, 263)

    least = 0.004 if name == "grace_hopper" else 0.008  # dark eyes behind glasses
    assert irises(0.3, 0)[0] > irises(0, 0)[0] + 0.01
    assert irises(-0.3, 0)[0] < irises(0, 0)[0] - 0.01
    assert irises(0, 0.25)[1] < irises(0, -0.2)[1] - least


_NOISY_IMAGES, _NOISE = 3, 2.0  # standard deviation of the noise, grey levels
# Largest error, degrees. With this noise, single images are off by up to 7.0, 6.9 and 8.8, and
# means of four images of grace_hopper by up to 7.7: her eyes are dark, behind glasses, and their
# confidence is only 0.2 to 0.5.
_LARGEST_ERROR_DEG = {"synthetic": 8, "astronaut": 8, "grace_hopper": 10}
_LOOKS = [(0, 0), (0.17, 0), (0.34, 0), (-0.17, 0), (-0.34, 0), (0, 0.1), (0, -0.1), (-0.2, 0.1)]


@pytest.mark.parametrize(
    ("name", "yaw", "pitch"),
    [
        *(("synthetic", *told) for told in (*_LOOKS, (0, 0.17), (0, -0.17), (0.2, 0.12))),
        *(("astronaut", *told) for told in _LOOKS),
        *(("grace_hopper", *told) for told in _LOOKS),
    ],
)
def test_perception_reads_the_gaze_that_was_told(
    name: str,
    yaw: float,
    pitch: float,
    portraits: dict[str, PortraitRenderer],
    tracker: FaceTracker,
) -> None:
    """Measured from the line from the eyes to the camera: (0, 0) looks at the viewer.

    The mean over several images with the noise of a camera, because each is read differently.
    """
    image = portraits[name].render(FaceState(gaze_yaw=yaw, gaze_pitch=pitch))
    random = np.random.default_rng(0)
    wrong = []
    for _ in range(_NOISY_IMAGES):
        noisy = np.clip(image + random.normal(0, _NOISE, image.shape), 0, 255).astype(np.uint8)
        (face,) = tracker.detect(Frame(noisy, 0.0, CAMERA), max_faces=1)
        seen = GeometricGaze().estimate(CAMERA, face, 0.0)
        sight = yaw_pitch(-seen.origin / np.linalg.norm(seen.origin))
        wrong.append((seen.yaw - sight[0] - yaw, seen.pitch - sight[1] - pitch))
    assert math.degrees(math.hypot(*np.mean(wrong, axis=0))) < _LARGEST_ERROR_DEG[name]


@pytest.mark.parametrize("name", FACES)
def test_head_turns_are_seen(
    name: str, portraits: dict[str, PortraitRenderer], look: Callable
) -> None:
    def pose(**turn: float) -> np.ndarray:
        found = look(portraits[name], FaceState(**turn)).pose
        assert found
        return np.array([found.yaw, found.pitch, found.roll])

    assert pose(head_yaw=0.15)[0] > pose(head_yaw=-0.15)[0] + 0.03
    assert pose(head_roll=0.06)[2] > pose(head_roll=-0.06)[2] + 0.08
    if name != "yongen":  # the head is bent so far down that its pose is unreliable
        assert pose(head_pitch=0.12)[1] > pose(head_pitch=-0.12)[1] + 0.03


@pytest.mark.parametrize("name", FACES)
def test_nothing_tears_or_folds(name: str, portraits: dict[str, PortraitRenderer]) -> None:
    random = np.random.default_rng(0)
    single = [
        FaceState(mouth=MouthShape(**{weight: 1.0})) for weight in MouthShape.__dataclass_fields__
    ]
    for state in [*single, *(any_state(random) for _ in range(60))]:
        seen = portraits[name]._area_scale(state)
        assert np.nanmin(seen) > 0.1, state
        assert np.nanmax(seen) < 6, state


@pytest.mark.parametrize("name", FACES)
def test_background_stays(name: str, portraits: dict[str, PortraitRenderer]) -> None:
    portrait = portraits[name]
    outside = np.ones((SIDE, SIDE), bool)
    outside[portrait.region.rows, portrait.region.columns] = False
    random = np.random.default_rng(1)
    for _ in range(10):
        image = portrait.render(any_state(random))
        np.testing.assert_array_equal(image[outside], portrait.picture[outside])
        # The border of the region does not move, so there is no edge around it.
        inner = image[portrait.region.rows, portrait.region.columns].astype(int)
        picture = portrait.picture[portrait.region.rows, portrait.region.columns]
        moved = np.abs(inner - picture)
        for line in (moved[0], moved[-1], moved[:, 0], moved[:, -1]):
            assert line.max() <= 1


@pytest.mark.parametrize("name", FACES)
@pytest.mark.parametrize("jaw", [0.0, 1.0])
def test_there_is_one_face(
    jaw: float, name: str, portraits: dict[str, PortraitRenderer], tracker: FaceTracker
) -> None:
    image = portraits[name].render(FaceState(MouthShape(jaw=jaw)))
    assert len(tracker.detect(Frame(image, 0.0, CAMERA))) == 1


@pytest.mark.parametrize("name", FACES)
def test_rest_is_the_picture(name: str, portraits: dict[str, PortraitRenderer]) -> None:
    """Except for lips that are parted in the picture, and eyes that were taken apart."""
    portrait = portraits[name]
    apart = np.abs(portrait.render(FaceState()).astype(int) - portrait.picture).mean(2)
    assert (apart > 12).mean() < (0.02 if name == "astronaut" else 0.004)


def test_depends_on_the_state_alone(portraits: dict[str, PortraitRenderer]) -> None:
    portrait = portraits["astronaut"]
    random = np.random.default_rng(2)
    state = any_state(random)
    first = portrait.render(state)
    for _ in range(3):
        portrait.render(any_state(random))
    again = portrait.render(state)
    assert again is not first
    np.testing.assert_array_equal(first, again)


def test_small_steps_make_small_changes(portraits: dict[str, PortraitRenderer]) -> None:
    """If a weight changes by a hundredth, no pixel jumps: nothing flickers between two images."""
    portrait = portraits["synthetic"]
    for make in (
        lambda t: FaceState(MouthShape(jaw=t)),
        lambda t: FaceState(MouthShape(teeth=t, wide=t)),
        lambda t: FaceState(blink=t),
        lambda t: FaceState(gaze_yaw=t - 0.5),
        lambda t: FaceState(smile=2 * t - 1, head_yaw=0.2 * t),
        lambda t: FaceState(brow_knit=t, cheeks=t, nose=t),
        lambda t: FaceState(stretch=t),
        lambda t: FaceState(tighten=t),
    ):
        images = [portrait.render(make(t)).astype(int) for t in np.arange(0, 1.001, 0.05)]
        change = [np.abs(b - a).mean() for a, b in itertools.pairwise(images)]
        assert max(change) < 4 * np.median(change) + 0.02


@pytest.mark.parametrize("wrong", [math.nan, math.inf, -5.0, 5.0])
def test_states_out_of_range_are_limited(
    wrong: float, portraits: dict[str, PortraitRenderer]
) -> None:
    names = [name for name in FaceState.__dataclass_fields__ if name != "mouth"]
    state = FaceState(MouthShape(*[wrong] * 6), **dict.fromkeys(names, wrong))
    image = portraits["synthetic"].render(state)
    assert image.dtype == np.uint8
    assert image.shape == (SIDE, SIDE, 3)


def test_speaks_as_perception_sees_it(
    portraits: dict[str, PortraitRenderer], tracker: FaceTracker
) -> None:
    """Speech in, images out, landmarks back. Each image has a face whose lips follow the voice.

    AU 25 is active when it speaks, 45 when it blinks, 26 when the jaw drops.
    """
    data = np.fromfile(SPEECH, np.int16)[22:].astype(np.float32) / 32768
    mouth, life, units = BandMouth(), IdleMotionAnimator(seed=2), LandmarkActionUnits()
    mouth.push_samples(data)
    level, seen, blinks, opened = [], [], [], []
    # A second of rest comes first: the neutral face.
    for i in range(-30, 130):
        t = i / 25
        shape = mouth.shape_at(t)
        state = life.state_at(t + 10, shape, speaking=i >= 0)
        faces = tracker.track(Frame(portraits["synthetic"].render(state), t + 10, CAMERA))
        assert len(faces) == 1, i
        found = units.estimate(faces[0], t + 10).units
        blinks.append((state.blink, found[45].intensity))
        middle = int(t * 16000)
        part = data[max(middle - 400, 0) : middle + 400] if i >= 0 else np.zeros(1)
        level.append(float(np.sqrt((part**2).mean())))
        seen.append(lips(faces[0]))
        opened.append((found[25].intensity, found[26].intensity))
    dropped = []
    for i in range(130, 150):
        state = FaceState(MouthShape(jaw=min(1.0, (i - 130) / 10)))
        face = tracker.track(Frame(portraits["synthetic"].render(state), i / 25 + 10, CAMERA))[0]
        dropped.append(units.estimate(face, i / 25 + 10).units[26].intensity)
    level_, seen_, opened_ = np.array(level[30:]), np.array(seen[30:]), np.array(opened)
    voiced = level_ > 0.02 * level_.max()
    assert np.corrcoef(seen_[voiced], level_[voiced])[0, 1] > 0.6
    assert np.median(seen_[level_ < 1e-3]) < 0.02
    assert (opened_[:30] < 0.2).all()
    assert opened_[30:, 0].max() > 0.6
    assert dropped[-1] > 0.05
    shut = [intensity for blink, intensity in blinks if blink > 0.95]
    awake = [intensity for blink, intensity in blinks if blink == 0]
    assert len(shut) >= 3
    assert np.mean(shut) > 0.6
    assert np.nanmean(awake) < 0.15


@pytest.mark.parametrize("make", [NeuralMouth, BandMouth])
def test_lips_follow_recorded_speech_and_close_in_pauses(
    make: Callable[[], Mouth],
    portraits: dict[str, PortraitRenderer],
    tracker: FaceTracker,
) -> None:
    """Compares the distances of the lips, by landmarks on rendered frames, with a person's speech.

    Measures the first six seconds and every pause. NeuralMouth is the talking face's default.
    """
    recording = read_wav(RECORDED)
    data = recording.samples[:, 0].astype(np.float32) / 32768
    assert recording.rate == MOUTH_RATE
    mouth, fps = make(), 20
    mouth.push_samples(data)
    step = MOUTH_RATE // fps
    count = len(data) // step
    level = np.sqrt((data[: count * step].reshape(count, step) ** 2).mean(1))
    voiced = level > level.max() * 10 ** (-35 / 20)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], ~voiced, [False]]).astype(int)))
    pauses = [range(a, b) for a, b in edges.reshape(-1, 2) if b - a > 0.3 * fps]
    # In the first frames of a pause the lips still close, in the last ones they already open.
    within = [p[2:-2] for p in pauses]
    begin = range(6 * fps)
    seen = {}
    for i in range(-3, 0):  # the tracker returns a face after it has seen it three times
        tracker.track(Frame(portraits["synthetic"].render(FaceState()), i / fps, CAMERA))
    for i in sorted({*begin, *itertools.chain(*within)}):
        shape = mouth.shape_at((i + 0.5) / fps)
        image = portraits["synthetic"].render(FaceState(shape))
        (face,) = tracker.track(Frame(image, i / fps, CAMERA))
        seen[i] = lips(face)
    spoken = [i for i in begin if voiced[i]]
    correlation = np.corrcoef([seen[i] for i in spoken], level[spoken])[0, 1]
    closed = [all(seen[i] < 0.03 for i in p) for p in within]
    print(f"correlation {correlation:.2f}, closed in {sum(closed)} of {len(closed)} pauses")
    assert correlation >= 0.65
    assert len(closed) >= 2
    assert np.mean(closed) >= 0.95


@pytest.fixture
def usual_gains(monkeypatch: pytest.MonkeyPatch) -> None:
    """Saves measuring how far irises and head must move: most of the time to load a portrait."""
    monkeypatch.setattr(portrait_renderer, "measure_head_gain", lambda *_: None)
    monkeypatch.setattr(portrait_renderer, "measure_iris_gain", lambda *given: given[-1])


@pytest.mark.usefixtures("usual_gains")
@pytest.mark.parametrize("size", [(128, 128), (640, 360), (300, 420)])
def test_any_size(size: tuple[int, int], tracker: FaceTracker) -> None:
    portrait = load_portrait("grace_hopper", size=size, tracker=tracker)
    assert portrait.size == size
    assert portrait.render(FaceState(MouthShape(jaw=1))).shape == (size[1], size[0], 3)


@pytest.mark.parametrize("size", [(64, 64), (512, 4096)])
def test_sizes_out_of_range_are_refused(size: tuple[int, int], tracker: FaceTracker) -> None:
    with pytest.raises(ValueError, match="128 to 2048 pixels"):
        load_portrait("astronaut", size=size, tracker=tracker)


@pytest.mark.parametrize("source", ["", "astronaut"])
@pytest.mark.parametrize("size", [(2048, 128), (128, 2048)])
def test_a_frame_that_cuts_the_face_is_refused(
    size: tuple[int, int], source: str, tracker: FaceTracker
) -> None:
    with pytest.raises(PortraitError, match=f"in a frame of {size[0]}x{size[1]}: choose width"):
        load_portrait(source, size=size, tracker=tracker)


def photo() -> np.ndarray:
    return np.asarray(cv2.imread(str(sample_photo("astronaut"))))


@pytest.mark.usefixtures("usual_gains")
def test_reads_what_cameras_and_drawing_programs_write(
    tmp_path: Path, tracker: FaceTracker
) -> None:
    bgr = photo()
    alpha = np.full((*bgr.shape[:2], 1), 255, np.uint8)
    alpha[:, :60] = 0
    pictures = {
        "gray.png": cv2.cvtColor(bgr, cv2.COLOR_BGR2GRAY),
        "alpha.png": np.concatenate([bgr, alpha], 2),
        "deep.png": bgr.astype(np.uint16) * 257,
        "photo.jpg": bgr,
        "large.jpg": cv2.resize(bgr, None, fx=3, fy=3),  # is shrunk before it is searched
    }
    for name, picture in pictures.items():
        assert cv2.imwrite(str(tmp_path / name), picture)
        portrait = load_portrait(tmp_path / name, size=(128, 128), tracker=tracker)
        assert portrait.render(FaceState()).shape == (128, 128, 3), name


@pytest.mark.usefixtures("usual_gains")
def test_transparent_is_gray(tracker: FaceTracker) -> None:
    rgb = photo()[..., ::-1]
    alpha = np.zeros((*rgb.shape[:2], 1), np.uint8)
    alpha[40:, 90:] = 255
    portrait = PortraitRenderer(np.concatenate([rgb, alpha], 2), tracker=tracker, whole=True)
    np.testing.assert_array_equal(portrait.picture[5, 5], [128, 128, 128])


@functools.cache
def bad_pictures() -> dict[str, tuple[np.ndarray, str]]:
    rgb = photo()[..., ::-1]
    noise = np.random.default_rng(0).integers(0, 256, (300, 300, 3), np.uint8)
    small = cv2.resize(rgb, None, fx=0.35, fy=0.35, interpolation=cv2.INTER_AREA)
    masked = rgb.copy()
    cv2.ellipse(masked, (224, 146), (44, 30), 0, 0, 360, (160, 200, 220), -1)
    patch = rgb.copy()
    cv2.ellipse(patch, (204, 102), (17, 12), 0, 0, 360, (15, 15, 18), -1)
    glasses = patch.copy()
    cv2.ellipse(glasses, (246, 104), (17, 12), 0, 0, 360, (40, 35, 30), -1)
    return {
        "eye patch": (patch, "an eye of the face in the portrait is not visible, .* a patch"),
        "dark glasses": (glasses, "an eye of the face in the portrait is not visible"),
        "masked": (masked, "lips of the face in the portrait are not visible: use a picture whose"),
        "upside down": (
            rgb[::-1, ::-1],
            "degrees: rotate the picture upright",
        ),
        "no face": (noise, "no face in the portrait: use a picture of one face"),
        "black": (np.zeros((400, 400, 3), np.uint8), "no face"),
        "two faces": (np.hstack([rgb, rgb]), "2 faces in the portrait, not one: cut"),
        "small": (small, "pixels high, less than 64: use a larger picture"),
        "a pixel": (np.zeros((1, 1, 3), np.uint8), "no face"),
        "float": (rgb.astype(np.float32), "must be uint8"),
        "five channels": (np.zeros((9, 9, 5), np.uint8), "RGB or RGBA"),
        "empty": (np.zeros((0, 9, 3), np.uint8), "must be uint8"),
        "too large": (np.broadcast_to(np.uint8(0), (20_000, 20_000)), "shrink it"),
    }


@pytest.mark.parametrize("case", list(bad_pictures()))
def test_bad_pictures_are_refused_with_the_fix(case: str, tracker: FaceTracker) -> None:
    picture, message = bad_pictures()[case]
    with pytest.raises(PortraitError, match=message):
        PortraitRenderer(picture, tracker=tracker)


@pytest.mark.usefixtures("usual_gains")
def test_closed_eyes_are_named(
    portraits: dict[str, PortraitRenderer], tracker: FaceTracker
) -> None:
    shut = portraits["grace_hopper"].render(FaceState(blink=1.0))
    (warning,) = PortraitRenderer(shut, tracker=tracker).warnings
    assert "eyes in the portrait are nearly closed" in warning
    assert [portraits[name].warnings for name in FACES[:3]] == [()] * 3


def test_a_wink_in_the_picture_can_be_animated(portraits: dict[str, PortraitRenderer]) -> None:
    """Only the mean of both eyes is checked, so one of them may be shut."""
    portrait = portraits["astronaut"]
    landmarks = portrait.face.landmarks.copy()
    landmarks[faces.LEFT_EYE_UPPER] = landmarks[faces.LEFT_EYE_LOWER]
    eye = PaintedEye(portrait.picture, portrait.anatomy, landmarks, True, np.zeros(2))
    for blink in (0.0, 0.5, 1.0):
        assert np.isfinite(eye.paint(blink, 0.5, np.zeros(2))).all()


@pytest.mark.parametrize("open_", [1.0, 0.4, 0.1])
def test_how_far_the_eyes_are_closed_matters(
    open_: float, photo_faces: dict[str, tuple[Frame, Face]]
) -> None:
    """The lids of the landmarks are closed, which the check reads, not those of the picture."""
    frame, face = photo_faces["astronaut"]
    landmarks = face.landmarks.copy()
    for upper, lower in (
        (faces.LEFT_EYE_UPPER, faces.LEFT_EYE_LOWER),
        (faces.RIGHT_EYE_UPPER, faces.RIGHT_EYE_LOWER),
    ):
        landmarks[upper] = landmarks[lower] + open_ * (landmarks[upper] - landmarks[lower])
    shut = replace(face, landmarks=landmarks)
    if open_ < 0.3:
        with pytest.raises(PortraitError, match="eyes of the face in the portrait are closed"):
            source_picture._check_face(frame.image, shut)
        return
    warnings = source_picture._check_face(frame.image, shut)
    assert ["nearly closed" in text for text in warnings] == ([True] if open_ < 0.5 else [])


@pytest.mark.parametrize("degrees", [-15, 30, -30, 50])
def test_a_turned_head_is_named_or_refused(
    degrees: int, photo_faces: dict[str, tuple[Frame, Face]]
) -> None:
    """The landmarks are turned, which the check reads, not the picture."""
    frame, face = photo_faces["grace_hopper"]
    turn = cv2.Rodrigues(np.radians([0.0, degrees, 0.0]))[0]
    middle = face.landmarks.mean(axis=0)
    landmarks = (face.landmarks - middle) @ turn.T + middle
    turned = replace(face, landmarks=landmarks)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(source_picture, "lips_visible", lambda *_: True)
        if abs(degrees) > 40:
            with pytest.raises(PortraitError, match=r"turned by \d+ degrees: use a picture from"):
                source_picture._check_face(frame.image, turned)
            return
        warnings = source_picture._check_face(frame.image, turned)
    assert [("turned by" in text) for text in warnings] == ([True] if abs(degrees) > 25 else [])


def test_files_that_are_no_picture(tmp_path: Path, tracker: FaceTracker) -> None:
    cut = tmp_path / "cut.png"
    whole = tmp_path / "whole.png"
    cv2.imwrite(str(whole), photo())
    cut.write_bytes(whole.read_bytes()[:200])
    (tmp_path / "empty.png").touch()
    (tmp_path / "text.png").write_text("not a picture")
    for name in ("cut.png", "empty.png", "text.png"):
        with pytest.raises(
            PortraitError, match=rf"{name}.*(damaged or cut off|is empty|not a picture)"
        ):
            load_portrait(tmp_path / name, tracker=tracker)
    with pytest.raises(PortraitError, match=r"missing\.png.* No such file"):
        load_portrait(tmp_path / "missing.png", tracker=tracker)
    with pytest.raises(PortraitError, match="is a folder"):
        load_portrait(tmp_path, tracker=tracker)
