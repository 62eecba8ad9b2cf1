"""Publishes images that always have the same number of faces, which move a little.

    python3 bench/steady_faces.py [--faces 2] [--size 640x480] [--rate 30]

Every second shows the same images. So each second costs the graph as much as any other, and two
ways to run it can be compared. The sample scene is no such source: people come, cross and leave,
and its seconds differ in cost by a factor of six.
"""

from __future__ import annotations

import argparse
import itertools
import math
import signal
import struct
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import cv2
import numpy as np
import rclpy
from rclpy.node import Node
from rclpy.serialization import serialize_message
from rclpy.signals import SignalHandlerOptions
from sensor_msgs.msg import Image

from face_perception import types
from face_perception.inference import sample_photo
from face_perception.media import PHOTOS, read_picture
from face_perception.media.sample_outlines import OUTLINES
from face_perception.ros import images, qos

_COLUMNS = 4  # of faces, at most
_HEIGHT = 0.55  # of a face, of its cell's shorter side
_SHIFT = 0.05  # amplitude of the motion, of the face's height
_STAMP = struct.Struct("<iI")  # seconds and nanoseconds
_STAMP_AT = 4  # bytes before the stamp in a serialised message that begins with a header


def stamp_of(message: bytes) -> float:
    """Returns the stamp, seconds, of a serialised message that begins with a header."""
    seconds, nanoseconds = _STAMP.unpack_from(message, _STAMP_AT)
    return float(seconds + nanoseconds * 1e-9)


def image_size(text: str) -> tuple[int, int]:
    """Returns width and height of a size such as ``640x480``."""
    width, _, height = text.partition("x")
    return int(width), int(height)


def render(faces: int, width: int, height: int, number: int) -> list[types.Image]:
    """Returns ``number`` images of one turn of the motion, RGB uint8 [height, width, 3].

    Each face is a detail of a sample photograph in a cell of the image.
    """
    photos = itertools.cycle(
        [(OUTLINES[name], read_picture(sample_photo(name))) for name in PHOTOS]
    )
    columns = min(faces, _COLUMNS)
    rows = math.ceil(faces / columns)
    cell_width, cell_height = width // columns, height // rows
    wanted = _HEIGHT * min(cell_width, cell_height)
    rendered = [np.full((height, width, 3), 128, np.uint8) for _ in range(number)]
    for face in range(faces):
        outline, photo = next(photos)
        x, y = face % columns * cell_width, face // columns * cell_height
        scale = wanted / outline.face_height
        for n, image in enumerate(rendered):
            angle = 2 * math.pi * (n / number + face / faces)
            to_cell = np.array(
                [
                    [scale, 0, cell_width / 2 - scale * outline.face_x],
                    [0, scale, cell_height / 2 - scale * outline.face_y],
                ]
            )
            to_cell[:, 2] += _SHIFT * wanted * np.array([math.cos(angle), math.sin(angle)])
            image[y : y + cell_height, x : x + cell_width] = cv2.warpAffine(
                photo,
                to_cell,
                (cell_width, cell_height),
                flags=cv2.INTER_AREA,
                borderMode=cv2.BORDER_REPLICATE,
            )
    return rendered


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--faces", type=int, default=2)
    parser.add_argument("--size", type=image_size, default=(640, 480))
    parser.add_argument("--rate", type=int, default=30, help="Hz")
    options = parser.parse_args()

    serialised = [
        bytearray(serialize_message(images.from_array(image)))
        for image in render(options.faces, *options.size, options.rate)
    ]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    # With rclpy's own handlers, a signal would end ROS in the middle of a call.
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    node = Node("steady_faces")
    publisher = node.create_publisher(Image, "image", qos.results(1))
    begin = time.monotonic()
    try:
        for count in itertools.count():
            time.sleep(max(0.0, begin + count / options.rate - time.monotonic()))
            message = serialised[count % len(serialised)]
            stamp = time.time_ns()
            _STAMP.pack_into(message, _STAMP_AT, *divmod(stamp, 10**9))
            publisher.publish(bytes(message))
    except KeyboardInterrupt:
        pass
    finally:
        node.destroy_node()
        rclpy.try_shutdown()


if __name__ == "__main__":
    main()
