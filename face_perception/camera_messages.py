"""Reads cameras from sensor_msgs/CameraInfo: of rclpy, or of a bag, which is read without ROS."""

from __future__ import annotations

from typing import Any

from face_perception.errors import InputError
from face_perception.types import Camera, check_camera_matrix

# Rectifying changes the focal length by less than this factor: fisheye lenses by about 3.
_LARGEST_CHANGE = 5.0


def is_rectified(topic: str) -> bool:
    """Returns whether an image topic has rectified images, by the names of ROS's image_proc.

    >>> is_rectified("/camera/image_rect_color"), is_rectified("/rectory/image_raw")
    (True, False)
    """
    return "_rect" in topic.removesuffix("/compressed").rpartition("/")[2]


def usable_camera(info: Any, width: int, height: int, rectified: bool = False) -> Camera:
    """Returns the camera of images of ``width`` x ``height`` pixels from their CameraInfo.

    ``rectified`` images have no distortion, and P instead of K.

    Raises InputError if it is for images of another size, if K is not that of a lens, if its
    distortion model is not known, or if P does not go with K.
    """
    sensor = sensor_from_message(info, rectified=rectified)
    if rectified and info.p[0]:
        check_camera_matrix([info.p[i] for i in (0, 1, 2, 4, 5, 6, 8, 9, 10)])
        ratio = info.k[0] / sensor.fx or 1.0  # K may not be set
        if not 1 / _LARGEST_CHANGE <= ratio <= _LARGEST_CHANGE:
            raise InputError(
                f"P has the focal length {sensor.fx:g}, and K {info.k[0]:g}, which disagree: "
                "calibrate the camera"
            )
    else:
        check_camera_matrix(info.k)
        if rectified and sensor.distorted:
            raise InputError("the images are rectified, but P is not set: calibrate the camera")
    camera = _of_images(sensor, info)
    camera.check_calibration()
    if not _roi_is_outside(info):
        sensor.check_whole_image()
    # Some drivers set roi or binning, but K, width and height for the images.
    for known in (camera, sensor):
        if (known.width, known.height) == (width, height):
            return known
    size, whole = f"{camera.width}x{camera.height}", f"{info.width}x{info.height}"
    if size != whole:
        size += f" (of {whole}, by its roi and binning)"
    raise InputError(
        f"it is for {size} images, but the images are {width}x{height}: use the camera_info of "
        "this camera"
    )


def camera_from_message(info: Any, assumed: bool = False) -> Camera:
    """Returns the camera of the images that a CameraInfo comes with.

    K, width and height are those of the whole sensor. The images show the window ``roi`` of it (all
    of it if ``roi`` has no size), in which ``binning_x`` by ``binning_y`` pixels are combined; 0
    means 1. If ``roi`` does not lie within width and height, K, width and height are those of the
    images already. Raises InputError if K is zero or NaN.
    """
    return _of_images(sensor_from_message(info, assumed), info)


def _of_images(sensor: Camera, info: Any) -> Camera:
    """Returns the camera of the images, given that of the whole sensor."""
    if _roi_is_outside(info):
        return sensor
    roi = info.roi
    return sensor.window(
        roi.x_offset,
        roi.y_offset,
        roi.width or info.width,
        roi.height or info.height,
        max(info.binning_x, 1),
        max(info.binning_y, 1),
    )


def _roi_is_outside(info: Any) -> bool:
    """Returns whether ``roi`` does not lie within width and height, as some drivers send it."""
    roi = info.roi
    width, height = roi.width or info.width, roi.height or info.height
    return bool(roi.x_offset + width > info.width or roi.y_offset + height > info.height)


def sensor_from_message(info: Any, assumed: bool = False, rectified: bool = False) -> Camera:
    """Returns the camera of a CameraInfo for the whole sensor, without ``roi`` and binning.

    ``rectified`` takes P instead of K and D, unless P is not set. Raises InputError if K is zero or
    NaN.
    """
    width, height = int(info.width), int(info.height)
    if rectified and info.p[0]:
        p = info.p
        return Camera(width, height, p[0], p[5], p[2], p[6], assumed=assumed)
    k = info.k
    return Camera(
        width=width,
        height=height,
        fx=float(k[0]),
        fy=float(k[4]),
        cx=float(k[2]),
        cy=float(k[5]),
        distortion=tuple(float(v) for v in info.d),
        distortion_model=info.distortion_model,
        assumed=assumed,
    )
