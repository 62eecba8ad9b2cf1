"""The parts of the renderer of people that need neither the free human nor mitsuba."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from face_perception.errors import InputError, MissingDependencyError
from face_perception.learning.synthesis.rendered import dataset, eyeballs, packages
from face_perception.learning.synthesis.rendered.denoise import smooth_light
from face_perception.learning.synthesis.rendered.expression import (
    FACS,
    action_units,
    both,
    draw_expression,
    lid_units,
    units_of,
)
from face_perception.learning.synthesis.rendered.folds import fold_shade
from face_perception.learning.synthesis.rendered.person import Eyes, draw_person
from face_perception.learning.synthesis.rendered.scene import key_light_geometry
from face_perception.learning.synthesis.rendered.sensor import Sensor, take_picture
from face_perception.learning.synthesis.rendered.surface import Subdivision
from face_perception.learning.synthesis.rendered.surroundings import (
    KINDS,
    directions,
    draw_surroundings,
    look_up,
)
from face_perception.learning.synthesis.rendered.view import (
    FACE_WIDTH,
    angles,
    draw_expression_view,
    draw_gaze_view,
    rotation,
    simple_view,
)

EYES = Eyes(
    iris=(0.1, 0.2, 0.3),
    collarette=(0.2, 0.2, 0.2),
    white=(0.6, 0.6, 0.6),
    veins=0.2,
    iris_radius=0.0058,
    pupil_radius=0.002,
    limbus=0.0006,
    visual_axis=(0.08, -0.02),
    droop=0.1,
    seed=3,
    rise=0.001,
    advance=0.0,
)


def cube() -> tuple[np.ndarray, np.ndarray]:
    corners = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], float)
    quads = [[0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4], [1, 5, 7, 3]]
    return corners, np.array(quads)


def test_a_divided_cube_becomes_a_ball_and_its_normals_point_outwards() -> None:
    corners, quads = cube()
    surface = Subdivision(quads, 3)
    points = surface(corners)
    assert len(surface.quads) == 6 * 4**3
    radii = np.linalg.norm(points, axis=1)
    assert np.ptp(radii) < 0.15 * radii.mean()
    assert ((surface.normals(points) * points).sum(1) > 0.95 * radii).all()


def test_a_flat_sheet_stays_flat_and_keeps_its_border() -> None:
    grid = np.array([[x, y, 0.0] for y in range(4) for x in range(4)])
    corner = np.array([4 * y + x for y in range(3) for x in range(3)])
    points = Subdivision(corner[:, None] + [0, 1, 5, 4], 2)(grid)
    assert np.abs(points[:, 2]).max() == 0
    assert points[:, 0].max() == pytest.approx(3, abs=0.01)
    # The middle of the sheet is a regular grid, which does not move.
    assert np.linalg.norm(points[:, :2] - [1.5, 1.5], axis=1).min() < 1e-9


@pytest.mark.parametrize("yaw", [-20, 0, 20])
@pytest.mark.parametrize("pitch", [-15, 0, 15])
def test_a_rotation_turns_a_face_to_its_yaw_and_pitch(yaw: float, pitch: float) -> None:
    turned = rotation(*np.radians([yaw, pitch, 10])) @ [0, 0, 1]
    assert np.degrees(angles(turned)) == pytest.approx([yaw, pitch])


def test_a_positive_roll_is_clockwise_in_the_picture() -> None:
    x, y, _ = rotation(0, 0, 0.3) @ [0, 1, 0]  # the crown; x is to the right and y up
    assert x > 0.2
    assert y > 0.9


def test_the_cornea_magnifies_the_pupil(monkeypatch: pytest.MonkeyPatch) -> None:
    """By 13 % in Gullstrand's eye; the rings of the mesh are 0.1 mm apart."""

    def seen() -> float:
        ball = eyeballs.make_ball(eyeballs.limbus_radius(EYES))
        colours = eyeballs.paint_ball(ball, EYES, np.array([0.0, 0.0, 1.0]), 1)
        dark = (colours.max(1) < 0.005) & (ball.points[:, 2] > 0)
        return float(np.hypot(*ball.points[dark][:, :2].T).max())

    magnified = seen()
    monkeypatch.setattr(eyeballs, "_INDEX", 1.0001)
    assert 1.05 < magnified / seen() < 1.2


def test_a_camera_at_the_side_sees_the_pupil_displaced_towards_it() -> None:
    ball = eyeballs.make_ball(eyeballs.limbus_radius(EYES))
    colours = eyeballs.paint_ball(ball, EYES, np.array([0.5, 0.0, 0.5]), 1)
    dark = (colours.max(1) < 0.005) & (ball.points[:, 2] > 0)
    # On the surface the pupil appears nearer to the camera than straight ahead.
    assert ball.points[dark][:, 0].mean() > 0.0005


def test_an_eye_has_the_size_of_peoples() -> None:
    assert eyeballs.apex(EYES) == pytest.approx(0.0132, abs=0.0006)


def test_units_and_action_units_agree() -> None:
    shown = action_units(units_of({12: 0.6, 1: 0.3, 43: 1.0}))
    assert shown[12] == pytest.approx(0.6)
    assert shown[1] == pytest.approx(0.3)
    assert shown[45] == shown[43] == 1.0
    assert shown[4] == shown[25] == 0


def test_an_open_jaw_parts_the_lips_unless_they_are_pressed_together() -> None:
    units = units_of({26: 1.0})
    assert action_units(units)[25] == 1.0
    assert action_units(units | {"mouthClose": 0.5})[25] < 0.5


def test_asymmetry_weakens_one_side_and_keeps_the_intensity() -> None:
    units = units_of({12: 0.8}, asymmetry=0.5)
    assert units["mouthSmileRight"] == pytest.approx(0.4)
    assert action_units(units)[12] == pytest.approx(0.8)


def test_every_action_unit_has_a_face_unit_and_drawn_expressions_use_known_ones() -> None:
    known = {single for names in FACS.values() for name in names for single in both(name)}
    assert {"jawOpen", "mouthSmileLeft", "eyeBlinkRight"} <= known
    random = np.random.default_rng(0)
    for _ in range(50):
        drawn = draw_expression(random)
        assert all(0 <= value <= 1 for value in drawn.action_units.values())


def test_lids_follow_a_look_down_and_a_blink_replaces_that() -> None:
    down = lid_units(0, -20, 0.0)
    assert down["eyeLookDownLeft"] > 0.5
    assert "eyeLookUpLeft" not in down
    assert lid_units(0, -20, 1.0)["eyeLookDownLeft"] == 0
    to_the_left = lid_units(10, 0, 0.0)
    assert to_the_left["eyeLookOutLeft"] > 0
    assert to_the_left["eyeLookInRight"] > 0


@pytest.mark.parametrize("kind", KINDS)
def test_surroundings_have_a_mean_of_one_and_repeat_by_seed(kind: str) -> None:
    first = draw_surroundings(np.random.default_rng(4), kind)
    assert np.array_equal(first, draw_surroundings(np.random.default_rng(4), kind))
    height, width = first.shape[:2]
    weight = np.sin((np.arange(height) + 0.5) / height * np.pi)[:, None, None]
    assert (first * weight).sum() / (3 * width * weight.sum()) == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("distance", [0.3, 1.6, 3.5])
def test_the_key_light_is_behind_the_camera(distance: float) -> None:
    """A light before the camera made a whole picture black."""
    far, half = key_light_geometry((0.0, 0.0, -distance))
    assert far > distance
    assert half / far == pytest.approx(0.35 / 1.6)


def test_a_direction_finds_its_own_pixel() -> None:
    panorama = np.random.default_rng(0).random((16, 32, 3)).astype(np.float32)
    found = look_up(panorama, directions(16, 32).reshape(-1, 3))
    assert np.allclose(found.reshape(panorama.shape), panorama)


def test_a_picture_has_the_wanted_brightness_and_dim_light_is_noisier() -> None:
    grey = np.full((64, 64, 3), 2.0)
    bright = take_picture(grey, Sensor(level=0.214, electrons=20000), 2.0)
    assert bright.mean() == pytest.approx(128, abs=2)
    dim = take_picture(grey, Sensor(level=0.214, electrons=300), 2.0)
    assert dim.std() > 3 * bright.std()
    assert np.array_equal(dim, take_picture(grey, Sensor(level=0.214, electrons=300), 2.0))


def test_smoothing_keeps_edges_between_colours() -> None:
    random = np.random.default_rng(0)
    albedo = np.full((32, 32, 3), 0.2)
    albedo[:, 16:] = 0.6
    normals = np.zeros_like(albedo) + [0, 0, 1.0]
    noisy = albedo * random.uniform(0.5, 1.5, albedo.shape)
    smooth = smooth_light(noisy, albedo, normals, np.zeros((32, 32)))
    assert (smooth / albedo).std() < 0.35 * (noisy / albedo).std()
    assert smooth[:, 15].mean() == pytest.approx(0.2, abs=0.02)
    assert smooth[:, 16].mean() == pytest.approx(0.6, abs=0.06)


def test_a_missing_renderer_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def refuse(name: str) -> None:
        raise ImportError(f"No module named {name}")

    monkeypatch.setattr(packages.importlib, "import_module", refuse)
    with pytest.raises(MissingDependencyError, match="pip install mitsuba==3"):
        dataset.render_dataset(tmp_path, dataset.DatasetSettings())
    assert not list(tmp_path.iterdir())


def test_a_run_continues_only_with_the_same_settings(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    made: list[int] = []

    def person(
        out: Path, settings: dataset.DatasetSettings, wheel: Path, number: int, processes: int
    ) -> int:
        made.append(number)
        views = min(settings.views, settings.images - number * settings.views)
        lines = [json.dumps({"file": f"{number}_{k}"}) + "\n" for k in range(views)]
        (out / "people" / f"{number:06d}.jsonl").write_text("".join(lines))
        return views

    monkeypatch.setattr(dataset, "need_renderer", lambda: None)
    monkeypatch.setattr(dataset, "fetch_parts", lambda: Path("wheel"))
    monkeypatch.setattr(dataset, "_render_person", person)
    settings = dataset.DatasetSettings(images=7, views=3)
    told: list[tuple[int, int]] = []
    dataset.render_dataset(tmp_path, settings, progress=lambda *at: told.append(at))
    assert made == [0, 1, 2]
    assert told == [(0, 7), (3, 7), (6, 7), (7, 7)]
    (tmp_path / "people" / "000001.jsonl").unlink()
    dataset.render_dataset(tmp_path, settings)
    assert made == [0, 1, 2, 1]
    assert len(list(dataset.read_truths(tmp_path))) == 7
    with pytest.raises(InputError, match="choose another folder"):
        dataset.render_dataset(tmp_path, replace(settings, seed=2))


def test_a_simple_view_looks_where_it_says() -> None:
    view = simple_view(look_deg=(10, -5), distance=0.8)
    direction = np.array(view.target) - np.array(view.position)
    assert np.degrees(angles(direction)) == pytest.approx([10, -5])
    assert view.focal == pytest.approx(0.6 * 224 * 0.8 / 0.145)


class _NoTargets:
    """Shape targets of nobody: a person of average shape."""

    def targets_in(self, folder: str) -> list[str]:
        return []


def test_views_for_gaze_networks_show_open_eyes_that_look_anywhere() -> None:
    looks, faces = [], []
    for number in range(30):
        person = draw_person(_NoTargets(), number)  # type: ignore[arg-type]
        view = draw_gaze_view(person, 1, number, size=200)
        assert view == draw_gaze_view(person, 1, number, size=200)
        position, target = np.array(view.position), np.array(view.target)
        look = angles(target - position)
        looks.append(np.subtract(look, angles(-position)))
        turn = angles(rotation(*view.head).T @ (target - position))
        assert np.degrees(turn) == pytest.approx(np.clip(np.degrees(turn), (-33, -27), (33, 22)))
        assert view.blink <= 0.25
        assert view.worn.mask is None
        assert view.worn.glasses is None or view.worn.glasses.transmission >= 0.3
        faces.append(view.focal * FACE_WIDTH / -view.position[2] / view.width)
    assert min(faces) > 0.6
    yaw, pitch = np.degrees(looks).T
    assert yaw.min() < -20 < 20 < yaw.max()
    assert pitch.min() < -15 < 12 < pitch.max()


def test_views_for_action_units_show_single_strong_units_on_the_whole_face() -> None:
    shown = dict.fromkeys(FACS, 0)
    alone = 0
    for number in range(60):
        person = draw_person(_NoTargets(), number)  # type: ignore[arg-type]
        view = draw_expression_view(person, 1, number, size=176)
        assert view.worn.mask is None
        assert view.worn.glasses is None or view.worn.glasses.transmission >= 0.3
        # The face, from the brows to the chin, is in the picture.
        pixel = -view.position[2] / view.focal
        up = view.position[1] / pixel
        assert up + 0.04 / pixel < 88
        assert up - 0.12 / pixel > -88
        strong = [code for code in FACS if view.expression.action_units[code] > 0.5]
        alone += len(strong) == 1
        for code in strong:
            shown[code] += 1
    wanted = (1, 2, 4, 6, 9, 12, 15, 17, 20, 26)
    assert min(shown[code] for code in wanted) >= 1
    assert alone >= 10


def test_a_fold_is_darker_than_at_rest_and_a_ridge_is_not() -> None:
    grid = np.array([[0.01 * x, 0.01 * y, 0.0] for y in range(9) for x in range(9)])
    corner = np.array([9 * y + x for y in range(8) for x in range(8)])
    surface = Subdivision(corner[:, None] + [0, 1, 10, 9], 1)
    assert fold_shade(surface, surface(grid), grid) == pytest.approx(1)
    bent = grid.copy()
    bent[:, 2] = 0.015 * np.sin(2 * np.pi * grid[:, 0] / 0.08)  # a ridge, then a fold
    points = surface(bent)
    shade = fold_shade(surface, points, grid)
    inside = np.abs(points[:, 1] - 0.04) < 0.02
    assert shade[inside & (points[:, 2] < -0.012)].max() < 0.9
    assert shade[inside & (points[:, 2] > 0.012)].min() == pytest.approx(1)
