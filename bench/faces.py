"""Measures the CPU time per frame of the face tracker and its stages, and of MediaPipe's FaceMesh.

    python3 bench/faces.py [--frames 100] [--rounds 10] [--core 0] [--environment .venv-mediapipe]

Both track the face of test/data/yongen.mp4 at 640x480 with all 478 landmarks. MediaPipe 0.10.14
runs in a separate environment, which is made if it is missing (needs Python 3.12 or earlier). The
two processes take turns on one core. The figure of a round is the median of its frames.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.figures import Figures, add_option

ROOT = Path(__file__).resolve().parent.parent
MEDIAPIPE = ("mediapipe==0.10.14", "numpy<2")
WIDTH, HEIGHT, FPS = 640, 480, 25


def frames(number: int) -> np.ndarray:
    """Returns the middle of the clip's frames, with the face: RGB uint8 [N, 480, 640, 3]."""
    clip = cv2.VideoCapture(str(ROOT / "test" / "data" / "yongen.mp4"))
    images = []
    while len(images) < number:
        read, bgr = clip.read()
        if not read:
            break
        part = bgr[150 : 150 + bgr.shape[1] * HEIGHT // WIDTH]
        images.append(cv2.cvtColor(cv2.resize(part, (WIDTH, HEIGHT)), cv2.COLOR_BGR2RGB))
    return np.array(images)


def ours() -> Callable[[np.ndarray], int]:
    from face_perception.faces import load_tracker
    from face_perception.types import Camera, Frame

    tracker, camera, count = load_tracker(), Camera.assume(WIDTH, HEIGHT), iter(range(10**9))
    return lambda image: len(tracker.track(Frame(image, next(count) / FPS, camera)))


def mediapipes() -> Callable[[np.ndarray], int]:
    import mediapipe

    mesh = mediapipe.solutions.face_mesh.FaceMesh(
        static_image_mode=False, max_num_faces=1, refine_landmarks=True
    )
    return lambda image: len(mesh.process(image).multi_face_landmarks or ())


def serve(what: str, file: str, core: int) -> None:
    """Runs the child process: for each line read, does a round and prints a line of JSON."""
    os.sched_setaffinity(0, {core})
    images = np.load(file)
    run = {"ours": ours, "mediapipe": mediapipes}[what]()
    for image in images[:30]:
        run(image)
    print("ready", flush=True)
    for _ in sys.stdin:
        times, found = [], 0
        for image in images:
            begin = time.process_time()
            faces = run(image)
            times.append(time.process_time() - begin)
            found += faces > 0
        result = {
            "median": 1e3 * statistics.median(times),
            "mean": 1e3 * statistics.fmean(times),
            "found": found,
        }
        print(json.dumps(result), flush=True)


@contextmanager
def child(python: str, what: str, file: str, core: int) -> Iterator[Callable[[], dict[str, Any]]]:
    command = [python, __file__, "--serve", what, "--file", file, "--core", str(core)]
    environment = os.environ.copy()
    if what == "mediapipe":
        environment.pop("PYTHONPATH", None)  # our packages must not shadow those of the environment
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL if what == "mediapipe" else None,
        text=True,
        env=environment,
    )
    assert process.stdin
    assert process.stdout
    if process.stdout.readline().strip() != "ready":
        raise SystemExit(f"{what} did not start: {' '.join(command)}")

    def round_() -> dict[str, Any]:
        process.stdin.write("go\n")
        process.stdin.flush()
        return json.loads(process.stdout.readline())

    yield round_
    process.stdin.close()
    process.wait()


def mediapipe_python(environment: Path) -> str:
    python = environment / "bin" / "python"
    if not (environment / "ready").exists():
        print(f"making {environment} with {MEDIAPIPE[0]}", flush=True)
        subprocess.run([sys.executable, "-m", "venv", str(environment)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "-q", *MEDIAPIPE], check=True)
        (environment / "ready").touch()
    return str(python)


def stages(images: np.ndarray, core: int) -> dict[str, float]:
    """Returns the mean CPU time per frame of each stage of the tracker, milliseconds."""
    os.sched_setaffinity(0, {core})
    from face_perception.faces import detector as detect
    from face_perception.faces import load_tracker, mesh
    from face_perception.faces import tracker as track
    from face_perception.types import Camera, Frame

    spent: dict[str, float] = defaultdict(float)

    def timed(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def run(*args: Any) -> Any:
            begin = time.process_time()
            result = function(*args)
            spent[name] += time.process_time() - begin
            return result

        return run

    tracker, camera = load_tracker(), Camera.assume(WIDTH, HEIGHT)
    for i, image in enumerate(images[:30]):
        tracker.track(Frame(image, i / FPS, camera))
    networks = dict(zip(("detector network", "mesh network"), tracker.models, strict=True))
    for name, model in networks.items():
        model.infer = timed(name, model.infer)  # type: ignore[method-assign]
    detect.Detector.detect = timed("detector, all", detect.Detector.detect)  # type: ignore
    mesh.Mesh.find_all = timed("mesh, all", mesh.Mesh.find_all)  # type: ignore
    track.head_pose = timed("head pose", track.head_pose)
    track.eye_aspect_ratios = timed("eyes", track.eye_aspect_ratios)
    track.eye_visibility = timed("eye visibility", track.eye_visibility)
    mesh.MeshResult.appearance = timed(  # type: ignore
        "appearance", mesh.MeshResult.appearance
    )
    track.is_another_person = timed("another person?", track.is_another_person)
    begin = time.process_time()
    for i, image in enumerate(images, 30):
        tracker.track(Frame(image, i / FPS, camera))
    total = time.process_time() - begin
    parts = {
        "mesh network": spent["mesh network"],
        "mesh, warp and points": spent["mesh, all"] - spent["mesh network"],
        "detector network": spent["detector network"],
        "detector, letterbox and boxes": spent["detector, all"] - spent["detector network"],
        "head pose": spent["head pose"],
        "eyes": spent["eyes"],
        "eye visibility": spent["eye visibility"],
        "appearance": spent["appearance"],
        "another person?": spent["another person?"],
    }
    parts["rest"] = total - sum(parts.values())
    return {name: 1e3 * value / len(images) for name, value in parts.items()}


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--frames", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--core", type=int, default=min(os.sched_getaffinity(0)))
    parser.add_argument("--environment", type=Path, default=ROOT / ".venv-mediapipe")
    parser.add_argument("--serve", choices=("ours", "mediapipe"), help=argparse.SUPPRESS)
    parser.add_argument("--file", help=argparse.SUPPRESS)
    add_option(parser)
    options = parser.parse_args()
    if options.serve:
        serve(options.serve, options.file, options.core)
        return 0

    other = mediapipe_python(options.environment)
    images = frames(options.frames)
    figures: dict[str, list[dict[str, Any]]] = {"ours": [], "mediapipe": []}
    with tempfile.NamedTemporaryFile(suffix=".npy") as file:
        np.save(file, images)
        file.flush()
        with (
            child(sys.executable, "ours", file.name, options.core) as our_round,
            child(other, "mediapipe", file.name, options.core) as their_round,
        ):
            for _ in range(options.rounds):
                figures["ours"].append(our_round())
                figures["mediapipe"].append(their_round())
    print(
        f"{len(images)} frames of {WIDTH}x{HEIGHT}, {options.rounds} rounds, one core; CPU time "
        "of a frame, ms"
    )
    for name, rounds in figures.items():
        median = statistics.median(r["median"] for r in rounds)
        mean = statistics.median(r["mean"] for r in rounds)
        best = min(r["median"] for r in rounds)
        found = min(r["found"] for r in rounds)
        print(
            f"  {name:10} median {median:6.2f}  mean {mean:6.2f}  best round {best:6.2f}  "
            f"faces in {found}"
        )
    pairs = list(zip(figures["ours"], figures["mediapipe"], strict=True))
    saved = Figures("faces")
    for key in ("median", "mean"):
        ratios = [a[key] / b[key] for a, b in pairs]
        saved.add(f"ours / mediapipe, {key}s", statistics.median(ratios))
        print(f"  ours / mediapipe, {key}s: {statistics.median(ratios):.2f} (goal 1.0)")
    print("stages, ms a frame")
    shares = stages(images, options.core)
    total = sum(shares.values())
    for name, value in shares.items():
        saved.add_time(name, value / 1e3)
        print(f"  {name:30} {value:6.3f}  {100 * value / total:4.1f} %")
    if options.figures:
        saved.save(options.figures)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
