import numpy as np
import pytest

from face_perception.faces import project_points, undistort_points
from face_perception.types import Camera

LENSES = {
    "none": ("", ()),
    "zeros": ("plumb_bob", (0.0,) * 5),
    "plumb_bob": ("plumb_bob", (-0.28, 0.09, 0.001, -0.0008, -0.01)),
    "rational": ("rational_polynomial", (0.3, -0.1, 0.0005, 0.0003, 0.02, 0.6, -0.05, 0.03)),
    "fisheye": ("equidistant", (-0.02, 0.01, -0.005, 0.001)),
}


def camera(lens: str) -> Camera:
    model, coefficients = LENSES[lens]
    return Camera(640, 480, 520.0, 530.0, 310.0, 250.0, coefficients, model)


@pytest.mark.parametrize("lens", LENSES)
def test_there_and_back(lens):
    x, y = np.meshgrid(np.linspace(20, 620, 9), np.linspace(20, 460, 7))
    pixels = np.stack([x.ravel(), y.ravel()], 1)
    plane = undistort_points(camera(lens), pixels)
    assert plane.shape == pixels.shape
    for depth in (0.4, 3.0):
        points = np.concatenate([plane, np.ones((len(plane), 1))], 1) * depth
        np.testing.assert_allclose(project_points(camera(lens), points), pixels, atol=1e-3)


def test_lens_bends_as_its_model_says():
    x, y = 0.3, -0.2
    r2 = x * x + y * y
    barrel = Camera(640, 480, 500.0, 500.0, 320.0, 240.0, (-0.3, 0.1, 0.0, 0.0), "plumb_bob")
    factor = 1 - 0.3 * r2 + 0.1 * r2 * r2
    expected = [320 + 500 * factor * x, 240 + 500 * factor * y]
    np.testing.assert_allclose(project_points(barrel, [[x, y, 1.0]])[0], expected)
    fisheye = Camera(640, 480, 500.0, 500.0, 320.0, 240.0, (0.02, 0.0, 0.0, 0.0), "equidistant")
    r = r2**0.5
    angle = np.arctan(r)
    factor = angle * (1 + 0.02 * angle**2) / r
    expected = [320 + 500 * factor * x, 240 + 500 * factor * y]
    np.testing.assert_allclose(project_points(fisheye, [[x, y, 1.0]])[0], expected)


def test_no_points_and_points_behind():
    for lens in LENSES:
        assert undistort_points(camera(lens), np.zeros((0, 2))).shape == (0, 2)
        pixels = project_points(camera(lens), [[0.0, 0.0, -1.0], [0.0, 0.0, 1.0], [1.0, 1.0, 0.0]])
        assert np.isnan(pixels[[0, 2]]).all()
        np.testing.assert_allclose(pixels[1], (310, 250))


@pytest.mark.parametrize("function", [undistort_points, project_points])
def test_unknown_lens_is_named(function):
    points = np.ones((1, 2 if function is undistort_points else 3))
    odd = Camera(640, 480, 500.0, 500.0, 320.0, 240.0, (0.1, 0.2), "kannala_brandt")
    with pytest.raises(ValueError, match="kannala_brandt"):
        function(odd, points)
    short = Camera(640, 480, 500.0, 500.0, 320.0, 240.0, (0.1, 0.2), "plumb_bob")
    with pytest.raises(ValueError, match="4 or 5 coefficients, not 2"):
        function(short, points)
