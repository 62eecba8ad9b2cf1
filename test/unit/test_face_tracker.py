"""Tests the tracker on moving photographs: ids, hidden faces, faces that leave and return, bad
input.
"""

import itertools
from collections import Counter, deque
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from faces_scene import frame, paste, photo, wall

from face_perception.faces import FaceTracker, FaceTrackerSettings, load_tracker
from face_perception.faces.cross_fade import CrossFades
from face_perception.inference import record_inputs
from face_perception.types import Camera, Frame

NAMES = ("astronaut", "grace_hopper")


def show(tracker, places, stamp):
    """Tracks an image with faces at ``places``, the last in front: name -> x, y, height[,
    angle].
    """
    image = wall()
    for name, place in places.items():
        paste(image, name, *place)
    return tracker.track(frame(image, stamp))


def id_at(faces, x, y, reach):
    """Returns the id of the face whose landmarks are centred closest to a place; None if none is
    near.
    """
    apart = [float(np.hypot(*(f.landmarks[:, :2].mean(0) - (x, y)))) for f in faces]
    closest = int(np.argmin(apart)) if apart else 0
    return faces[closest].face_id if apart and apart[closest] < reach else None


@pytest.mark.parametrize("front", NAMES)
@pytest.mark.parametrize("height", [50, 110])
def test_crossing(front, height, tracker):
    back = next(name for name in NAMES if name != front)
    ids, missed = {name: [] for name in NAMES}, Counter()
    for i in range(75):
        u = 0.5 - 0.5 * np.cos(np.pi * i / 74)
        places = {
            back: (110 + 420 * u, 240, height, 8 * np.sin(i / 10)),
            front: (530 - 420 * u, 240, height),
        }
        faces = show(tracker, places, i / 30)
        apart = abs(places[back][0] - places[front][0])
        for name, (x, y, *_) in places.items():
            if name == front or apart > 0.9 * height:
                found = id_at(faces, x, y, 0.35 * height)
                if found is None:
                    missed[name] += 1
                else:
                    ids[name].append(found)
    switches = {n: sum(a != b for a, b in itertools.pairwise(x)) for n, x in ids.items()}
    assert sum(switches.values()) <= 1, ids
    assert ids[front][0] == ids[front][-1] != ids[back][-1]
    assert missed[front] <= 3  # min_hits
    assert missed[back] <= 10


def test_a_face_beyond_doubt_counts_at_once(tracker):
    assert [f.face_id for f in show(tracker, {"astronaut": (150, 240, 110)}, 0.0)] == ["face_1"]


def test_not_at_once_while_somebody_is_missing(tracker):
    stream(tracker, {"astronaut": (150, 240, 110)}, [0.0, 0.03])
    stream(tracker, {}, [0.07, 0.1])
    seen = stream(tracker, {"grace_hopper": (450, 240, 110)}, 0.13 + np.arange(12) / 30)
    assert seen[0] == []
    assert seen[-1] == ["face_2"]


def test_a_doubtful_face_counts_after_three_images_and_ids_count_up(tracker, monkeypatch):
    monkeypatch.setattr("face_perception.faces.tracker._SURE_SCORE", 1.0)
    places = {"astronaut": (150, 240, 110)}
    assert [[f.face_id for f in show(tracker, places, i / 30)] for i in range(4)] == [
        [],
        [],
        ["face_1"],
        ["face_1"],
    ]
    places["grace_hopper"] = (450, 240, 110)
    seen = [[f.face_id for f in show(tracker, places, i / 30)] for i in range(4, 20)]
    assert seen[-1] == ["face_1", "face_2"]


def stream(tracker, places, stamps):
    """Returns the ids in each image of a stream with faces that do not move."""
    return [[f.face_id for f in show(tracker, places, t)] for t in stamps]


def test_hidden_for_a_while_keeps_its_id_away_for_long_does_not(tracker):
    stamps = np.arange(300) / 30
    places = {"grace_hopper": (300, 240, 120)}
    assert stream(tracker, places, stamps[:6])[-1] == ["face_1"]
    assert stream(tracker, {}, stamps[6:24]) == [[]] * 18
    back = stream(tracker, places, stamps[24:34])
    assert {i for ids in back for i in ids} == {"face_1"}
    assert back[3:] == [["face_1"]] * 7  # found again within a tenth of a second
    assert stream(tracker, {}, stamps[34:94]) == [[]] * 60
    assert stream(tracker, places, stamps[94:110])[-1] == ["face_2"]


def test_another_face_in_the_same_place_is_another(tracker):
    stamps = np.arange(60) / 30
    assert stream(tracker, {"grace_hopper": (300, 240, 120)}, stamps[:10])[-1] == ["face_1"]
    assert stream(tracker, {}, stamps[10:16])[-1] == []
    assert stream(tracker, {"astronaut": (300, 240, 120)}, stamps[16:30])[-1] == ["face_2"]


@pytest.mark.parametrize("gap", [0, 12])
@pytest.mark.parametrize("names", [NAMES, NAMES[::-1]])
def test_a_cut_to_another_person_begins_a_new_id(names, gap, tracker):
    before, after = ({name: (300, 240, 160)} for name in names)
    stamps = np.arange(40) / 30
    assert stream(tracker, before, stamps[:10])[-1] == ["face_1"]
    seen = stream(tracker, {}, stamps[10 : 10 + gap])
    seen += stream(tracker, after, stamps[10 + gap : 25 + gap])
    assert "face_1" not in {i for ids in seen[2:] for i in ids}
    assert seen[-1] == ["face_2"]


def faded(tracker, pictures, seconds):
    """Tracks pictures that fade into each other; returns the ids before and after, and all ids."""
    ids, stamp = [], 0.0
    for one, other in itertools.pairwise([pictures[0], *pictures, pictures[-1]]):
        for share in np.linspace(0, 1, max(round(30 * seconds), 15)):
            mixed = cv2.addWeighted(one, 1 - share, other, share, 0)
            ids.append([face.face_id for face in tracker.track(frame(mixed, stamp))])
            stamp += 1 / 30
    return ids[10], ids[-1], {i for some in ids for i in some}


@pytest.mark.parametrize("seconds", [0.3, 0.8, 2.0])
@pytest.mark.parametrize("names", [NAMES, NAMES[::-1]])
def test_a_fade_to_another_person_ends_the_id(names, seconds, tracker):
    pictures = [wall() for _ in names]
    for picture, name in zip(pictures, names, strict=True):
        paste(picture, name, 300, 240, 160)
    before, after, _ = faded(tracker, pictures, seconds)
    assert before == ["face_1"]
    assert len(after) == 1
    assert after != before
    tracker.reset(restart_ids=True)
    dark = np.zeros_like(pictures[0])
    before, after, _ = faded(tracker, [pictures[0], dark, pictures[1]], seconds)
    assert (before, len(after)) == (["face_1"], 1)
    assert after != before


@pytest.mark.parametrize(("images", "expected"), [(0, False), (8, True)])
def test_a_sudden_change_after_a_still_picture_is_no_fade(images, expected):
    rng = np.random.default_rng(1)
    one, other = rng.integers(0, 255, (2, 60, 80, 3), np.uint8)
    appearances = rng.normal(size=(2, 24, 24))
    fades, found = CrossFades(), False
    seen = SimpleNamespace(appearances=deque(), centre=np.array([40.0, 30.0]), size=30.0)
    for k in range(22):
        share = min(max((k - 11) / (images or 1), 0), 1)
        fades.add(cv2.addWeighted(one, 1 - share, other, share, 0), k / 30)
        seen.stamp, seen.last_appearance = k / 30, appearances[int(share > 0.5)]
        found |= fades.has_faded(seen, (80, 60))
    assert found == expected


@pytest.mark.parametrize("name", NAMES)
def test_light_that_fades_keeps_the_id(name, tracker):
    image = wall()
    paste(image, name, 300, 240, 160)
    side = np.linspace(0.3, 1.5, 640)[:, None]
    lights = [np.clip(image * light, 0, 255).astype(np.uint8) for light in (side, side[::-1], 0.3)]
    assert faded(tracker, [image, *lights, image], 0.8)[2] == {"face_1"}


@pytest.mark.parametrize("name", NAMES)
def test_a_head_that_moves_far_between_two_images_keeps_its_face(name, tracker):
    """The head moves by up to 0.4 face heights from image to image, at 5 images a second."""
    for k in range(12):
        x = 320 + 100 * np.sin(0.9 * k)
        (face,) = show(tracker, {name: (x, 240, 220)}, k / 5)
        assert face.face_id == "face_1"
        assert abs(face.roi.x + face.roi.width / 2 - x) < 40


def test_light_and_a_hand_keep_the_id(tracker):
    image = wall()
    paste(image, "grace_hopper", 300, 240, 160)
    covered = image.copy()
    covered[250:330, 250:350] = (190, 140, 120)  # mouth and chin
    side = np.clip(image * np.linspace(0.4, 1.4, 640)[:, None], 0, 255).astype(np.uint8)
    pictures = [image, (image * 0.4).astype(np.uint8), image, side, image, covered, image]
    ids = []
    for i, picture in enumerate(picture for picture in pictures for _ in range(6)):
        ids += [f.face_id for f in tracker.track(frame(picture, i / 30))]
    assert set(ids) == {"face_1"}
    assert len(ids) >= 40


def close_up(name, share=0.95):
    """Returns a face that fills its picture: the square around its landmarks."""
    (face,) = load_tracker().detect(frame(photo(name)))
    low, high = face.landmarks[:, :2].min(0), face.landmarks[:, :2].max(0)
    (x, y), half = (low + high) / 2, (high - low).max() / share / 2
    return photo(name)[max(0, int(y - half)) : int(y + half), max(0, int(x - half)) : int(x + half)]


@pytest.mark.parametrize("name", NAMES)
def test_a_face_that_fills_the_picture_is_found_and_kept(name, tracker):
    image = np.ascontiguousarray(cv2.resize(close_up(name), (400, 400)))
    (face,) = tracker.detect(frame(image))
    assert face.roi.width * face.roi.height > 0.5 * 400 * 400
    assert face.confidence > 0.5
    seen = [[f.face_id for f in tracker.track(frame(image, i / 30))] for i in range(60)]
    assert seen[45:] == [["face_1"]] * 15  # found within a second and a half


def turned(name, angle):
    """Returns a photograph turned clockwise by an angle in degrees, in the middle of a gray
    square.
    """
    image = photo(name)
    height, width = image.shape[:2]
    side = int(1.5 * max(height, width))
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), -angle, 1.0)
    turn[:, 2] += (side - width) / 2, (side - height) / 2
    return cv2.warpAffine(image, turn, (side, side), borderValue=(127, 127, 127))


def eye_line(face):
    """Returns the angle of the line from the right eye to the left, degrees clockwise in the
    image.
    """
    dx, dy = face.landmarks[263, :2] - face.landmarks[33, :2]
    return np.degrees(np.arctan2(dy, dx))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("angle", [-100, -45, 90, 135, 165, 180, 200])
def test_a_turned_face_has_its_own_roll(name, angle, tracker):
    (upright,) = tracker.detect(frame(photo(name)))
    (face,) = tracker.detect(frame(turned(name, angle)))
    off = eye_line(face) - eye_line(upright) - angle
    assert (off + 180) % 360 - 180 == pytest.approx(0, abs=10)
    roll = np.degrees(face.pose.roll - upright.pose.roll) - angle
    assert (roll + 180) % 360 - 180 == pytest.approx(0, abs=15)


def test_a_camera_that_hangs_upside_down(tracker):
    image = np.ascontiguousarray(photo("astronaut")[::-1, ::-1])
    seen = [tracker.track(frame(image, i / 30)) for i in range(60)]
    assert all(abs(eye_line(face)) > 150 for faces in seen for face in faces)
    assert [f.face_id for f in seen[-1]] == ["face_1"]
    upright = wall(*image.shape[1::-1])
    paste(upright, "grace_hopper", 250, 240, 160)
    # The 15 other views of this image are searched in 2.3 s.
    back = [tracker.track(frame(upright, 5 + i / 30)) for i in range(90)]
    assert all(abs(eye_line(face)) < 30 for faces in back for face in faces)
    assert len(back[-1]) == 1


def test_a_face_that_fills_the_picture_upside_down_is_found(tracker):
    image = np.ascontiguousarray(close_up("grace_hopper")[::-1, ::-1])
    (face,) = [tracker.track(frame(image, k / 10)) for k in range(20)][-1]
    assert abs(eye_line(face)) > 150


def test_a_slow_stream_is_searched_in_all_ways(tracker):
    """At 5 images a second, each image is due for the search of the whole upright image."""
    image = np.ascontiguousarray(turned("astronaut", 180))
    seen = [tracker.track(frame(image, k / 5)) for k in range(12)]
    (face,) = seen[-1]
    assert abs(eye_line(face)) > 150


def test_confidence_is_less_for_what_is_hardly_seen(tracker):
    (good,) = tracker.detect(frame(photo("grace_hopper")))
    blurred = cv2.GaussianBlur(photo("grace_hopper"), (0, 0), 14)
    covered = photo("grace_hopper").copy()
    covered[150:225, 190:340] = 20  # the eyes
    worse = [face for image in (blurred, covered) for face in tracker.detect(frame(image))]
    assert good.confidence > 0.8
    assert all(face.confidence < good.confidence - 0.1 for face in worse)
    seen = [tracker.track(frame(photo("grace_hopper"), i / 30)) for i in range(40)]
    confidences = [face.confidence for faces in seen for face in faces]
    assert np.ptp(confidences) < 0.1  # also between searches


def test_leaves_through_the_border_and_returns_elsewhere(tracker):
    inside, outside, last = 0, 0, ""
    for i in range(60):
        x = 500 + 6 * i  # its middle leaves at image 23
        faces = show(tracker, {"astronaut": (x, 240, 120)}, i / 30)
        if i >= 3 and x < 640:
            inside += len(faces) == 1
            last = faces[0].face_id if faces else last
        if x > 640 + 60:
            outside += len(faces)
    assert inside == 21
    assert outside == 0
    found = stream(tracker, {"astronaut": (120, 240, 120)}, 8 + np.arange(10) / 30)
    assert (last, found[-1]) == ("face_1", ["face_2"])


def test_a_face_that_grows_turns_and_moves_keeps_its_id(tracker):
    ids = []
    for i in range(90):
        place = (320 + 200 * np.sin(i / 12), 240, 60 + 2.5 * i, 35 * np.sin(i / 15))
        ids += [f.face_id for f in show(tracker, {"astronaut": place}, i / 30)]
    assert Counter(ids) == {"face_1": 90}


def test_ten_faces_small_ones_too(tracker):
    rng = np.random.default_rng(2)
    image, middles = wall(), []
    for k in range(10):
        x, y = 70 + 125 * (k % 5), 120 + 240 * (k // 5)
        paste(image, NAMES[k % 2], x, y, 40 + 6 * k, rng.uniform(-15, 15))
        middles.append((x, y))
    faces = tracker.detect(frame(image))
    assert len(faces) == 10
    assert [f.face_id for f in faces] == [f"face_{k}" for k in range(1, 11)]
    assert all(id_at(faces, x, y, 20) for x, y in middles)
    for i in range(60):
        followed = tracker.track(frame(image, i / 30))
    assert len(followed) == 10


def test_a_second_thread_changes_no_bit(face_networks, monkeypatch):
    """Half of the faces are followed in a second thread; they move, and one leaves."""
    middles = [(x, y) for y in (120, 360) for x in (80, 240, 400, 560)]
    results = []
    for starts_from in (2, 99):
        monkeypatch.setattr("face_perception.faces.tracker._SECOND_THREAD_FROM", starts_from)
        tracker, seen = FaceTracker(*face_networks), []
        for i in range(12):
            image = wall(640, 480)
            for number, (x, y) in enumerate(middles[: 8 if i < 8 else 7]):
                paste(image, ("astronaut", "grace_hopper")[number % 2], x + i, y, 50)
            seen.append(
                [(f.face_id, f.landmarks.tobytes()) for f in tracker.track(frame(image, i / 30))]
            )
        results.append(seen)
    assert len(results[0][7]) == 8
    assert results[0] == results[1]


def test_small_faces_of_a_large_image(tracker):
    image = wall(1920, 1080)
    paste(image, "astronaut", 300, 200, 44)
    paste(image, "grace_hopper", 1600, 900, 44, 15)
    faces = tracker.detect(frame(image))
    assert len(faces) == 2
    assert id_at(faces, 300, 200, 15)
    assert id_at(faces, 1600, 900, 15)


def test_no_more_than_max_faces(face_networks):
    tracker = FaceTracker(*face_networks, FaceTrackerSettings(max_faces=1))
    places = {"astronaut": (150, 240, 110), "grace_hopper": (450, 240, 110)}
    assert stream(tracker, places, np.arange(15) / 30)[-1] == ["face_1"]
    with record_inputs() as seen:
        assert len(tracker.detect(frame(photo("astronaut")))) == 1
    # No other window is searched: only the image, and then the face from near.
    assert len(seen["face_detector"]) == 2


def test_detect_needs_one_image_and_leaves_the_stream_alone(tracker):
    stream(tracker, {"astronaut": (150, 240, 110)}, np.arange(5) / 30)
    (face,) = tracker.detect(frame(photo("grace_hopper")))
    assert (face.face_id, face.confidence > 0.8) == ("face_1", True)
    assert face.pose is not None
    assert 0.7 < face.left_eye_openness < 1.2
    assert stream(tracker, {"astronaut": (150, 240, 110)}, [0.2])[-1] == ["face_1"]


def test_roi_holds_the_landmarks_and_stays_inside(tracker):
    image = photo("grace_hopper")[:, 250:].copy()  # half of the face
    (face,) = tracker.detect(frame(image))
    roi = face.roi
    assert face.landmarks[:, 0].min() < 0
    assert roi.x == 0
    assert roi.x + roi.width <= image.shape[1]
    assert roi.y < face.landmarks[:, 1].min() + 1
    assert face.landmarks[:, 1].max() < roi.y + roi.height <= image.shape[0]
    assert face.landmarks.shape == (478, 3)
    assert face.landmarks.dtype == np.float32


def test_stamps_that_go_back_and_another_size_start_afresh(tracker):
    places = {"astronaut": (150, 240, 110)}
    stream(tracker, places, 10 + np.arange(5) / 30)
    assert stream(tracker, places, np.arange(4) / 30) == [["face_2"]] * 4
    small = wall(480, 360)
    paste(small, "astronaut", 150, 200, 110)
    seen = [tracker.track(frame(small, 1 + i / 30)) for i in range(3)]
    assert [[f.face_id for f in faces] for faces in seen] == [["face_3"]] * 3


def test_stamps_that_stand_still(tracker):
    seen = stream(tracker, {"astronaut": (150, 240, 110)}, [4.0] * 12)
    assert seen[-1] == ["face_1"]


def test_reset_forgets_faces_and_goes_on_counting(tracker):
    places = {"astronaut": (150, 240, 110)}
    stream(tracker, places, np.arange(4) / 30)
    tracker.reset()
    assert stream(tracker, places, 1 + np.arange(3) / 30) == [["face_2"]] * 3


def test_a_search_for_one_face_ends_with_the_first(tracker):
    image = wall()
    for name, x in (("astronaut", 150), ("grace_hopper", 450)):
        paste(image, name, x, 240, 110)
    both = tracker.detect(frame(image))
    assert len(both) == 2
    with record_inputs() as calls:
        (one,) = tracker.detect(frame(image), max_faces=1)
    assert one.landmarks.tobytes() == both[0].landmarks.tobytes()
    assert len(calls["face_detector"]) == 2, "the whole image, and the face again"


def test_a_replay_gives_the_same(face_networks):
    def play():
        tracker = FaceTracker(*face_networks, FaceTrackerSettings(id_prefix="left_"))
        result = []
        for i in range(20):
            places = {"astronaut": (150 + 9 * i, 240, 110), "grace_hopper": (450 - 9 * i, 240, 90)}
            result += [(f.face_id, f.landmarks.tobytes()) for f in show(tracker, places, i / 30)]
        return result

    first = play()
    assert {i for i, _ in first} == {"left_1", "left_2"}
    assert first == play()


class Counting:
    """A detector that counts its runs."""

    def __init__(self, model):
        self.model, self.calls = model, 0

    def infer(self, inputs):
        self.calls += 1
        return self.model.infer(inputs)


def test_detector_rests_while_faces_are_followed(face_networks):
    def searches(places, number):
        counting = Counting(face_networks[0])
        stream(FaceTracker(counting, face_networks[1]), places, np.arange(number) / 30)
        return counting.calls

    # With a face: every tenth image; another kind of view every twentieth; close-ups at first.
    assert searches({"astronaut": (150, 240, 240)}, 31) <= 4 + 1 + 1
    # After a second without a change: once a second.
    assert searches({"astronaut": (150, 240, 240)}, 91) <= 4 + 2 + 4 + 1
    # Nobody for two seconds: ten searches a second, and another view every 0.15 s.
    assert 20 <= searches({}, 60) <= 20 + 14


@pytest.mark.parametrize(("rate", "alone"), [(10, 2.0), (10, 2.6), (30, 2.3)])
def test_whoever_joins_steady_faces_is_found_within_a_second(rate, alone, face_networks):
    """``alone`` is how long the first face was there by itself, seconds."""
    tracker = FaceTracker(*face_networks, FaceTrackerSettings(detect_every=5))
    stamps = np.arange(round((alone + 1) * rate) + 1) / rate
    one = {"astronaut": (150, 240, 240)}
    stream(tracker, one, stamps[: round(alone * rate)])
    both = {**one, "grace_hopper": (470, 240, 240)}
    assert len(stream(tracker, both, stamps[round(alone * rate) :])[-1]) == 2


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((10, 10), np.uint8), r"uint8 \[10, 10\]"),
        (np.zeros((10, 10, 4), np.uint8), "RGB"),
        (np.zeros((10, 10, 3), np.float32), "float32"),
        (np.zeros((0, 10, 3), np.uint8), "RGB"),
        (np.zeros((10, 20, 3), np.uint8), "20x10"),
    ],
)
def test_bad_images_are_refused_and_do_no_harm(image, message, tracker):
    with pytest.raises(ValueError, match=message):
        tracker.track(Frame(image, 0.0, Camera.assume(10, 10)))
    with pytest.raises(ValueError, match=message):
        tracker.detect(Frame(image, 0.0, Camera.assume(10, 10)))
    assert stream(tracker, {"astronaut": (150, 240, 110)}, np.arange(3) / 30)[-1] == ["face_1"]


@pytest.mark.parametrize("size", [(1, 1), (2, 500), (500, 2), (7680, 4320)])
def test_odd_sizes(size, tracker):
    image = np.zeros((size[1], size[0], 3), np.uint8)
    assert tracker.track(frame(image)) == tracker.detect(frame(image)) == []


@pytest.mark.parametrize(
    "setting",
    [
        {"max_faces": 0},
        {"detect_every": 0},
        {"min_hits": 0},
        {"min_presence": 1.5},
        {"min_detection_score": -1.0},
        {"id_prefix": "3d_"},
        {"id_prefix": ""},
    ],
)
def test_settings_out_of_range_are_named(setting, face_networks):
    with pytest.raises(ValueError, match=next(iter(setting))):
        FaceTracker(*face_networks, FaceTrackerSettings(**setting))


@pytest.mark.parametrize(
    ("name", "may_be"),
    [("face_1", True), ("face_12", True), ("face_", False), ("face_x", False), ("door", False),
     ("1", False), ("my_face_1", False), ("face_\u0663", False)],
)  # fmt: skip
def test_which_names_may_be_ids(name, may_be, tracker):
    assert tracker.may_be_id(name) == may_be


def test_load_tracker_takes_settings():
    tracker = load_tracker(FaceTrackerSettings(min_hits=1, id_prefix="a"), backend="onnxruntime")
    assert [f.face_id for f in tracker.track(frame(photo("astronaut")))] == ["a1"]
    assert [m.name for m in tracker.models] == ["face_detector", "face_mesh"]
