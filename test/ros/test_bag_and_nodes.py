"""A bag gives the same results offline as when its messages are sent to the nodes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from bags import STORE, camera_info, image, write_bag
from node_processes import NodeProcess, Peer
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import CameraInfo, Image
from waits import scaled

from face_perception import msg
from face_perception.inference import sample_photo
from face_perception.media import PHOTOS, FrameReader, SampleScene
from face_perception.pipeline import Perception
from face_perception.ros import messages

START, FRAMES = 1_700_000_000.25, 12


def test_nodes_and_offline_agree(
    start: Callable[..., NodeProcess], peer: Peer, tmp_path: Path
) -> None:
    photos = {n: cv2.imread(str(sample_photo(n)))[..., ::-1] for n in PHOTOS}
    scene = SampleScene(photos, 320, 240)
    recorded: list[tuple[str, Any]] = []
    for i in range(FRAMES):
        recorded.append(("/image", image(scene.render(13 + i / 30), START + i / 30)))
        recorded.append(("/camera_info", camera_info(320, 240, 300.0, START + i / 30)))
    bag = write_bag(tmp_path / "bag", recorded)
    perception = Perception.load()
    with FrameReader(bag) as clip:
        offline = [perception.process(frame) for frame in clip]

    for name in ("face_tracker", "gaze", "attention"):
        start(name)
    kinds = {"/image": Image, "/camera_info": CameraInfo}
    publishers = {topic: peer.publisher(kind, topic) for topic, kind in kinds.items()}
    heard = {
        topic: peer.listen(kind, topic)
        for topic, kind in (
            ("faces", msg.FaceArray),
            ("gaze", msg.GazeArray),
            ("attention", msg.AttentionArray),
        )
    }
    peer.until(lambda: all(p.get_subscription_count() for p in publishers.values()))
    peer.until(lambda: peer.node.count_subscribers("faces") >= 3)
    info = camera_info(320, 240, 300.0, START)
    data = bytes(STORE.serialize_cdr(info, info.__msgtype__))
    for _ in range(10):  # the bag's reader knows the camera from the first image on
        publishers["/camera_info"].publish(deserialize_message(data, CameraInfo))
        peer.spin(scaled(0.05))
    # Send one image after the other, so that the nodes drop none; camera_info first, as is usual.
    for i in range(FRAMES):
        for topic, message in (recorded[2 * i + 1], recorded[2 * i]):
            data = bytes(STORE.serialize_cdr(message, message.__msgtype__))
            publishers[topic].publish(deserialize_message(data, kinds[topic]))
        peer.until(lambda n=i + 1: all(len(got) >= n for got in heard.values()))

    assert [len(result.faces) for result in offline[-3:]] == [2, 2, 2]
    for result, faces, gazes, attention in zip(offline, *heard.values(), strict=True):
        assert messages.seconds(faces.header.stamp) == result.stamp
        assert [f.face_id for f in faces.faces] == [f.face_id for f in result.faces]
        for mine, face in zip(result.faces, faces.faces, strict=True):
            assert np.array_equal(mine.landmarks.ravel(), face.landmarks)
        for my_gaze, gaze in zip(result.gazes, gazes.gazes, strict=True):
            assert (my_gaze.face_id, my_gaze.valid) == (gaze.face_id, gaze.valid)
            direction = (gaze.direction.x, gaze.direction.y, gaze.direction.z)
            assert np.allclose(my_gaze.direction, direction, atol=1e-6)
        for mine_seen, seen in zip(result.attention, attention.attention, strict=True):
            assert mine_seen.looking_at_robot == seen.looking_at_robot
            assert np.isclose(mine_seen.eye_contact, seen.eye_contact, atol=1e-6)
