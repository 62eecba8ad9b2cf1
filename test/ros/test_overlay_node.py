"""The overlay node over DDS: slow networks delay no image, and their results are drawn."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray
from node_processes import NodeProcess, Peer
from overlay_scene import everything, face
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from face_perception import msg, overlay
from face_perception.ros import messages
from face_perception.ros.result_kinds import FACES, Result
from face_perception.types import Camera, Expression, ValenceArousal

Start = Callable[..., NodeProcess]
PERIOD = 1 / 30
LATE = 9  # images: 0.3 s, twice the longest wait
GRAY = np.full((240, 320, 3), 60, np.uint8)
CAMERA = Camera.assume(320, 240)


class Graph:
    """Publishes what the other nodes would, image by image, and records the overlay."""

    def __init__(self, peer: Peer) -> None:
        self.peer = peer
        self.pictures = peer.listen(Image, "overlay")
        self.face = messages.face_to_msg(face(x=160, y=100, size=60))
        self._publishers = {
            topic: peer.publisher(kind, topic)
            for topic, kind in (
                ("image", Image),
                ("faces", msg.FaceArray),
                ("attention", msg.AttentionArray),
                ("action_units", msg.ActionUnitsArray),
                ("expressions", msg.ExpressionArray),
                ("motion_affect", msg.ValenceArousalArray),
            )
        }
        peer.until(
            lambda: all(p.get_subscription_count() for p in self._publishers.values()),
            why="for the overlay",
        )

    def header(self, t: int) -> Header:
        return Header(stamp=messages.time(10 + t * PERIOD), frame_id="eye")

    def image(self, t: int, faces: bool = True) -> None:
        image = Image(header=self.header(t), height=240, width=320, step=960, encoding="rgb8")
        image.data = GRAY.tobytes()
        self._publishers["image"].publish(image)
        if faces:
            self.found(t)

    def found(self, t: int) -> None:
        faces = [messages.face_from_msg(self.face)]
        self._publishers["faces"].publish(FACES.write(Result(self.header(t), faces, CAMERA)))

    def late(self, t: int) -> np.ndarray:
        """Returns the overlay of an image whose faces arrive a little later."""
        self.image(t, faces=False)
        self.peer.spin(0.05)
        self.found(t)
        return self.picture(t)

    def waits(self, *of: int) -> None:
        for t in of:
            np.testing.assert_array_equal(self.late(t), self.drawn())

    def settle(self, before: int) -> None:
        """Publishes images until the overlay has learned to wait for faces."""
        drawn = self.drawn()
        assert any(np.array_equal(self.late(t), drawn) for t in range(before - 100, before))

    def say(self, topic: str, t: int, *items: Any) -> None:
        publisher = self._publishers[topic]
        message = publisher.msg_type(header=self.header(t))
        messages.listed(message).extend(items)
        publisher.publish(message)

    def picture(self, t: int) -> np.ndarray:
        """Returns the overlay of an image. No newer image is published, so it waits for none."""
        stamp = self.header(t).stamp
        self.peer.until(
            lambda: any(p.header.stamp == stamp for p in self.pictures), why=f"for picture {t}"
        )
        (found,) = (p for p in self.pictures if p.header.stamp == stamp)
        return np.frombuffer(bytes(found.data), np.uint8).reshape(240, 320, 3)

    def drawn(self, **results: Any) -> np.ndarray:
        return overlay.draw(GRAY, CAMERA, [messages.face_from_msg(self.face)], **results)


def happy(share: float) -> Expression:
    rest = (1 - share) / 6
    probability = np.full(7, rest)
    probability[4] = share
    return messages.expression_from_msg(
        messages.expression_to_msg(Expression("face_1", "x", probability))
    )


@pytest.fixture
def graph(start: Start, peer: Peer) -> Graph:
    start("overlay", hold=0.5)
    return Graph(peer)


def test_slow_results_hold_up_no_picture_and_are_drawn(graph: Graph, peer: Peer) -> None:
    """Expressions, of every third image, and the VA of motion_affect are 0.3 s late."""
    moving = ValenceArousal("face_1", "mimamo", 0.5, -0.25)
    for t in range(45):
        graph.image(t)
        about = t - LATE
        if about >= 0 and about % 3 == 0:
            before = len(graph.pictures)
            graph.say("expressions", about, messages.expression_to_msg(happy(0.4 + about / 100)))
            graph.say("motion_affect", about, messages.valence_arousal_to_msg(moving))
            peer.spin(0.05)
            assert len(graph.pictures) <= before + 1, "no picture twice"
        graph.picture(t)
    assert len(graph.pictures) == 45
    # Results of 0.3 to 0.4 s before the image are drawn.
    known = 33
    wanted = graph.drawn(expressions=[happy(0.4 + known / 100)], valence_arousal=[moving])
    np.testing.assert_array_equal(graph.picture(44), wanted)
    # Then these results stop.
    plain = graph.drawn()
    for t in range(45, 60):
        graph.image(t)
        same = bool((graph.picture(t) == plain).all())
        assert same == (t > known + 15), "half a second is the age that was asked for"


def test_quick_results_are_those_of_the_image(graph: Graph, peer: Peer) -> None:
    """When results are known to be quick, the overlay waits for those of the image."""
    said = peer.listen(DiagnosticArray, "/diagnostics")
    attention = everything()["attention"][0]
    for t in range(40):
        graph.image(t)
        graph.say("attention", t, messages.attention_to_msg(attention))
        graph.say("expressions", t, messages.expression_to_msg(happy(0.3 + t / 100)))
        peer.spin(0.02)
        graph.picture(t)

    def waits_for() -> str:
        values = {v.key: v.value for m in said for s in m.status for v in s.values}
        return str(values.get("waits for"))

    peer.until(lambda: waits_for() == "attention, expressions, faces", why="for the diagnostics")
    for t in range(40, 50):
        graph.image(t)
        peer.spin(0.03)
        graph.say("attention", t, messages.attention_to_msg(attention))
        peer.spin(0.03)
        stamp = graph.header(t).stamp
        assert not any(p.header.stamp == stamp for p in graph.pictures), "it waits"
        now = happy(0.3 + t / 100)
        graph.say("expressions", t, messages.expression_to_msg(now))
        wanted = graph.drawn(expressions=[now], attention=[attention])
        np.testing.assert_array_equal(graph.picture(t), wanted)


def test_images_that_the_tracker_leaves_out_do_not_flicker(graph: Graph) -> None:
    for t in range(10):
        graph.image(t, faces=t % 3 != 1)
        graph.peer.spin(0.03)  # in a burst, images may arrive before the faces
    graph.picture(9)
    drawn = [round((messages.seconds(p.header.stamp) - 10) / PERIOD) for p in graph.pictures]
    assert not any(t % 3 == 1 for t in drawn)
    assert drawn == sorted(set(drawn))
    for t in range(10, 50):  # its node has died, and the image is still shown
        graph.image(t, faces=False)
        graph.peer.spin(0.02)
    graph.peer.until(lambda: messages.seconds(graph.pictures[-1].header.stamp) > 11, why="for it")
    bare = np.frombuffer(bytes(graph.pictures[-1].data), np.uint8)
    assert (bare == 60).all()


def test_a_result_of_the_end_of_a_bag_that_loops_holds_up_nothing(graph: Graph, peer: Peer) -> None:
    """A late result of motion_affect of the last round arrives after the first image."""
    moving = ValenceArousal("face_1", "mimamo", 0.5, -0.25)
    graph.settle(before=300)
    for t in (300, 301):
        graph.image(t)
        graph.picture(t)
    graph.image(0)
    graph.picture(0)
    graph.say("motion_affect", 301, messages.valence_arousal_to_msg(moving))
    peer.spin(0.1)
    graph.waits(1, 2, 3)
    graph.say("motion_affect", 2, messages.valence_arousal_to_msg(moving))
    peer.spin(0.1)
    graph.image(4)
    np.testing.assert_array_equal(graph.picture(4), graph.drawn(valence_arousal=[moving]))
    graph.image(30)
    np.testing.assert_array_equal(graph.picture(30), graph.drawn())


def test_an_image_of_a_clock_that_is_wrong_holds_up_nothing(graph: Graph, peer: Peer) -> None:
    """An image with a stamp years ahead, which the tracker skips, does not change the waiting."""
    graph.settle(before=0)
    graph.image(0)
    graph.picture(0)
    graph.image(10**9, faces=False)
    peer.spin(0.1)
    graph.waits(1, 2, 3)


def test_a_result_that_cannot_be_read_spoils_no_picture(start: Start, peer: Peer) -> None:
    node = start("overlay")
    graph = Graph(peer)
    graph.settle(before=0)
    graph.image(0)
    graph.picture(0)
    graph.say("action_units", 0, msg.ActionUnits(face_id="face_1", code=[1, 2], intensity=[0.5]))
    node.wait_for_log(
        "/action_units: the action units of face_1 have 2 codes, but 1 of intensity, 2 of probab"
    )
    graph.image(1)
    np.testing.assert_array_equal(graph.picture(1), graph.drawn())
