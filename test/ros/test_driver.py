"""The lifecycle driver, tested with a real camera node process and its services."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState
from node_processes import NodeProcess, Peer
from rcl_interfaces.msg import Parameter, ParameterType, ParameterValue
from rcl_interfaces.srv import DescribeParameters, SetParametersAtomically
from segments import locks_of, segment_of
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from waits import scaled

from face_perception.exit_codes import EXIT_USAGE
from face_perception.media import image_from_message
from face_perception.ros import driver

Start = Callable[..., NodeProcess]


def state(peer: Peer) -> str:
    return peer.call(GetState, "/camera/get_state", GetState.Request()).current_state.label


def change(peer: Peer, transition: int) -> bool:
    request = ChangeState.Request(transition=Transition(id=transition))
    return peer.call(ChangeState, "/camera/change_state", request).success


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "picture.png"
    y, x = np.mgrid[0:48, 0:64]
    cv2.imwrite(str(path), np.stack([x, y, x + y], -1).astype(np.uint8))
    return path


def test_starts_by_itself_and_publishes(start: Start, peer: Peer, picture: Path) -> None:
    node = start("camera", source=str(picture), rate=50, frame_id="head_camera")
    raw = peer.listen(Image, "image")
    compressed = peer.listen(CompressedImage, "image/compressed")
    peer.until(lambda: len(raw) >= 3 and compressed)
    want = cv2.cvtColor(cv2.imread(str(picture)), cv2.COLOR_BGR2RGB)
    assert np.array_equal(image_from_message(raw[-1]), want)
    assert raw[-1].header.frame_id == "head_camera"
    stamps = [m.header.stamp.sec + m.header.stamp.nanosec * 1e-9 for m in raw]
    assert stamps == sorted(set(stamps))
    assert node.interrupt() == 0
    assert "Traceback" not in node.log


def test_ctrl_c_in_a_finaliser_is_no_traceback(domain: int) -> None:
    """Python could not raise KeyboardInterrupt there, only report it. Futures of rclpy have a
    finalizer.
    """
    program = """
import os, signal, sys
from face_perception.ros import driver, node_process
class Finalised:
    def __init__(self, work):
        self.work = work
    def __del__(self):
        self.work()
class Node(driver.PerceptionNode):
    def __init__(self, **kwargs):
        super().__init__("node", Nothing, **kwargs)
        self.create_timer(0.1, self.end)
    def end(self):
        Finalised(lambda: 1 / 0)
        Finalised(lambda: (os.kill(os.getpid(), signal.SIGINT), [None for _ in range(100_000)]))
import dataclasses
Nothing = dataclasses.make_dataclass("Nothing", [], frozen=True)
raise SystemExit(node_process.run("node", [node_process.NodeStart(Node)]))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=scaled(60)
    )
    assert done.returncode == 0, done.stderr
    assert "KeyboardInterrupt" not in done.stderr
    assert "ZeroDivisionError" in done.stderr, "what else goes wrong there is reported"


def test_a_signal_ends_a_node_that_loads_a_network(domain: int) -> None:
    """Building an engine takes minutes, but `up` kills a node four seconds after SIGTERM."""
    program = """
import dataclasses, time
from face_perception.inference import NetworkSettings
from face_perception.ros import driver, network_loading, node_process
class Node(driver.PerceptionNode):
    def __init__(self, **kwargs):
        super().__init__("node", NetworkSettings, **kwargs)
    def setup(self):
        progress = network_loading.NetworkLoader(self).arguments()["progress"]
        print("loading", flush=True)
        for step in range(600):
            progress("network", "building engine", step / 600)
            time.sleep(0.1)
        raise AssertionError("nobody ended it")
raise SystemExit(node_process.run("node", [node_process.NodeStart(Node)]))
"""
    node = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert node.stdout is not None
    assert node.stdout.readline() == "loading\n"
    for _ in range(3):  # as a terminal and launch together do
        node.send_signal(signal.SIGTERM)
        time.sleep(0.05)
    _, said = node.communicate(timeout=scaled(20))
    assert node.returncode == 0, said
    assert "Traceback" not in said
    assert "cannot be configured" not in said


def test_an_outside_manager_drives_it(start: Start, peer: Peer, picture: Path) -> None:
    start("camera", source=str(picture), options={"autostart": False})
    raw = peer.listen(Image, "image")
    assert state(peer) == "unconfigured"
    assert not change(peer, Transition.TRANSITION_ACTIVATE), "not configured yet"
    assert state(peer) == "unconfigured", "an invalid request must not end the node"
    assert change(peer, Transition.TRANSITION_CONFIGURE)
    assert change(peer, Transition.TRANSITION_ACTIVATE)
    peer.until(lambda: raw)
    assert change(peer, Transition.TRANSITION_DEACTIVATE)
    peer.spin(0.3)
    count = len(raw)
    peer.spin(0.5)
    assert len(raw) == count, "an inactive node publishes nothing"
    assert change(peer, Transition.TRANSITION_ACTIVATE)
    peer.until(lambda: len(raw) > count)
    assert change(peer, Transition.TRANSITION_DEACTIVATE)
    assert change(peer, Transition.TRANSITION_CLEANUP)
    assert change(peer, Transition.TRANSITION_CONFIGURE), "whole again after a clean-up"
    assert change(peer, Transition.TRANSITION_CLEANUP)
    assert change(peer, Transition.TRANSITION_UNCONFIGURED_SHUTDOWN)


def test_recovers_when_what_was_missing_appears(
    start: Start, peer: Peer, picture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FACE_PERCEPTION_DELAY_FACTOR", "0.2")
    late = tmp_path / "late.png"
    begin = time.monotonic()
    node = start("camera", source=str(late))
    node.wait_for_log("there is no such file or device")
    diagnostics = peer.listen(DiagnosticArray, "/diagnostics")
    peer.until(lambda: diagnostics)
    assert diagnostics[-1].status[0].level == DiagnosticStatus.ERROR
    assert str(late) in diagnostics[-1].status[0].message
    peer.spin(1.0)  # it tries again every 0.4 s
    late.write_bytes(picture.read_bytes())
    raw = peer.listen(Image, "image")
    peer.until(lambda: raw)
    # Each try, every 0.4 s, fails. The failure is logged every 2 s.
    most = 1 + (time.monotonic() - begin) // 2
    assert 1 <= node.log.count("there is no such file") <= most


def test_a_long_set_up_does_not_delay_the_next_try_to_activate(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The wait grows with the time of a try, but the next one need not set up again."""
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(driver, "time", SimpleNamespace(monotonic=lambda: clock.now))
    node: Any = SimpleNamespace(_autostart=True, _next_try=0.0, _state="unconfigured")

    def take(seconds: float) -> None:
        clock.now += seconds
        node._state = "inactive"

    node.trigger_configure, node.trigger_activate = lambda: take(5.0), lambda: take(0.1)
    driver.PerceptionNode._start_by_itself(node)
    assert node._next_try == pytest.approx(5.1 + 1.0)


def test_a_device_may_be_a_number(start: Start) -> None:
    node = start("camera", source=63)
    node.wait_for_log("camera /dev/video63 cannot be opened")


def test_a_parameter_out_of_range_is_named_and_can_be_mended(
    start: Start, peer: Peer, picture: Path
) -> None:
    node = start("camera", source=str(picture), rate=1000.0)
    log = node.wait_for_log("rate: 1000.0 is not from 0.1 to 240")
    assert "ros2 param set /camera" in log
    assert state(peer) == "unconfigured"

    def set_rate(value: float) -> tuple[bool, str]:
        new = Parameter(
            name="rate",
            value=ParameterValue(type=ParameterType.PARAMETER_DOUBLE, double_value=value),
        )
        request = SetParametersAtomically.Request(parameters=[new])
        result = peer.call(
            SetParametersAtomically, "/camera/set_parameters_atomically", request
        ).result
        return result.successful, result.reason

    done, reason = set_rate(-1.0)
    assert not done
    assert "from 0.1 to 240" in reason
    assert set_rate(60.0)[0]
    raw = peer.listen(Image, "image")
    peer.until(lambda: raw)
    done, reason = set_rate(30.0)
    assert not done
    assert "read when the node is configured" in reason


def test_autostart_is_checked_and_set_only_at_the_start(
    start: Start, peer: Peer, picture: Path
) -> None:
    node = start("camera", source=str(picture), autostart="false")
    node.wait_for_log("cannot be configured: autostart: 'false' is not true or false")
    assert "no parameter autostart" not in node.log
    value = ParameterValue(type=ParameterType.PARAMETER_BOOL, bool_value=False)
    request = SetParametersAtomically.Request(parameters=[Parameter(name="autostart", value=value)])
    result = peer.call(SetParametersAtomically, "/camera/set_parameters_atomically", request).result
    assert not result.successful
    assert "read-only" in result.reason


def test_parameters_are_described(start: Start, peer: Peer, picture: Path) -> None:
    start("camera", source=str(picture))
    request = DescribeParameters.Request(names=["rate", "source"])
    rate, source = peer.call(DescribeParameters, "/camera/describe_parameters", request).descriptors
    assert (rate.floating_point_range[0].from_value, rate.floating_point_range[0].to_value) == (
        0.1,
        240.0,
    )
    assert "Read when the node is configured" in rate.description
    assert "sample" in source.description


def test_an_unknown_parameter_gets_a_suggestion(start: Start, picture: Path) -> None:
    node = start("camera", source=str(picture), raet=3.0)
    node.wait_for_log("there is no parameter raet: did you mean rate?")


def test_a_quality_of_service_of_another_type_is_named(start: Start, picture: Path) -> None:
    node = start("camera", source=str(picture), **{"qos_overrides./image.publisher.depth": "ten"})
    node.wait_for_log("cannot be configured: Trying to set parameter 'qos_overrides./image.publis")
    assert "Traceback" not in node.log


def test_a_parameter_file_that_ros_cannot_read_is_named(domain: int, tmp_path: Path) -> None:
    """`up` and the launch files check it before; `ros2 run` does not."""
    bad = tmp_path / "robot.yaml"
    bad.write_text("camera:\n\tros__parameters:\n")
    command = [sys.executable, "-m", "face_perception.nodes", "camera", "--ros-args"]
    done = subprocess.run(
        [*command, "--params-file", str(bad)], capture_output=True, text=True, timeout=scaled(60)
    )
    assert done.returncode == EXIT_USAGE
    assert "camera cannot start: " in done.stderr
    assert re.search(rf"params file: .*{re.escape(str(bad))}.* line ", done.stderr), done.stderr


def test_an_argument_that_ros_cannot_take_is_named(domain: int) -> None:
    command = [sys.executable, "-m", "face_perception.nodes", "camera", "--ros-args"]
    done = subprocess.run(
        [*command, "-p", b"source:=caf\xe9.jpg"],
        capture_output=True,
        text=True,
        timeout=scaled(60),
    )
    assert done.returncode == EXIT_USAGE
    assert "camera cannot start: an argument is not UTF-8 text" in done.stderr
    assert "Traceback" not in done.stderr


def test_logs_that_cannot_be_written_are_named(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For example of a system service without a home folder."""
    taken = tmp_path / "taken"
    taken.touch()
    monkeypatch.setenv("ROS_LOG_DIR", str(taken / "log"))
    node = start("camera")
    assert node.popen.wait(scaled(30)) == 1
    assert str(taken) in node.log
    assert "Set ROS_LOG_DIR to" in node.log


def test_nodes_run_without_log_files_in_a_home_that_cannot_be_written(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For example of a container with a read-only disk."""
    taken = tmp_path / "taken"
    taken.touch()
    monkeypatch.setenv("HOME", str(taken))
    for variable in ("ROS_LOG_DIR", "ROS_HOME"):
        monkeypatch.delenv(variable, raising=False)
    node = start("attention")
    node.wait_for_log("active")
    assert f"no log file is written, because {taken}/.ros/log cannot be written" in node.log


def test_nodes_run_without_log_files_where_no_home_is_set(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As services of systemd start."""
    for variable in ("HOME", "ROS_LOG_DIR", "ROS_HOME"):
        monkeypatch.delenv(variable, raising=False)
    node = start("attention")
    node.wait_for_log("active")
    assert "no log file is written, because HOME is not set: set ROS_LOG_DIR" in node.log


def test_camera_info_is_published_from_a_calibration(
    start: Start, peer: Peer, picture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calibration = tmp_path / "camera.yaml"
    calibration.write_text(
        "image_width: 64\nimage_height: 48\ncamera_name: test\n"
        "camera_matrix: {rows: 3, cols: 3, data: [80., 0, 32, 0, 81, 24, 0, 0, 1]}\n"
        "distortion_model: plumb_bob\n"
        "distortion_coefficients: {rows: 1, cols: 5, data: [0.1, 0, 0, 0, 0]}\n"
    )
    monkeypatch.setenv("HOME", str(tmp_path))
    start("camera", source=str(picture), camera_info_file="~/camera.yaml")
    raw = peer.listen(Image, "image")
    infos = peer.listen(CameraInfo, "camera_info")
    peer.until(lambda: infos and raw)
    assert infos[-1].k.tolist() == [80, 0, 32, 0, 81, 24, 0, 0, 1]
    assert list(infos[-1].d) == [0.1, 0, 0, 0, 0]
    peer.until(lambda: infos[-1].header.stamp in [m.header.stamp for m in raw])


def test_a_file_without_calibration_is_named(start: Start, picture: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_text("hello: world\n")
    node = start("camera", source=str(picture), camera_info_file=str(bad))
    node.wait_for_log(f"camera calibration {bad} cannot be read: 'camera_matrix' is missing")


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="no shared memory to look at")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_node_that_ends_leaves_nothing_in_shared_memory(
    start: Start, picture: Path, number: signal.Signals
) -> None:
    """Its Fast DDS segment has 35 MB, and stays if the process does not destroy its participant."""
    node = start("camera", source=str(picture))
    node.wait_for_log("active")
    locks = locks_of(node.popen.pid)
    files = locks | {segment_of(lock) for lock in locks}
    assert any(file.exists() for file in files - locks)
    node.popen.send_signal(number)
    assert node.popen.wait(scaled(20)) == 0
    assert not [file for file in files if file.exists()]
