"""Tests detector and mesh: the arithmetic with scripted networks, then the real networks."""

import itertools

import cv2
import numpy as np
import pytest
from faces_scene import paste, photo, wall

from face_perception.faces.detector import (
    Detector,
    SearchView,
    close_up_windows,
    small_face_windows,
)
from face_perception.faces.face_similarity import appearance_similarity, measure_appearance
from face_perception.faces.mesh import (
    SIDE,
    Mesh,
    Square,
    bounds,
    square_of_detection,
    square_of_landmarks,
)
from face_perception.inference import load


class Script:
    """A model that returns given outputs and records its inputs."""

    batch_size = 1

    def __init__(self, **output):
        self.output = output

    def infer(self, inputs):
        self.seen = inputs["image"].copy()
        return self.output


def raw(cells: dict[tuple[int, int], tuple[float, list[float]]]) -> Script:
    """Returns the output of a detector with these anchors (column, row): logit and 16 values."""
    boxes, scores = np.zeros((1, 2304, 16), np.float32), np.full((1, 2304, 1), -9, np.float32)
    for (column, row), (logit, values) in cells.items():
        boxes[0, row * 48 + column], scores[0, row * 48 + column] = values, logit
    return Script(boxes=boxes, scores=scores)


def test_detection_in_pixels_of_a_wide_image():
    keypoints = [-10, -5, 10, -5, 0, 3, 0, 12, -20, 0, 20, 0]
    model = raw({(20, 30): (2.0, [2.0, 4.0, 40.0, 48.0, *keypoints])})
    (found,) = Detector(model).detect(np.zeros((480, 960, 3), np.uint8))
    # The anchor is at (20.5, 30.5) * 4. One input pixel is five image pixels; bars of 48 px are
    # above and below.
    centre = np.array([82 + 2, 122 + 4 - 48]) * 5
    left_eye = np.array([82 + 10, 122 - 5 - 48]) * 5
    np.testing.assert_allclose(found.box, [centre[0] - 100, centre[1] - 120, 200, 240])
    np.testing.assert_allclose(found.keypoints[1], left_eye)
    assert found.score == pytest.approx(1 / (1 + np.exp(-2)))
    # In a window the result is the same, moved by the corner of the window.
    (found,) = Detector(model).detect(
        np.zeros((900, 1500, 3), np.uint8), SearchView((300, 100, 960, 480))
    )
    np.testing.assert_allclose(found.keypoints[1], left_eye + np.array([300, 100]))


def test_letterbox_range_and_bars():
    model = raw({})
    image = np.full((100, 200, 3), 255, np.uint8)
    assert Detector(model).detect(image) == []
    assert model.seen.shape == (1, 192, 192, 3)
    np.testing.assert_allclose(model.seen[0, 48:144], 1, atol=1e-6)
    assert (model.seen[0, :48] == -1).all()
    assert (model.seen[0, 144:] == -1).all()


def test_overlapping_boxes_become_their_weighted_mean():
    box = [0.0, 0.0, 40.0, 40.0, *[0.0] * 12]
    model = raw({(20, 20): (3.0, box), (21, 20): (1.0, box), (40, 40): (2.0, box)})
    first, second = Detector(model).detect(np.zeros((192, 192, 3), np.uint8))
    weights = 1 / (1 + np.exp(-np.array([3.0, 1.0])))
    assert first.box[0] == pytest.approx(np.average([82 - 20, 86 - 20], weights=weights))
    assert first.score == pytest.approx(weights[0])
    assert second.box[0] == pytest.approx(162 - 20)


def test_score_limit():
    box = [0.0, 0.0, 60.0, 60.0, *[0.0] * 12]
    image = np.zeros((192, 192, 3), np.uint8)
    assert Detector(raw({(15, 15): (0.3, box)}), 0.6).detect(image) == []
    assert len(Detector(raw({(15, 15): (0.5, box)}), 0.6).detect(image)) == 1
    with pytest.raises(ValueError, match="score"):
        Detector(raw({}), 1.5)


def test_a_small_face_is_looked_at_again_from_near():
    image = np.zeros((480, 640, 3), np.uint8)
    far = raw({(12, 20): (0.0, [0.0, 0.0, 12.0, 12.0, *[0.0] * 12])})  # score 0.5
    (hint,) = Detector(far, 0.6).detect(image)
    near = raw({(24, 24): (2.0, [0.0, 0.0, 60.0, 60.0, *[3.0] * 12])})
    found = Detector(near, 0.6).detect_again(image, hint)
    # The window is three times the face; its 192 input pixels are 120 image pixels.
    middle = hint.box[:2] + hint.box[2:] / 2
    np.testing.assert_allclose(found.box[:2] + found.box[2:] / 2, middle, atol=3)
    assert found.box[2] == pytest.approx(60 * 120 / 192, rel=0.02)
    elsewhere = raw({(5, 5): (2.0, [0.0, 0.0, 60.0, 60.0, *[0.0] * 12])})
    assert Detector(elsewhere, 0.6).detect_again(image, hint) is None
    assert Detector(raw({}), 0.6).detect_again(image, hint) is None


def test_a_large_face_is_not_looked_at_again():
    box = [0.0, 0.0, 60.0, 60.0, *[0.0] * 12]
    image = np.zeros((192, 192, 3), np.uint8)
    (found,) = Detector(raw({(24, 24): (2.0, box)})).detect(image)
    assert Detector(raw({})).detect_again(image, found) is found


@pytest.mark.parametrize("at", [(-824, -300), (639, -300), (-300, -824), (-300, 479)])
def test_a_window_that_hardly_touches_the_image_shows_nothing(at: tuple[int, int]) -> None:
    """The detection is outside the image, and the window around it hardly touches the image."""
    image = np.zeros((480, 640, 3), np.uint8)
    assert Detector(raw({})).detect(image, SearchView((*at, 825, 825))) == []


@pytest.mark.parametrize("size", [(640, 480), (961, 300), (1280, 720), (1920, 1080), (7680, 4320)])
def test_windows_cover_an_image_with_overlap(size):
    found = small_face_windows(*size)
    assert 2 <= len(found) <= 8
    for i in range(2):
        begins, extent = sorted({w[i] for w in found}), found[0][2 + i]
        assert begins[0] == 0
        assert begins[-1] + extent == size[i]
        assert all(b - a <= 0.81 * extent for a, b in itertools.pairwise(begins))


def test_small_images_have_no_windows():
    assert (
        small_face_windows(480, 480)
        == small_face_windows(320, 240)
        == small_face_windows(1, 1)
        == []
    )


def test_a_window_larger_than_the_image_is_grey_about_it():
    model = raw({(24, 24): (3.0, [0.0, 0.0, 60.0, 60.0, *[0.0] * 12])})
    image = np.full((100, 200, 3), 255, np.uint8)
    twice, four_times = close_up_windows(200, 100)
    assert twice == (-100, -50, 400, 200)
    assert four_times == (-300, -150, 800, 400)
    (found,) = Detector(model).detect(image, SearchView(twice))
    np.testing.assert_allclose(model.seen[0, 72:120, 48:144], 1, atol=1e-6)
    assert (model.seen[0, 48:72] == 0).all()
    assert (model.seen[0, :48] == -1).all()
    np.testing.assert_allclose(found.box, [102 - 62.5, 52 - 62.5, 125, 125], atol=2.5)
    # A small face is not searched for there: 60 of 192 input pixels would be 250 of 200 image
    # pixels.
    small = raw({(24, 24): (3.0, [0.0, 0.0, 30.0, 30.0, *[0.0] * 12])})
    assert Detector(small).detect(image, SearchView(twice)) == []


@pytest.mark.parametrize("turns", range(4))
def test_a_turned_view_gives_places_of_the_image(turns):
    keypoints = [-10, -5, 10, -5, 0, 3, 0, 12, -20, 0, 20, 0]
    image = np.zeros((192, 192, 3), np.uint8)
    image[40:50, 20:30] = 255
    (upright,) = Detector(raw({(20, 30): (2.0, [0.0, 0.0, 40.0, 60.0, *keypoints])})).detect(image)
    assert upright.turns == 0
    model = raw({(20, 30): (2.0, [0.0, 0.0, 40.0, 60.0, *keypoints])})
    (found,) = Detector(model).detect(image, SearchView(None, turns))
    assert found.turns == turns
    inside = np.rot90(model.seen[0], -turns)[42:48, 22:28]
    np.testing.assert_allclose(inside, 1, atol=1e-6)
    # Turned by the same angle, clockwise about the middle of the image.
    about = upright.keypoints - 96
    for _ in range(turns):
        about = np.stack([-about[:, 1], about[:, 0]], 1)
    np.testing.assert_allclose(found.keypoints, about + 96)
    np.testing.assert_allclose(found.box[2:], [40, 60] if turns % 2 == 0 else [60, 40])


def test_mesh_maps_back_what_it_was_shown():
    grid = np.zeros((1, 478, 3), np.float32)
    grid[0, 0], grid[0, 1], grid[0, 2] = (96, 96, 10), (192, 96, 0), (96, 0, 0)
    mesh = Mesh(Script(landmarks=grid, presence=np.array([[0.75]], np.float32)))
    image = np.zeros((300, 400, 3), np.uint8)
    square = Square(200.0, 150.0, 96.0, np.radians(90))
    result = mesh.find(image, square)
    landmarks = result.landmarks
    np.testing.assert_allclose(landmarks[0], (200, 150, 5), atol=1e-4)
    np.testing.assert_allclose(landmarks[1], (200, 198, 0), atol=1e-4)  # right of it is now below
    np.testing.assert_allclose(landmarks[2], (248, 150, 0), atol=1e-4)
    assert result.presence == 0.75


def test_squares_of_several_calls_give_what_each_gives_alone(mesh):
    image = photo("astronaut")
    squares = [Square(225.0 + 3 * k, 115.0, 170.0 + 5 * k, 0.05 * k) for k in range(6)]
    assert len(squares) > mesh.batch_size, "or it is one call"
    found = [
        (one.landmarks, one.presence, one.appearance()) for one in mesh.find_all(image, squares)
    ]
    for square, (landmarks, presence, appearance) in zip(squares, found, strict=True):
        alone = mesh.find(image, square)
        np.testing.assert_allclose(landmarks, alone.landmarks, atol=1e-3)
        assert presence == pytest.approx(alone.presence, abs=1e-5)
        np.testing.assert_allclose(appearance, alone.appearance(), atol=1e-3)
    assert mesh.find_all(image, []) == []


def test_mesh_sees_the_square_and_the_border_repeated():
    image = np.zeros((100, 100, 3), np.uint8)
    image[:, 50:] = 255
    model = Script(landmarks=np.zeros((1, 478, 3), np.float32), presence=np.ones((1, 1)))
    Mesh(model).find(image, Square(98.0, 50.0, 100.0, 0.0))
    assert model.seen.shape == (1, SIDE, SIDE, 3)
    assert model.seen.max() == 1
    np.testing.assert_allclose(model.seen[0, :, 5:], 1)  # beyond the right border too
    assert (model.seen[0, :, 0] < 0.6).all()


def test_a_look_is_the_detail_over_the_contrast_of_its_neighbourhood():
    face = np.array([[128.0, 0.0, 32.0], [0.0, 128.0, 32.0]])
    patch = np.random.default_rng(0).integers(0, 255, (SIDE, SIDE, 3), np.uint8)
    patch = cv2.convertScaleAbs(cv2.GaussianBlur(patch, (0, 0), 5), alpha=8, beta=-900)
    seen = measure_appearance(patch, face)
    gray = cv2.cvtColor(patch[32:160, 32:160], cv2.COLOR_RGB2GRAY)
    small = cv2.resize(gray, (24, 24), interpolation=cv2.INTER_AREA).astype(np.float32)
    detail = small - cv2.GaussianBlur(small, (0, 0), 3)
    plain = detail / (np.sqrt(cv2.GaussianBlur(detail**2, (0, 0), 3)) + 4)
    assert appearance_similarity(seen, seen) == pytest.approx(1, abs=1e-6)
    assert appearance_similarity(seen, plain * (seen != 0)) > 0.95
    assert appearance_similarity(seen, -seen) == pytest.approx(-1, abs=1e-6)
    changed = seen.copy()
    changed[12:] = -changed[12:]  # one half that agrees is enough
    assert appearance_similarity(seen, changed) == pytest.approx(1, abs=1e-6)


def test_bounds_of_landmarks():
    points = np.array([[3, 7, 0], [-2, 5, 9], [4, 6, -9]], np.float32)
    assert bounds(points) == (-2.0, 5.0, 4.0, 7.0)
    points[1, 1] = np.nan
    assert np.isnan(bounds(points)[1])


def test_square_of_landmarks_turns_with_the_face():
    rng = np.random.default_rng(3)
    points = rng.uniform(100, 200, (478, 3)).astype(np.float32)
    points[33, :2], points[263, :2] = (110, 150), (190, 150)
    assert square_of_landmarks(points).angle == pytest.approx(0)
    points[263, :2] = (110 + 80 * np.cos(0.4), 150 + 80 * np.sin(0.4))
    square = square_of_landmarks(points)
    assert square.angle == pytest.approx(0.4, abs=1e-5)
    assert square.side == pytest.approx(1.5 * np.ptp(points[:, :2], axis=0).max(), rel=1e-5)


@pytest.fixture(scope="module")
def detector() -> Detector:
    return Detector(load("face_detector"))


@pytest.fixture(scope="module")
def mesh() -> Mesh:
    return Mesh(load("face_mesh"))


# Read off the photographs by eye: middle of each eye, tip of the nose, middle of the mouth.
MARKS = {
    "astronaut": [(202, 102), (248, 106), (222, 128), (223, 140)],
    "grace_hopper": [(223, 191), (308, 187), (269, 240), (268, 282)],
}


@pytest.mark.parametrize("name", MARKS)
def test_photographs(name, detector, mesh):
    (found,) = detector.detect(photo(name))
    square = square_of_detection(found)
    for _ in range(3):
        result = mesh.find(photo(name), square)
        landmarks = result.landmarks
        square = square_of_landmarks(landmarks)
    assert result.presence > 0.9
    size = found.box[2]
    mouth = landmarks[[61, 291], :2].mean(0)
    seen = np.stack([landmarks[468, :2], landmarks[473, :2], landmarks[4, :2], mouth])
    np.testing.assert_allclose(seen, MARKS[name], atol=0.05 * size)
    np.testing.assert_allclose(found.keypoints[:4], MARKS[name], atol=0.1 * size)


@pytest.mark.parametrize("height", [60, 120, 300])
@pytest.mark.parametrize("angle", [-30, 0, 30])
def test_sizes_and_tilts(height, angle, detector):
    image = wall()
    paste(image, "grace_hopper", 300, 240, height, angle)
    (found,) = detector.detect(image)
    eyes = found.keypoints[1] - found.keypoints[0]
    assert np.degrees(np.arctan2(eyes[1], eyes[0])) == pytest.approx(angle, abs=10)
    assert found.box[2] == pytest.approx(height, rel=0.3)


def test_read_only_images_and_views(detector, mesh):
    image = np.repeat(photo("astronaut"), 2, axis=1)[:, ::2]  # not contiguous
    image.flags.writeable = False
    (found,) = detector.detect(image)
    assert mesh.find(image, square_of_detection(found)).presence > 0.9


def test_nothing_in_empty_pictures(detector):
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (480, 640, 3), np.uint8)
    pictures = [wall(), noise, cv2.blur(noise, (9, 9)), np.zeros((1, 1, 3), np.uint8)]
    pictures += [np.full((3, 4000, 3), 90, np.uint8), photo("astronaut")[300:]]
    assert [detector.detect(p) for p in pictures] == [[]] * len(pictures)
