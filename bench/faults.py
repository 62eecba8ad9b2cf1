"""Breaks a running graph in many ways, and says what happens and how soon it works again.

    python3 bench/faults.py [--list] [--only NAME ...]

Each fault is a row: outcome, and seconds from the fault until results flow as before. Starts
`face-perception up` in a separate ROS domain. Some rows need root (they mount a small file
system) and are skipped without. The exit code is 1 if a row failed. Times depend on what else the
machine does; the load is printed.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import wave
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

os.environ.setdefault("ROS_DOMAIN_ID", "102")
os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")

import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CompressedImage, Image

from bench.fault_requests import Caller, any_transitions, set_every_parameter
from face_perception import msg, paths
from face_perception.inference import sample_photo
from face_perception.media import SampleScene, read_picture
from face_perception.media.sample_scene import PHOTOS
from face_perception.ros import images, messages

CLI = [sys.executable, "-c", "from face_perception.cli import main; raise SystemExit(main())"]
TOPICS: dict[str, type[Any]] = {
    "faces": msg.FaceArray,
    "gaze": msg.GazeArray,
    "attention": msg.AttentionArray,
}
NODES = "face_tracker,gaze,attention"
# The other nodes that need neither an imported network nor a device; one graph runs all of them.
OTHERS = ("affect", "overlay", "people", "microphone", "voice_activity", "talking_face", "voice")
OTHERS += ("session", "dashboard")
LONGEST = 60.0  # seconds until a row counts as failed


class Failed(Exception):
    """The graph did not come back, or did something worse."""


class Skipped(Exception):
    """The fault cannot be made on this machine."""


class Listener:
    """Counts results and keeps the diagnostics of a graph."""

    def __init__(self) -> None:
        rclpy.init()
        self.node = Node("fault_listener")
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self.node)
        self.counts = dict.fromkeys(TOPICS, 0)
        self.health: dict[str, str] = {}
        for topic, kind in TOPICS.items():
            self.node.create_subscription(kind, topic, self._counting(topic), 10)
        self.node.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, 50)

    def _counting(self, topic: str) -> Callable[[Any], None]:
        def received(_: Any) -> None:
            self.counts[topic] += 1

        return received

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            self.health[status.name] = status.message

    def spin(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self._executor.spin_once(timeout_sec=left)

    def until(self, condition: Callable[[], bool], what: str, longest: float = LONGEST) -> float:
        """Spins until the condition holds; returns the seconds. Raises Failed after ``longest``."""
        begin = time.monotonic()
        while not condition():
            if time.monotonic() - begin > longest:
                raise Failed(f"{what}: not within {longest:.0f} s")
            self._executor.spin_once(timeout_sec=0.02)
        return time.monotonic() - begin

    def until_results(self, topics: tuple[str, ...] = tuple(TOPICS)) -> float:
        """Spins until each topic has brought five new messages; returns the seconds."""
        before = dict(self.counts)
        return self.until(lambda: all(self.counts[t] >= before[t] + 5 for t in topics), "results")


class Graph:
    """`face-perception up`, its log, and the process ids of its nodes.

    ``environment``: variables to set; those that are None are removed.
    """

    def __init__(self, folder: Path, *arguments: str, **environment: str | None) -> None:
        self.log_file = folder / f"up_{time.monotonic_ns()}.log"
        variables = {**os.environ, **environment}
        with self.log_file.open("wb") as stream:
            self.popen = subprocess.Popen(
                [*CLI, "up", *arguments],
                stdout=stream,
                stderr=stream,
                env={name: value for name, value in variables.items() if value is not None},
                cwd=folder,
            )

    def starts(self, node: str) -> int:
        """Returns how often a node has become active."""
        return self.log.count(f"[{node}]: active")

    @property
    def log(self) -> str:
        return self.log_file.read_text(errors="replace")

    def pids(self) -> dict[str, int]:
        found = {}
        with contextlib.suppress(OSError):
            children = Path(f"/proc/{self.popen.pid}/task/{self.popen.pid}/children").read_text()
            for pid in children.split():
                words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
                if b"face_perception.nodes" in words:
                    found[words[words.index(b"face_perception.nodes") + 1].decode()] = int(pid)
        return found

    def end(self) -> None:
        if self.popen.poll() is None:
            self.popen.send_signal(signal.SIGINT)
            try:
                self.popen.wait(15)
            except subprocess.TimeoutExpired:
                self.popen.kill()
                self.popen.wait()


@dataclass
class Bench:
    """What the faults share: a listener, a folder, and one graph that most of them break."""

    folder: Path
    listener: Listener
    _graph: Graph | None = field(default=None)

    @property
    def graph(self) -> Graph:
        if self._graph is None or self._graph.popen.poll() is not None:
            self._graph = Graph(self.folder, "--camera", "sample", "--nodes", NODES)
            self.listener.until_results()
        return self._graph

    @contextlib.contextmanager
    def own_graph(self, *arguments: str, **environment: str | None) -> Iterator[Graph]:
        """A graph for one fault alone."""
        self.end()
        self.listener.spin(1.0)  # what the last graph has sent does not count
        graph = Graph(self.folder, *arguments, **environment)
        try:
            yield graph
        finally:
            graph.end()

    def end(self) -> None:
        if self._graph is not None:
            self._graph.end()
            self._graph = None

    def replaced(self, victim: str, pid: int) -> float:
        """Waits until a node has another process and results flow; returns the seconds."""
        begin = time.monotonic()
        graph = self.graph
        self.listener.until(lambda: graph.pids().get(victim, pid) != pid, f"a new {victim}")
        self.listener.until_results()
        return time.monotonic() - begin


def peak_memory(pid: int) -> float:
    """Returns the highest resident memory of a process so far, MB."""
    found = re.search(r"VmHWM:\s*(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return int(found[1]) / 1024 if found else 0.0


def sample_image() -> Any:
    photos = {name: read_picture(sample_photo(name)) for name in PHOTOS}
    return SampleScene(photos, 640, 480).render(14.0)


# The faults. Each returns the outcome in words, and the seconds until all was well.


def kill(bench: Bench, victim: str) -> tuple[str, float]:
    pid = bench.graph.pids()[victim]
    bench.listener.spin(5.5)  # a node that ends sooner is restarted more slowly
    os.kill(pid, signal.SIGKILL)
    return "started again", bench.replaced(victim, pid)


def stop(bench: Bench, victim: str) -> tuple[str, float]:
    pid = bench.graph.pids()[victim]
    os.kill(pid, signal.SIGSTOP)
    seconds = bench.replaced(victim, pid)
    if "no heartbeat" not in bench.graph.log:
        raise Failed("replaced for another reason")
    return "missed by its heartbeats, killed, started again", seconds


@contextlib.contextmanager
def graph_of_all(bench: Bench) -> Iterator[Graph]:
    """A graph of ``NODES`` and ``OTHERS``, in which all of them have become active."""
    file, sound = bench.folder / "others.yaml", bench.folder / "sound.wav"
    with wave.open(str(sound), "wb") as wav:
        wav.setnchannels(1)
        wav.setsampwidth(2)
        wav.setframerate(16_000)
        wav.writeframes(bytes(32_000))
    file.write_text(
        f"/**/microphone: {{ros__parameters: {{source: {sound}}}}}\n"
        "/**/talking_face: {ros__parameters: {audio_out: none}}\n"
        "/**/dashboard: {ros__parameters: {web_port: 0}}\n"
        f"/**/session: {{ros__parameters: {{folder: {bench.folder / 'sessions'}}}}}\n"
        f"/**/people: {{ros__parameters: {{folder: {bench.folder / 'enrolled'}}}}}\n"
    )
    nodes = ",".join((NODES, *OTHERS))
    arguments = ("--camera", "sample", "--nodes", nodes, "--params-file", str(file))
    with bench.own_graph(*arguments) as graph:
        started = "the start of all nodes"
        bench.listener.until(lambda: all(map(graph.starts, OTHERS)), started, 5 * LONGEST)
        yield graph


def break_each(bench: Bench, how: signal.Signals) -> tuple[str, float]:
    """Sends a signal to each of ``OTHERS`` in turn, in one graph."""
    found = {}
    with graph_of_all(bench) as graph:
        bench.listener.spin(5.5)  # a node that ends sooner is restarted more slowly
        for name in OTHERS:
            before = {other: graph.starts(other) for other in OTHERS}
            begin = time.monotonic()
            os.kill(graph.pids()[name], how)
            bench.listener.until(lambda n=name, b=before: graph.starts(n) > b[n], f"a new {name}")
            found[name] = time.monotonic() - begin, cpu_seconds(graph.pids()[name])
            more = [o for o in OTHERS if o != name and graph.starts(o) > before[o]]
            if more:
                raise Failed(f"{', '.join(more)} started again, too, after {name}")
        bench.listener.until_results()
        if "Traceback" in graph.log:
            raise Failed("a traceback in the log")
    text = ", ".join(f"{name} {s:.1f} ({cpu:.1f})" for name, (s, cpu) in found.items())
    return f"seconds (of CPU for the start): {text}", max(s for s, _ in found.values())


def ask(bench: Bench, requests: Callable[..., tuple[int, list[str]]]) -> tuple[str, float]:
    """Sends requests to all nodes of a graph, which must answer, and go on as before."""
    with graph_of_all(bench) as graph:
        pids = graph.pids()
        caller = Caller(bench.listener.node, bench.listener.spin)
        count, wrong = requests(caller, (*NODES.split(","), *OTHERS))
        seconds = bench.listener.until_results()
        ended = [name for name, pid in graph.pids().items() if pids.get(name) != pid]
        wrong += [f"{name} ended" for name in ended]
        wrong += ["a traceback in the log"] if "Traceback" in graph.log else []
        if wrong:
            raise Failed(f"{len(wrong)} of {count}: " + "; ".join(wrong[:40]))
    return f"{count} requests were answered, with a reason where they were refused", seconds


def cpu_seconds(pid: int) -> float:
    """Returns the CPU time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def two_graphs(bench: Bench) -> tuple[str, float]:
    """Runs a second graph in a namespace of the same domain."""
    first = bench.graph
    pids = first.pids()
    counts: dict[str, int] = dict.fromkeys(TOPICS, 0)

    def counting(topic: str) -> Callable[[Any], None]:
        def received(_: Any) -> None:
            counts[topic] += 1

        return received

    subscriptions = [
        bench.listener.node.create_subscription(kind, f"other/{topic}", counting(topic), 10)
        for topic, kind in TOPICS.items()
    ]
    arguments = ("--camera", "sample", "--nodes", NODES, "--namespace", "other")
    second = Graph(bench.folder, *arguments)
    try:
        begin = time.monotonic()
        bench.listener.until(lambda: min(counts.values()) >= 5, "results of the second graph")
        bench.listener.until_results()
        seconds = time.monotonic() - begin
    finally:
        second.end()
        for subscription in subscriptions:
            bench.listener.node.destroy_subscription(subscription)
    bench.listener.until_results()
    if first.pids() != pids:
        raise Failed("nodes of the first graph were started again")
    if "stop one" in first.log + second.log:
        raise Failed("a node takes the other graph for a second publisher")
    return "both have results of their own, and the first goes on alone", seconds


def read_only_home(bench: Bench) -> tuple[str, float]:
    models = str(paths.models_dir())
    with small_disk(1) as home:
        subprocess.run(["mount", "-o", "remount,ro", str(home)], check=True)
        with bench.own_graph(
            *("--camera", "sample", "--nodes", NODES),
            HOME=str(home),
            FACE_PERCEPTION_MODELS=models,
            **dict.fromkeys(("XDG_CACHE_HOME", "XDG_DATA_HOME", "ROS_LOG_DIR", "ROS_HOME")),
        ) as graph:
            seconds = bench.listener.until_results()
            if "Traceback" in graph.log:
                raise Failed("a traceback in the log")
    return "results flow", seconds


def deaf(bench: Bench) -> tuple[str, float]:
    pid = bench.graph.pids()["gaze"]
    tasks = Path(f"/proc/{pid}/task").iterdir()
    names = "".join((task / "comm").read_text() for task in tasks)
    ports = [int(port) for port in re.findall(r"dds\.shm\.(\d+)", names)]
    if not ports:
        raise Skipped("Fast DDS uses no shared memory here")
    Path(f"/dev/shm/fastdds_port{max(ports)}").unlink()
    return "noticed by its watchdog, started again", bench.replaced("gaze", pid)


def end_with_stopped_node(bench: Bench) -> tuple[str, float]:
    with bench.own_graph("--camera", "sample", "--nodes", NODES) as graph:
        bench.listener.until_results()
        pids = graph.pids()
        os.kill(pids["gaze"], signal.SIGSTOP)
        begin = time.monotonic()
        graph.popen.terminate()
        bench.listener.until(lambda: graph.popen.poll() is not None, "the end of up")
        seconds = time.monotonic() - begin
        left = [pid for pid in pids.values() if Path(f"/proc/{pid}/exe").exists()]
        if left:
            raise Failed(f"{len(left)} processes are left")
        return "all processes ended, the stopped one by SIGKILL", seconds


def second_graph(bench: Bench) -> tuple[str, float]:
    bench.graph  # noqa: B018 - it must run
    begin = time.monotonic()
    second = Graph(bench.folder, "--nodes", NODES)
    bench.listener.until(lambda: second.popen.poll() is not None, "the end of the second up")
    if second.popen.returncode != 1 or "already run in ROS domain" not in second.log:
        raise Failed(f"the second graph was not refused: {second.log[-300:]}")
    seconds = time.monotonic() - begin
    bench.listener.until_results()
    return "refused before it started a node; the first went on", seconds


def wrong_names(bench: Bench) -> tuple[str, float]:
    file = bench.folder / "wrong.yaml"
    file.write_text("/**/gaze:\n  ros__parameters:\n    robot_pont: [0.0, 1, 2]\n")
    begin = time.monotonic()
    for arguments in (
        ("--namespace", "head//cam"),
        ("--image", "camera-1/image_raw"),
        ("--params-file", str(file)),
    ):
        graph = Graph(bench.folder, "--nodes", NODES, *arguments)
        bench.listener.until(lambda g=graph: g.popen.poll() is not None, "a refusal")
        if graph.popen.returncode != 1 or "active" in graph.log:
            raise Failed(f"{' '.join(arguments)}: {graph.log[-300:]}")
    return "three graphs refused in one line each", (time.monotonic() - begin) / 3


def model_is_pipe(bench: Bench) -> tuple[str, float]:
    models = bench.folder / "models"
    shutil.copytree(paths.models_dir(), models)
    (model,) = models.rglob("face_mesh.onnx")
    kept = model.rename(model.with_suffix(".kept"))
    os.mkfifo(model)
    with bench.own_graph(
        *("--camera", "sample", "--nodes", "face_tracker"), FACE_PERCEPTION_MODELS=str(models)
    ) as graph:
        bench.listener.until(lambda: "face_mesh" in graph.log, "a word about the model")
        refused = "named pipe" in graph.log
        model.unlink()
        kept.rename(model)
        seconds = bench.listener.until_results(("faces",))
    shutil.rmtree(models)
    if not refused:
        raise Failed("it was not refused as a named pipe")
    return "refused by name; after the file was put back", seconds


def bomb(bench: Bench) -> tuple[str, float]:
    with bench.own_graph("--nodes", "face_tracker", "--compressed") as graph:
        publisher = bench.listener.node.create_publisher(CompressedImage, "image/compressed", 1)
        good = images.to_compressed(sample_image())
        show(bench, publisher, good)
        pid = graph.pids()["face_tracker"]
        before = peak_memory(pid)
        bad = CompressedImage(format="png")
        bad.data.frombytes(png_bomb(32768))
        publisher.publish(bad)
        begin = time.monotonic()
        show(bench, publisher, good)
        seconds = time.monotonic() - begin
        bench.listener.node.destroy_publisher(publisher)
        if graph.pids().get("face_tracker") != pid:
            raise Failed(f"silent for {seconds:.0f} s: the process was replaced")
        grown = peak_memory(pid) - before
        if seconds > 10 or grown > 500:
            raise Failed(f"silent for {seconds:.0f} s, {grown:.0f} MB more")
        return f"refused; {grown:.0f} MB more", seconds


def png_bomb(side: int) -> bytes:
    """Returns a PNG of side x side black pixels of one bit, which is small in the file."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        body = kind + data
        return len(data).to_bytes(4, "big") + body + zlib.crc32(body).to_bytes(4, "big")

    head = side.to_bytes(4, "big") * 2 + bytes([1, 0, 0, 0, 0])
    pixels = zlib.compress(bytes((side // 8 + 1) * side), 9)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    )


def show(bench: Bench, publisher: Any, message: Any) -> None:
    """Publishes a message again and again, until faces come."""
    before = bench.listener.counts["faces"]
    begin = time.monotonic()
    while bench.listener.counts["faces"] < before + 5:
        if time.monotonic() - begin > LONGEST:
            raise Failed("no faces")
        message.header.stamp = messages.time(time.time())
        publisher.publish(message)
        bench.listener.spin(0.05)


def flood(bench: Bench) -> tuple[str, float]:
    with bench.own_graph("--nodes", "face_tracker") as graph:
        publisher = bench.listener.node.create_publisher(Image, "image", 1)
        message = images.from_array(sample_image())
        show(bench, publisher, message)
        pid = graph.pids()["face_tracker"]
        before = peak_memory(pid)
        for _ in range(1000):
            message.header.stamp = messages.time(time.time())
            with contextlib.suppress(Exception):  # a reader that does not keep up
                publisher.publish(message)
            bench.listener.spin(0.005)
        begin = time.monotonic()
        show(bench, publisher, message)
        seconds = time.monotonic() - begin
        bench.listener.node.destroy_publisher(publisher)
        if graph.pids()["face_tracker"] != pid:
            raise Failed("the process ended")
        grown = peak_memory(pid) - before
        return f"1000 images at up to 200 Hz; {grown:.0f} MB more", seconds


def clock_steps(bench: Bench) -> tuple[str, float]:
    with bench.own_graph("--nodes", NODES, "--use-sim-time") as graph:
        clocks = bench.listener.node.create_publisher(Clock, "/clock", 10)
        publisher = bench.listener.node.create_publisher(Image, "image", 1)
        message = images.from_array(sample_image())
        worst = 0.0
        for start in (1000.0, 500.0, 1e6, 0.1):
            before = dict(bench.listener.counts)
            begin, now = time.monotonic(), start
            while any(bench.listener.counts[t] < before[t] + 5 for t in TOPICS):
                if time.monotonic() - begin > LONGEST:
                    raise Failed(f"no results after a step to {start} s")
                now += 0.05
                clocks.publish(Clock(clock=messages.time(now)))
                message.header.stamp = messages.time(now)
                publisher.publish(message)
                bench.listener.spin(0.05)
            if start != 1000.0:  # the first includes the start of the graph
                worst = max(worst, time.monotonic() - begin)
        bench.listener.node.destroy_publisher(publisher)
        bench.listener.node.destroy_publisher(clocks)
        if "Traceback" in graph.log:
            raise Failed("a traceback in the log")
        return "steps of -500 s, +10^6 s and to 0; the worst", worst


@contextlib.contextmanager
def small_disk(megabytes: int) -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="face_perception_disk_"))
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)],
        capture_output=True,
        check=False,
    )
    if done.returncode:
        folder.rmdir()
        raise Skipped("mounting a small file system needs root")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=False)
        folder.rmdir()


def full_disk(bench: Bench) -> tuple[str, float]:
    with small_disk(1) as disk:
        (disk / "full").write_bytes(bytes((1 << 20) - 16384))
        with contextlib.suppress(OSError), (disk / "rest").open("wb") as file:
            while True:
                file.write(bytes(4096))
        with bench.own_graph(
            *("--camera", "sample", "--nodes", NODES),
            ROS_LOG_DIR=str(disk),
            XDG_CACHE_HOME=str(disk),
        ) as graph:
            seconds = bench.listener.until_results()
            if "Traceback" in graph.log:
                raise Failed("a traceback in the log")
    return "logs and cache on a full disk: results flow", seconds


# What makes a /dev/shm in a separate mount namespace, by what it is.
SHARED_MEMORY = {
    "2 GB": "mount -t tmpfs -o size=2g tmpfs /dev/shm",
    "64 MB": "mount -t tmpfs -o size=64m tmpfs /dev/shm",
    "read-only": "mount -t tmpfs -o ro tmpfs /dev/shm",
    "none": "old=$(mktemp -d) && mount --rbind /dev $old && mount -t tmpfs tmpfs /dev && "
    "for f in null zero full random urandom tty; do touch /dev/$f; "
    "mount --bind $old/$f /dev/$f || exit 9; done; ln -s /proc/self/fd /dev/fd",
}


def shared_memory(bench: Bench, kind: str) -> tuple[str, float]:
    """Counts faces with an odd /dev/shm, and with one of 2 GB, in turns."""
    bench.end()
    counts = {}
    for name in ("2 GB", kind):
        program = f'{{ {SHARED_MEMORY[name]}; }} || exit 9; exec "$0" "{__file__}" --count-faces'
        done = subprocess.run(
            ["unshare", "-m", "bash", "-c", program, sys.executable],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode == 9 or "unshare" in done.stderr:
            raise Skipped("mounting another /dev/shm needs root")
        found = re.search(r"counted (\d+)", done.stdout)
        if found is None:
            raise Failed(f"{name}: {done.stderr[-300:]}")
        counts[name] = int(found[1])
    text = f"{counts[kind]} faces, {counts['2 GB']} with 2 GB in 20 s"
    if counts[kind] < 0.6 * counts["2 GB"]:
        raise Failed(text)
    return text, float("nan")


def count_faces() -> int:
    """Counts faces for ``shared_memory``, which runs it in a separate mount namespace."""
    listener = Listener()
    with tempfile.TemporaryDirectory() as folder:
        graph = Graph(Path(folder), "--camera", "sample", "--nodes", f"{NODES},affect,overlay")
        listener.until_results()
        before = listener.counts["faces"]
        listener.spin(20.0)
        print("counted", listener.counts["faces"] - before)
        graph.end()
    return 0


FAULTS: dict[str, Callable[[Bench], tuple[str, float]]] = {
    **{f"kill -9 {name}": lambda b, n=name: kill(b, n) for name in ("camera", *NODES.split(","))},
    **{f"SIGSTOP {name}": lambda b, n=name: stop(b, n) for name in ("camera", *NODES.split(","))},
    "kill -9 of each other node": lambda b: break_each(b, signal.SIGKILL),
    "SIGSTOP of each other node": lambda b: break_each(b, signal.SIGSTOP),
    "parameters at and beyond their limits": lambda b: ask(b, set_every_parameter),
    "transitions in any order": lambda b: ask(b, lambda c, nodes: any_transitions(c, nodes, 30)),
    "deaf: its shared memory removed": deaf,
    "second graph in the domain": second_graph,
    "two graphs in namespaces": two_graphs,
    "wrong names and parameters": wrong_names,
    "SIGTERM with a stopped node": end_with_stopped_node,
    "a named pipe as model": model_is_pipe,
    "a PNG of 32768 x 32768": bomb,
    "flood of images": flood,
    "steps of the clock": clock_steps,
    "full disk": full_disk,
    "read-only HOME": read_only_home,
    "/dev/shm of 64 MB": lambda b: shared_memory(b, "64 MB"),
    "/dev/shm read-only": lambda b: shared_memory(b, "read-only"),
    "no /dev/shm": lambda b: shared_memory(b, "none"),
}


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--list", action="store_true", help="print the names of the faults")
    parser.add_argument(
        "--only", action="append", default=[], metavar="NAME", help="part of a name"
    )
    parser.add_argument("--count-faces", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.count_faces:
        return count_faces()
    chosen = [n for n in FAULTS if not options.only or any(part in n for part in options.only)]
    if options.list:
        print("\n".join(FAULTS))
        return 0
    failed = 0
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    print(f"{'fault':<34} {'back in s':>9}  outcome")
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder), Listener())
        for name in chosen:
            try:
                outcome, seconds = FAULTS[name](bench)
                back = "-" if np.isnan(seconds) else f"{seconds:.1f}"
            except Skipped as error:
                outcome, back = f"skipped: {error}", "-"
            except Failed as error:
                outcome, back = f"FAILED: {error}", "-"
                failed += 1
                bench.end()
            print(f"{name:<34} {back:>9}  {outcome}", flush=True)
        bench.end()
    print(f"{len(chosen)} faults, {failed} failed; load {os.getloadavg()[0]:.1f} at the end")
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
