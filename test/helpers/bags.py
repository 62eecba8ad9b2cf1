"""Writes rosbag2 recordings without ROS."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

STORE = get_typestore(Stores.ROS2_JAZZY)
_TYPES: Any = STORE.types


def make(kind: str, **fields: Any) -> Any:
    return _TYPES[kind](**fields)


def header(stamp: float, frame_id: str = "camera_optical_frame") -> Any:
    whole, fraction = divmod(stamp, 1.0)
    time = make("builtin_interfaces/msg/Time", sec=int(whole), nanosec=round(fraction * 1e9))
    return make("std_msgs/msg/Header", stamp=time, frame_id=frame_id)


def image(pixels: Any, stamp: float, encoding: str = "rgb8") -> Any:
    height, width = pixels.shape[:2]
    return make(
        "sensor_msgs/msg/Image",
        header=header(stamp),
        height=height,
        width=width,
        encoding=encoding,
        is_bigendian=0,
        step=pixels.nbytes // height,
        data=np.ascontiguousarray(pixels).reshape(-1).view(np.uint8),
    )


def compressed(data: bytes, stamp: float, format_: str = "jpeg") -> Any:
    return make(
        "sensor_msgs/msg/CompressedImage",
        header=header(stamp),
        format=format_,
        data=np.frombuffer(data, np.uint8),
    )


def camera_info(width: int, height: int, focal: float, stamp: float) -> Any:
    k = np.array([focal, 0, width / 2, 0, focal, height / 2, 0, 0, 1], np.float64)
    roi = make(
        "sensor_msgs/msg/RegionOfInterest",
        x_offset=0,
        y_offset=0,
        height=0,
        width=0,
        do_rectify=False,
    )
    return make(
        "sensor_msgs/msg/CameraInfo",
        header=header(stamp),
        height=height,
        width=width,
        distortion_model="plumb_bob",
        d=np.zeros(5),
        k=k,
        r=np.eye(3).ravel(),
        p=np.zeros(12),
        binning_x=0,
        binning_y=0,
        roi=roi,
    )


def write_bag(path: Path, messages: Iterable[tuple[str, Any]], plugin: str = "MCAP") -> Path:
    """Writes topics and messages in their order, 10 ms apart."""
    with Writer(path, version=9, storage_plugin=StoragePlugin[plugin]) as writer:
        topics: dict[str, Any] = {}
        for number, (topic, message) in enumerate(messages):
            kind = message.__msgtype__
            if topic not in topics:
                topics[topic] = writer.add_connection(topic, kind, typestore=STORE)
            data = STORE.serialize_cdr(message, kind)
            writer.write(topics[topic], 10_000_000 * (number + 1), data)
    return path
