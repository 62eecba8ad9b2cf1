"""Reads camera calibrations from YAML files."""

from __future__ import annotations

import os

import yaml

from face_perception.errors import InputError
from face_perception.types import Camera


def load_camera(path: str | os.PathLike[str]) -> Camera:
    """Returns the camera of a YAML file in the format of ROS's camera_calibration.

    Raises OSError if the file cannot be read, and InputError, which names the file and the problem,
    if it is not such a calibration.
    """
    try:
        stream = open(path, encoding="utf-8")  # noqa: SIM115 (closed below)
    except OSError as error:
        raise type(error)(
            f"camera calibration {path} cannot be read ({error.strerror}): give the YAML file that "
            "ROS's camera_calibration writes"
        ) from error
    with stream:
        try:
            data = yaml.safe_load(stream)
            if not isinstance(data, dict):
                raise InputError("it must have camera_matrix, image_width and image_height")
            k = [float(v) for v in data["camera_matrix"]["data"]]
            if len(k) != 9:
                raise InputError(f"camera_matrix has {len(k)} numbers, not 9")
            return Camera(
                width=int(data["image_width"]),
                height=int(data["image_height"]),
                fx=k[0],
                fy=k[4],
                cx=k[2],
                cy=k[5],
                distortion=tuple(
                    float(v) for v in data.get("distortion_coefficients", {}).get("data", ())
                ),
                distortion_model=str(data.get("distortion_model", "")),
            )
        except KeyError as error:
            raise InputError(f"{path} is not a camera calibration: {error} is missing") from error
        except (TypeError, AttributeError, ValueError, yaml.YAMLError) as error:
            reason = " ".join(str(error).split())
            raise InputError(f"{path} is not a valid camera calibration: {reason}") from error
