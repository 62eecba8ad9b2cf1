"""The camera node: plays films once or in a loop, and survives what happens to their files."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from node_processes import NodeProcess, Peer
from sensor_msgs.msg import Image

from face_perception.media import image_from_message

Start = Callable[..., NodeProcess]
av = pytest.importorskip("av")


def film(path: Path, count: int = 5, height: int = 48) -> Path:
    """Writes a film at 20 Hz, whose frames get brighter by 5."""
    with av.open(str(path), "w", format="mp4") as out:
        stream = out.add_stream("mpeg4", rate=20)
        stream.width, stream.height, stream.bit_rate = 64, height, 1_000_000
        for number in range(count):
            pixels = np.full((height, 64, 3), 20 + 5 * number, np.uint8)
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.time_base, frame.pts = Fraction(1, 20), number
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


def numbers(messages: list[Image]) -> list[int]:
    return [round((image_from_message(m).mean() - 20) / 5) for m in messages]


def change(peer: Peer, transition: int) -> None:
    request = ChangeState.Request(transition=Transition(id=transition))
    assert peer.call(ChangeState, "/camera/change_state", request).success


def test_a_film_that_is_not_looped_ends_and_starts_again(
    start: Start, peer: Peer, tmp_path: Path
) -> None:
    node = start(
        "camera", source=str(film(tmp_path / "a.mp4", 40)), loop=False, options={"autostart": False}
    )
    raw = peer.listen(Image, "image")
    diagnostics = peer.listen(DiagnosticArray, "/diagnostics")
    change(peer, Transition.TRANSITION_CONFIGURE)
    peer.until(lambda: peer.node.count_publishers("image") == 1)
    for _ in range(2):  # once more after it was deactivated
        raw.clear()
        change(peer, Transition.TRANSITION_ACTIVATE)
        peer.until(lambda: raw and numbers(raw)[-1] == 39)
        peer.spin(0.5)
        seen = numbers(raw)
        # The first images may be sent before the peer is discovered.
        assert seen == list(range(40 - len(seen), 40))
        assert len(seen) > 5
        diagnostics.clear()
        peer.until(lambda: diagnostics)
        status = diagnostics[-1].status[0]
        assert status.level == DiagnosticStatus.OK
        assert {v.key: v.value for v in status.values}["ended"] == "true"
        change(peer, Transition.TRANSITION_DEACTIVATE)
    assert node.log.count("a.mp4 has ended") == 2


# What happens to a film that is shown again and again, and what the node says about it.
_SPOILED: tuple[tuple[Callable[[Path], object], str], ...] = (
    (lambda path: path.unlink(), "there is no such file"),
    (lambda path: path.write_bytes(b""), "is empty"),
    (lambda path: path.write_bytes(path.read_bytes()[:400]), "is cut off"),
    (lambda path: path.write_bytes(b"<html>moved</html>"), "is a web page"),
)


def test_a_looped_film_whose_file_is_bad_for_a_while(
    start: Start, peer: Peer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FACE_PERCEPTION_DELAY_FACTOR", "0.2")
    path = film(tmp_path / "a.mp4")
    node = start("camera", source=str(path))
    raw = peer.listen(Image, "image")
    diagnostics = peer.listen(DiagnosticArray, "/diagnostics")
    peer.until(lambda: raw)
    for number, (spoil, reason) in enumerate(_SPOILED):
        spoil(path)
        peer.until(lambda r=reason: diagnostics and r in diagnostics[-1].status[0].message)
        assert diagnostics[-1].status[0].level == DiagnosticStatus.WARN
        height = 32 + 16 * (number % 2)
        film(tmp_path / "new.mp4", height=height).rename(path)
        peer.until(lambda h=height: raw[-1].height == h, why="for the new film")
        peer.until(lambda: diagnostics[-1].status[0].level == DiagnosticStatus.OK)
    assert "has ended" not in node.log
    assert "Traceback" not in node.log
