"""Reads camera calibrations from YAML files."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from face_perception.errors import InputError, shortened
from face_perception.outside_files import MOST_TEXT, one_error, parse_yaml, read_bytes
from face_perception.types import Camera, check_camera_matrix

_FIX = "give the YAML file that ROS's camera_calibration writes"
# The first line, or a tag, of the files that OpenCV's FileStorage writes.
_OF_OPENCV = ("%YAML:1.0", "!!opencv-matrix", "<opencv_storage>")
# What other files of calibrations contain, and what they are.
_OTHER_FORMATS = {
    "# oST version": "in the INI format of camera_calibration (use its ost.yaml)",
    "camera_model:": "in the format of Kalibr",
    "\nk: ": "a printed CameraInfo message",
    "\nk:\n": "a printed CameraInfo message",
}
_MOST_PIXELS = 1 << 20  # of width and height


def load_camera(path: str | os.PathLike[str]) -> Camera:
    """Returns the camera of a YAML file in the format of ROS's camera_calibration.

    Coefficients that are missing, empty or all zero mean a lens without distortion. Raises
    InputError, which names the file and the problem, if it is not such a calibration.
    """
    with one_error(f"camera calibration {os.fspath(path)}", _FIX):
        text = read_bytes(path, MOST_TEXT).decode("utf-8-sig")
        if what := _other_format(text):
            raise InputError(f"it is {what}")
        data = _mapping(parse_yaml(text), "it")
        matrix = _numbers(data, "camera_matrix")
        if len(matrix) != 9:
            raise InputError(f"camera_matrix has {len(matrix)} numbers, not 9")
        camera = Camera(
            width=_size(data, "image_width"),
            height=_size(data, "image_height"),
            fx=matrix[0],
            fy=matrix[4],
            cx=matrix[2],
            cy=matrix[5],
            distortion=_numbers(data, "distortion_coefficients", needed=False),
            distortion_model=str(data.get("distortion_model") or ""),
        )
        check_camera_matrix(matrix)
        camera.check_calibration()
        camera.check_whole_image()
        return camera


def _other_format(text: str) -> str:
    """Returns what the text of a file is, if it is a calibration in another format; else ""."""
    if any(sign in text for sign in _OF_OPENCV):
        return "in the format of OpenCV's FileStorage"
    if "camera_matrix" in text:
        return ""
    return next((what for sign, what in _OTHER_FORMATS.items() if sign in text), "")


def _mapping(value: Any, name: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise InputError(f"{name} is {shortened(value)}, not a mapping of names to values")
    return value


def _size(data: Mapping[str, Any], name: str) -> int:
    value = data[name]
    if type(value) is not int or not 0 < value < _MOST_PIXELS:
        raise InputError(f"{name} is {shortened(value)}, not a number of pixels")
    return value


def _numbers(data: Mapping[str, Any], name: str, needed: bool = True) -> tuple[float, ...]:
    """Returns the list ``data`` of a matrix. Without ``needed`` it may be missing or empty."""
    matrix = data[name] if needed else data.get(name)
    if matrix is None and not needed:
        return ()
    values = _mapping(matrix, name).get("data")
    if values is None and not needed:
        return ()
    if not isinstance(values, list) or not all(type(v) in (int, float) for v in values):
        raise InputError(f"{name} has the data {shortened(values)}, not a list of numbers")
    return tuple(float(v) for v in values)
