"""The dashboard node as a process, with a browser's requests: what it shows, and its buttons."""

from __future__ import annotations

import json
import queue
import re
import struct
import urllib.error
import urllib.request
from collections import deque
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
from node_processes import NodeProcess, Peer
from overlay_scene import everything, face
from rclpy.serialization import serialize_message
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from face_perception import msg, srv
from face_perception.errors import InputError
from face_perception.nodes.dashboard import graph_state, shown_values
from face_perception.nodes.dashboard.commands import Commands
from face_perception.nodes.dashboard.graph_state import GraphState, Snapshot
from face_perception.ros import messages, result_kinds
from face_perception.ros.result_kinds import Result
from face_perception.types import Camera
from face_perception.web import Command

websockets_client = pytest.importorskip("websockets.sync.client")
Start = Callable[..., NodeProcess]
CAMERA = Camera.assume(320, 240)


def address(node: NodeProcess) -> str:
    log = node.wait_for_log("the dashboard is on http://")
    return re.findall(r"the dashboard is on (http://\S+)", log)[-1]


class Browser:
    """The page's side of the WebSocket."""

    def __init__(self, url: str) -> None:
        self._socket = websockets_client.connect(url.replace("http", "ws") + "stream")
        self.answers: list[Any] = []
        self.update: dict[str, Any] = {}
        self.picture: Any = None

    def look(self) -> None:
        """Takes what has arrived, and confirms it."""
        while True:
            try:
                found = self._socket.recv(timeout=0.001)
            except TimeoutError:
                return
            if isinstance(found, str):
                self.answers.append(json.loads(found))
                continue
            (length,) = struct.unpack_from("<I", found)
            self.update = json.loads(found[4 : 4 + length])
            jpeg = np.frombuffer(found[4 + length :], np.uint8)
            self.picture = cv2.imdecode(jpeg, cv2.IMREAD_COLOR) if jpeg.size else None
            self._socket.send('{"seen": true}')

    def send(self, text: str) -> None:
        self._socket.send(text)

    def close(self) -> None:
        self._socket.close()


def test_a_browser_sees_the_people_and_presses_buttons(start: Start, peer: Peer) -> None:
    node = start("dashboard", web_port=0, width=160)
    url = address(node)
    with urllib.request.urlopen(url) as page:
        assert b"Start session" in page.read()
        assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    with pytest.raises(urllib.error.HTTPError, match="404"):
        urllib.request.urlopen(f"{url}other")

    results = everything()
    results["gaze"] = results.pop("gazes")
    kinds = {
        "faces": result_kinds.FACES,
        "gaze": result_kinds.GAZES,
        "attention": result_kinds.ATTENTION,
        "expressions": result_kinds.EXPRESSIONS,
        "valence_arousal": result_kinds.VALENCE_AROUSAL,
    }
    publishers = {t: peer.publisher(k.message_type, t) for t, k in kinds.items()}
    images = peer.publisher(Image, "image")
    peer.spin(0.3)
    assert not any(p.get_subscription_count() for p in (images, *publishers.values()))

    browser = Browser(url)
    peer.until(lambda: all(p.get_subscription_count() for p in (images, *publishers.values())))
    header = Header(stamp=messages.time(100.0), frame_id="eye")
    image = Image(header=header, height=240, width=320, step=960, encoding="rgb8")
    image.data = np.full((240, 320, 3), 90, np.uint8).tobytes()
    images.publish(image)
    faces = [face(x=160, y=100, size=60)]
    publishers["faces"].publish(result_kinds.FACES.write(Result(header, faces, CAMERA)))
    for topic, values in results.items():
        if topic in publishers:
            publishers[topic].publish(kinds[topic].write(Result(header, values)))

    def shown() -> bool:
        browser.look()
        people = browser.update.get("people")
        return bool(people and people[0]["valence"] and browser.picture is not None)

    peer.until(shown)
    assert browser.picture.shape == (120, 160, 3)
    (one,) = browser.update["people"]
    assert one["face"] == "face_1"
    box = browser.update["lines"][0]
    assert box["closed"]
    assert max(x for x, _ in box["points"]) < 160  # scaled as the picture is
    assert browser.update["session"] == "(the session node does not run)"

    # Buttons: a service that is there, one that is not, and what is no command.
    linked: list[Any] = []

    def link(request: Any, response: Any) -> Any:
        linked.append((request.face_id, request.person_id))
        response.success, response.message = True, "linked"
        return response

    peer.node.create_service(srv.LinkFace, "gaze/link_face", link)

    def answer(text: str) -> Any:
        browser.answers.clear()
        browser.send(text)
        peer.until(lambda: browser.look() or browser.answers)
        return browser.answers[-1]

    ask = '{"command": "link", "number": 7, "face_id": "face_1", "person_id": "ada"}'
    peer.until(lambda: answer(ask)["success"])
    assert browser.answers[-1] == {"answer": 7, "success": True, "text": "linked"}
    assert linked[-1] == ("face_1", "ada")
    missing = answer('{"command": "mark", "label": "x", "number": 8}')
    assert missing["text"] == "there is no session/mark: start the session node"
    wrong_ones = (
        *("[]", "no JSON", '{"command": "reboot"}', '{"command": "mark", "label": 3}'),
        *(r'{"command": "mark", "label": "\ud800"}', r'{"command": "mark", "label": "a\u0000b"}'),
    )
    for wrong in wrong_ones:
        assert "the command cannot be read" in answer(wrong)["text"]

    browser.close()
    peer.until(lambda: not any(p.get_subscription_count() for p in (images, *publishers.values())))


def test_a_page_for_other_computers_has_a_password(start: Start) -> None:
    url = address(start("dashboard", web_port=0, web_host="0.0.0.0"))
    bare = url.partition("?")[0].replace("0.0.0.0", "127.0.0.1")
    with pytest.raises(urllib.error.HTTPError, match="401"):
        urllib.request.urlopen(bare)
    with urllib.request.urlopen(f"{bare}?{url.partition('?')[2]}") as page:
        assert page.status == 200


def node_stub(refused: list[str] | None = None) -> Any:
    refused = [] if refused is None else refused
    return SimpleNamespace(
        resolve_topic_name=lambda name: f"/{name}",
        count=lambda what: None,
        count_publishers=lambda topic: 0,
        log_exception=lambda error: None,
        warn_throttled=lambda text, key: refused.append(text),
    )


def test_images_without_a_stamp_are_shown() -> None:
    graph = GraphState(node_stub(), "/image")
    graph._topics.kinds["/image"] = Image
    for topic, message in (("/faces", msg.FaceArray()), ("/image", Image(width=3))):
        graph._keep(topic, serialize_message(message))
    found = graph.snapshot()
    assert (graph.read_image(found.image).width, found.results) == (3, {})
    assert np.isnan(found.stamp)


class QueuedTopics:
    """Topics whose newest messages wait, as in DDS. ``RawTopics`` in a simulated time."""

    def __init__(self, node: Any, topics: Any, received: Any, **options: Any) -> None:
        self.received, self.most = received, dict(options["on_demand"])
        self.queues = {topic: deque(maxlen=most) for topic, most in self.most.items()}
        self.problems: dict[str, str] = {}

    def set_waiting(self, topic: str, most: int) -> None:
        self.most[topic] = most

    def look(self) -> None:
        for topic, most in self.most.items():
            if self.queues[topic].maxlen != most:  # a new subscription
                self.queues[topic] = deque(maxlen=most)

    def take(self, topic: str, last: Any = lambda data: False) -> None:
        queue = self.queues[topic]
        while queue:
            self.received(topic, data := queue.popleft())
            if last(data):
                return


# Camera (Hz), updates (Hz), and by how many seconds the images and the faces are late; whether more
# than four images must wait.
_LATE = [
    (30, 4, 0.0, 0.03, False),
    (60, 4, 0.0, 0.05, False),
    (60, 4, 0.0, 0.15, True),
    (60, 4, 0.0, 0.4, True),
    (30, 1, 0.0, 0.2, True),
    (30, 2, 0.0, 0.8, True),
    (60, 1, 0.3, 0.0, True),
]


@pytest.mark.parametrize(("camera", "rate", "late_image", "late_faces", "more"), _LATE)
def test_pictures_have_boxes_however_late_the_faces_are(
    monkeypatch: pytest.MonkeyPatch,
    camera: int,
    rate: int,
    late_image: float,
    late_faces: float,
    more: bool,
) -> None:
    monkeypatch.setattr(graph_state, "RawTopics", QueuedTopics)
    graph = GraphState(node_stub(), "/image")
    topics: Any = graph._topics

    def sent(number: int, kind: Any) -> bytes:
        header = Header(stamp=messages.time(100 + number / camera))
        if kind is Image:
            return serialize_message(Image(header=header))
        return serialize_message(result_kinds.FACES.write(Result(header, [face()], CAMERA)))

    events = [
        (number / camera + late, topic, number, kind)
        for number in range(20 * camera)
        for topic, late, kind in (("/image", late_image, Image), ("/faces", late_faces, msg.Face))
    ]
    updates = [(number / rate + 0.001, "update", 0, None) for number in range(20 * rate)]
    boxes = []
    for at, topic, number, kind in sorted(events + updates, key=lambda event: event[0]):
        if topic != "update":
            topics.queues[topic].append(sent(number, kind))
            continue
        if round(at * rate) % rate == 0:
            graph.look()
        graph.take()
        boxes.append((found := graph.snapshot()).lag == 0 and "faces" in found.results)
        if boxes[-1]:
            assert at < 10 or at + 100 - found.stamp < max(late_image, late_faces) + 2 / camera
        elif found.image and found.results:  # it has not noticed yet
            assert found.lag == pytest.approx(late_faces - late_image, abs=0.1)
    assert all(boxes[len(boxes) // 2 :])
    assert topics.most["/image"] == (32 if more else 4)
    assert topics.most["/faces"] == topics.most["/image"]


def test_results_without_a_picture_fit_the_area_on_the_page() -> None:
    camera = Camera.assume(1920, 1080)
    results = {"faces": Result(Header(), (face("face_1", 960, 540),), camera)}
    scale, size = shown_values.area(results, 640)
    assert size == (640, 360)
    lines = shown_values.shapes(results, scale)["lines"]
    points = np.concatenate([line["points"] for line in lines])
    assert (points >= 0).all()
    assert (points <= size).all()
    assert shown_values.area({}, 640) == (1.0, (0, 0))


def test_the_page_says_why_boxes_picture_or_people_are_missing() -> None:
    nan = float("nan")
    for (image, faces, lag), said in {
        (0.1, 0.1, 0.0): "",
        (0.1, 0.1, nan): "",
        (9.0, 8.0, 0.0): "no image and no faces for 8 s",
        (9.0, 0.1, nan): "no image on /eye for 9 s: start the camera, or remap image",
        (0.1, 9.0, nan): "no faces for 9 s: is the node face_tracker active?",
        (0.1, 0.1, 0.7): "no boxes: the faces are 0.70 s older than the picture",
        (0.1, 0.1, -0.7): "no boxes: the faces are 0.70 s newer than the picture",
    }.items():
        found = Snapshot(1.0, b"image", lag=lag)
        assert shown_values.state(image, faces, found, "/eye") == said
    unstamped = Snapshot(nan, b"image")
    assert "on /eye have no stamps" in shown_values.state(0.1, 0.1, unstamped, "/eye")


@pytest.mark.parametrize("silent", ["image", "faces"])
def test_a_topic_that_has_stopped_hides_only_itself(silent: str) -> None:
    graph = GraphState(node_stub(), "/image")
    header = Header(stamp=messages.time(5.0))
    graph._keep("/image", serialize_message(Image(header=header)))
    graph._keep(
        "/faces", serialize_message(result_kinds.FACES.write(Result(header, [face()], CAMERA)))
    )
    setattr(graph, f"_{silent}_at", getattr(graph, f"_{silent}_at") - 10)
    found = graph.snapshot()
    assert bool(found.image) == (silent != "image"), "no frozen picture while people move on"
    assert ("faces" in found.results) == (silent != "faces")


# Topic, and bytes that are no valid message of it.
_NOISE = b"\0\1\0\0" + bytes(range(255, 195, -1))
_UNREADABLE = {
    "an image": ("/image", _NOISE),
    "no bytes": ("/faces", b""),
    "faces of no camera": ("/faces", serialize_message(msg.FaceArray())),
    "noise": ("/gaze", _NOISE),
}


@pytest.mark.parametrize("name", _UNREADABLE)
def test_an_invalid_message_costs_only_itself(name: str) -> None:
    refused: list[str] = []
    graph = GraphState(node_stub(refused), "/image")
    graph._topics.kinds["/image"] = Image
    header = Header(stamp=messages.time(5.0))
    for topic, message in (
        ("/faces", result_kinds.FACES.write(Result(header, [face("face_1")], CAMERA))),
        ("/gaze", msg.GazeArray(header=header)),
        ("/image", Image(header=header, width=3)),
    ):
        data = serialize_message(message)
        bad, noise = _UNREADABLE[name]
        graph._keep(topic, data[:12] + noise[12:] if topic == bad else data)
    found = graph.snapshot()
    assert (graph.read_image(found.image) is None) == (name == "an image")
    assert "faces" in found.results or _UNREADABLE[name][0] == "/faces"
    assert len(refused) == 1
    assert len(refused[0]) < 400


def test_a_status_that_cannot_be_read_leaves_the_last_one() -> None:
    graph = GraphState(node_stub(), "/image")
    graph._keep("/session/status", serialize_message(msg.SessionStatus(folder="/today")))
    for topic in ("/session/status", "/diagnostics"):
        with pytest.raises(InputError, match="a message is not a"):  # the driver logs it
            graph._keep(topic, _NOISE)
    assert graph.session[0].folder == "/today"


@pytest.mark.parametrize("topic", ["/faces", "/image", "/session/status"])
def test_a_topic_of_another_type_is_left_out(topic: str) -> None:
    graph = GraphState(node_stub(), "/image")
    with pytest.raises(LookupError, match=r"its type is std_msgs/msg/String, not .*: remap it"):
        graph._check(topic, SimpleNamespace(topic_type="std_msgs/msg/String"))


def test_who_is_silent_is_not_shown_as_well() -> None:
    status = SimpleNamespace(values=[], message="active", level=b"\0")
    rows = shown_values.nodes({"a": (status, 1.0), "b": (status, 19.0)}, now=20.0)
    assert [(row["text"], row["level"]) for row in rows] == [("silent for 19 s", 2), ("active", 0)]
    recording = msg.SessionStatus(recording=True, folder="/s/today")
    assert "silent" not in shown_values.session(recording, 0.6)
    assert "but the session node is silent for 9 s" in shown_values.session(recording, 9.0)
    assert "silent" not in shown_values.session(msg.SessionStatus(), 9.0)  # which is latched


def test_a_calibration_can_start_after_the_gaze_node_was_started_again() -> None:
    commands = Commands.__new__(Commands)
    commands._goal, commands.hint = object(), "50 %"
    commands._calibration = SimpleNamespace(server_is_ready=lambda: False)
    answers: list[Any] = []
    commands._cancel(Command("cancel", {}, lambda *answer: answers.append(answer)))
    assert answers == [(False, "there is no gaze/calibrate: start the gaze node")]
    assert (commands._goal, commands.hint) == (None, "")
    commands._goal = object()
    commands._canceled(Command("cancel", {}, lambda *_: None), SimpleNamespace(goals_canceling=[]))
    assert commands._goal is None


def test_every_command_is_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> None:
        raise UnicodeEncodeError("utf-8", "x", 0, 1, "no")

    commands = Commands.__new__(Commands)
    monkeypatch.setattr(Commands, "_call", broken)
    commands._node, commands._waiting = node_stub(), queue.SimpleQueue()
    answers: list[str] = []
    for _ in range(40):
        commands.put(Command("stop", {}, lambda success, text: answers.append(text)))
    commands.work()
    assert len(answers) == 40
    assert sum("too many commands at once" in text for text in answers) == 8
