"""Maps pixels of a calibrated camera to rays and back."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from face_perception.types import Camera

FloatArray = npt.NDArray[np.floating]

# Undistortion is iterative. It stops at a change below 1e-9 of the focal length.
_CRITERIA = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 40, 1e-9)


def undistort_points(camera: Camera, points: npt.ArrayLike) -> FloatArray:
    """Returns x and y [N, 2], float64, of the points' rays on the plane z = 1 of the optical frame.

    ``points`` [N, 2] are pixels, with pixel centres at integers. Raises InputError for an unknown
    distortion model or a wrong number of coefficients.
    """
    pixels = np.asarray(points, np.float64).reshape(-1, 2)
    coefficients = _coefficients(camera)
    if coefficients is None or len(pixels) == 0:
        centre, focal = (camera.cx, camera.cy), (camera.fx, camera.fy)
        return (pixels - centre) / focal
    cv_points = np.ascontiguousarray(pixels[:, None])
    if camera.distortion_model == "equidistant":
        plane = cv2.fisheye.undistortPoints(cv_points, camera.matrix, coefficients)
    else:
        plane = cv2.undistortPointsIter(
            cv_points, camera.matrix, coefficients, None, None, _CRITERIA
        )
    return np.asarray(plane, np.float64).reshape(-1, 2)


def project_points(camera: Camera, points3d: npt.ArrayLike) -> FloatArray:
    """Returns the pixels [N, 2], float64, at which points of the optical frame appear.

    ``points3d`` [N, 3] are metres. Returns NaN for points that are not in front of the camera.
    Raises InputError for an unknown distortion model or a wrong number of coefficients.
    """
    points = np.asarray(points3d, np.float64).reshape(-1, 3)
    coefficients = _coefficients(camera)
    pixels = np.full((len(points), 2), np.nan)
    front = points[:, 2] > 0
    if not front.any():
        return pixels
    seen = points[front]
    if coefficients is None:
        focal, centre = (camera.fx, camera.fy), (camera.cx, camera.cy)
        pixels[front] = seen[:, :2] / seen[:, 2:] * focal + centre
        return pixels
    fisheye = camera.distortion_model == "equidistant"
    lens = cv2.fisheye.projectPoints if fisheye else cv2.projectPoints
    still = np.zeros(3)
    flat, _ = lens(np.ascontiguousarray(seen[:, None]), still, still, camera.matrix, coefficients)
    pixels[front] = np.asarray(flat).reshape(-1, 2)
    return pixels


def _coefficients(camera: Camera) -> FloatArray | None:
    """Returns the distortion coefficients for OpenCV; None for a lens without distortion."""
    if not camera.distorted:
        return None
    camera.check_distortion()
    return np.array(camera.distortion, np.float64)
