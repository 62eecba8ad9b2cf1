"""README and docs agree with the code: topics, types, services, package data, code blocks.

Checks that need no ROS are in test_docs.py.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import wave
import xml.etree.ElementTree as ET
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import pytest
from diagnostic_msgs.msg import DiagnosticArray
from node_processes import NodeProcess, Peer
from sensor_msgs.msg import Image

from face_perception import cli, msg, paths
from face_perception.inference import sample_photo
from face_perception.ros import messages

ROOT = Path(__file__).parents[2]


def test_the_wheel_has_what_it_needs(tmp_path: Path) -> None:
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "-q"),
            *("-w", str(tmp_path), str(ROOT)),
        ],
        capture_output=True,
        text=True,
    )
    if "bdist_wheel" in done.stderr:
        pytest.skip("this environment's setuptools builds no wheels")
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    version = ET.parse(ROOT / "package.xml").findtext("version")
    assert f"-{version}-" in wheel.name
    names = zipfile.ZipFile(wheel).namelist()
    for path in (
        "face_perception/py.typed",
        "face_perception/config/fastdds.xml",
        "face_perception/config/face_tracker.yaml",
        "face_perception/resources/models/face_mesh.yaml",
        "face_perception/resources/avatar.html",
        "face_perception/resources/head.js",
        "face_perception/resources/head.glb",
        "face_perception/resources/speech/hello.wav",
        "face_perception/ros/driver.py",
    ):
        assert path in names
    assert not [n for n in names if n.startswith(("test", "bench"))]


def python_block(page: str, number: int) -> str:
    return str(re.findall(r"```python\n(.*?)```", (ROOT / "docs" / page).read_text(), re.S)[number])


def run_in(folder: Path, code: str, *arguments: str) -> str:
    (folder / "block.py").write_text(code)
    done = subprocess.run(
        [sys.executable, "block.py", *arguments], cwd=folder, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def paths_of(value: dict[str, Any], prefix: str = "") -> list[str]:
    """Returns every key of nested objects, as ``outer.inner``."""
    found = []
    for key, inner in value.items():
        found.append(prefix + key)
        if isinstance(inner, dict):
            found += paths_of(inner, f"{prefix}{key}.")
    return found


def test_the_offline_page_is_what_a_clip_gives(tmp_path: Path, own_models: Path) -> None:
    # One second, in a container that keeps the stamps of the frames.
    clip = cv2.VideoWriter(
        str(tmp_path / "clip.mp4"), cv2.VideoWriter.fourcc(*"mp4v"), 25, (512, 512)
    )
    picture = cv2.imread(str(sample_photo("astronaut")))
    for _ in range(10):
        clip.write(picture)
    clip.release()
    lines = tmp_path / "faces.jsonl"
    more = ["--landmarks", "--blendshapes"]
    assert cli.main(["run", str(tmp_path / "clip.mp4"), "--output", str(lines), *more]) == 0
    line = json.loads(lines.read_text().splitlines()[-1])
    page = (ROOT / "docs" / "offline.md").read_text()
    fields = page.split("<!-- fields -->")[1].split("<!-- end of fields -->")[0]
    of_line, of_face = fields.split("Each object in `faces`:")
    rows = [re.findall(r"^\| `([\w.]+)` \|", part, re.M) for part in (of_line, of_face)]
    face = line["faces"][0]
    # Objects whose keys are data and not fields.
    of_units = ("action_units", "action_unit_probability", "action_unit_confidence")
    for name in (*of_units, "expression", "blendshapes"):
        assert face.pop(name)
        face[name] = None
    assert sorted(rows[0]) == sorted(paths_of({**line, "faces": None}))
    assert sorted(rows[1]) == sorted(paths_of(face))
    assert "count" in run_in(tmp_path, python_block("offline.md", 0))
    assert "face_1" in run_in(tmp_path, python_block("offline.md", 1))


def test_the_data_set_on_the_training_page_measures_an_imported_model(
    tmp_path: Path, own_models: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("pyarrow")
    pytest.importorskip("torch")
    assert cli.main(["import", "geddnet", "--random", "1"]) == 0
    run_in(tmp_path, python_block("training.md", 0))
    capsys.readouterr()
    assert cli.main(["evaluate", "geddnet", "--data", str(tmp_path / "mine")]) == 0
    part, error, *_ = capsys.readouterr().out.splitlines()
    assert part == "part: all"
    assert re.fullmatch(r"error_deg: [\d.]+ \[.*\(n=12, 3 people\)", error)


def test_the_subscriber_on_the_robot_page_says_who_looks(
    peer: Peer, tmp_path: Path, domain: int
) -> None:
    (tmp_path / "who.py").write_text(python_block("robot.md", 0))
    publisher = peer.publisher(msg.AttentionArray, "/head/attention")
    with (tmp_path / "log").open("wb") as log:
        who = subprocess.Popen(
            [sys.executable, "who.py", "--ros-args", "-r", "__ns:=/head"], cwd=tmp_path, stderr=log
        )
    try:
        peer.until(lambda: publisher.get_subscription_count() > 0, why="for who.py")
        for attention in (
            [],
            [
                msg.Attention(face_id="face_7", looking_at_robot=True),
                msg.Attention(face_id="face_8"),
            ],
        ):
            publisher.publish(msg.AttentionArray(attention=attention))

        def said() -> list[str]:
            return re.findall(r"looks at the robot: (.*)", (tmp_path / "log").read_text())

        peer.until(lambda: len(said()) == 2)
        assert said() == ["nobody", "face_7"]
    finally:
        who.kill()
        who.wait()


def test_the_jaw_on_the_avatar_page_moves_with_a_face_that_draws_nothing(
    start: Callable[..., NodeProcess], peer: Peer, tmp_path: Path
) -> None:
    start("talking_face", audio_out="none", renderer="none")
    mouths = peer.listen(msg.Mouth, "avatar/mouth")
    sound = peer.listen(msg.Audio, "avatar/audio")
    pictures = peer.listen(Image, "avatar/image")
    reports = peer.listen(DiagnosticArray, "/diagnostics")
    (tmp_path / "jaw.py").write_text(python_block("avatar.md", 1))
    with (tmp_path / "log").open("wb") as log:
        jaw = subprocess.Popen([sys.executable, "-u", "jaw.py"], cwd=tmp_path, stdout=log)
    try:
        peer.until(lambda: "900 us" in (tmp_path / "log").read_text(), why="for a closed jaw")
        recording = paths.resource("resources/speech/hello.wav")
        # The queues of the peer hold a second of sound: it must spin while the example runs.
        with ThreadPoolExecutor(1) as pool:
            sender = pool.submit(run_in, tmp_path, python_block("avatar.md", 0), str(recording))
            peer.until(sender.done, why="for the sender to end")
            sender.result()
        peer.until(lambda: any(m.speaking for m in mouths), why="for speech")
        peer.until(lambda: not any(m.speaking for m in mouths[-9:]), why="for its end")
    finally:
        jaw.kill()
        jaw.wait()
    lines = (tmp_path / "log").read_text().splitlines()
    moved = [float(line.split()[0]) for line in lines if line.endswith(" us")]
    rows = {len(line) for line in lines if set(line) == {"#"}}
    assert moved[0] == moved[-1] == 900
    assert 1200 < max(moved) <= 1500
    assert len(rows) >= 3, "the row of LEDs has more states than on and off"
    # Each mouth has the stamp of its sound: they begin and end together.
    spoken = [messages.seconds(m.header.stamp) for m in mouths if m.opening > 0.05]
    heard = [messages.seconds(m.header.stamp) for m in sound]
    assert heard[0] - 0.1 < spoken[0]
    assert spoken[-1] < heard[-1] + 0.1
    assert not pictures
    said = {status.message for array in reports for status in array.status}
    assert any("avatar/image has subscribers, but renderer none" in text for text in said)


def test_the_sender_on_the_avatar_page_says_a_recording(peer: Peer, tmp_path: Path) -> None:
    heard = peer.listen(msg.Audio, "speech")
    recording = paths.resource("resources/speech/hello.wav")
    run_in(tmp_path, python_block("avatar.md", 0), str(recording))
    peer.until(lambda: len(heard) == 2)
    with wave.open(str(recording)) as file:
        assert heard[0].sample_rate == file.getframerate()
        assert heard[0].samples.tobytes() == file.readframes(file.getnframes())
    assert not heard[1].samples
