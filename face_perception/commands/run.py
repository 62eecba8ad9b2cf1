"""``face-perception run``: a picture or video in, a JSON line a frame and drawings out. No ROS."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from face_perception.commands.number_arguments import positive_integer
from face_perception.errors import InputError

if TYPE_CHECKING:
    from face_perception.media import FrameReader
    from face_perception.pipeline import Perception
    from face_perception.results import FrameResult
    from face_perception.types import Camera, Frame


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser("run", help="perceive a picture or a video (no ROS)")
    parser.add_argument("input", metavar="IMAGE|VIDEO")
    parser.add_argument(
        "--output",
        metavar="FILE.jsonl",
        help="a JSON line a frame; - is stdout, the default unless --annotated is given",
    )
    parser.add_argument(
        "--annotated", metavar="FILE", type=Path, help="the input with everything drawn on it"
    )
    parser.add_argument("--landmarks", action="store_true", help="with the 478 points of each face")
    parser.add_argument(
        "--camera-info",
        metavar="FILE.yaml",
        help="calibration, as ROS's camera_calibration writes it; without: focal length = width",
    )
    parser.add_argument(
        "--gaze",
        default="geometric",
        metavar="NAME",
        help="what estimates the gaze: geometric (default), or a gaze network by the name or path "
        "of its card, such as geddnet or dilated_net",
    )
    parser.add_argument(
        "--person",
        default="",
        metavar="ID",
        help="who the largest face is in the first image with a face: the calibration of "
        "`face-perception calibrate --person ID` is applied to it until it is lost",
    )
    parser.add_argument(
        "--people", type=Path, metavar="FOLDER", help="default: face_perception/people in your data"
    )
    parser.add_argument(
        "--max-faces",
        type=positive_integer,
        default=10,
        metavar="N",
        help="largest number of faces, default: 10; if a frame has that many, stderr says so",
    )
    parser.add_argument(
        "--neutral",
        metavar="PICTURE|CLIP",
        help="the neutral face of that largest face: its action units are relative to this file",
    )
    parser.add_argument(
        "--blendshapes",
        action="store_true",
        help="add the 52 ARKit blendshapes of each face, and AU 17, which is computed from them",
    )
    parser.add_argument(
        "--threads", type=positive_integer, default=1, metavar="N", help="default: 1"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    # What goes wrong is said by our own errors; read when OpenCV is loaded.
    os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    from face_perception import overlay
    from face_perception.media import FrameReader, FrameWriter, load_camera
    from face_perception.people import CalibrationStore
    from face_perception.pipeline import Perception

    camera = load_camera(args.camera_info) if args.camera_info else None
    with contextlib.ExitStack() as stack:
        clip = stack.enter_context(FrameReader(args.input, camera))
        perception = Perception.load(
            threads=args.threads,
            single_image=clip.still,
            gaze=args.gaze,
            people=CalibrationStore(args.people, lambda text: print(text, file=sys.stderr)),
            person=args.person,
            max_faces=args.max_faces,
            blendshapes=args.blendshapes,
        )
        if args.neutral:
            _take_neutral(args.neutral, perception, camera)
        summary = _Summary(clip)
        write = _open_lines(args, clip, stack)
        drawing = stack.enter_context(FrameWriter(args.annotated, clip)) if args.annotated else None
        stack.callback(summary.print)
        for number, frame in enumerate(_progress(clip, write is not None and sys.stdout.isatty())):
            result = perception.process(frame)
            if write is not None:
                write(json.dumps(result.to_json(number, args.landmarks), allow_nan=False))
            if drawing is not None:
                drawing.write(
                    overlay.draw(
                        frame.image,
                        result.camera,
                        result.faces,
                        gazes=result.gazes,
                        action_units=result.action_units,
                        expressions=result.expressions,
                        valence_arousal=result.valence_arousal,
                        attention=result.attention,
                    )
                )
            summary.add(result, len(result.faces) == args.max_faces)
    return 0


def _take_neutral(path: str, perception: Perception, camera: Camera | None) -> None:
    from face_perception.media import FrameReader

    with FrameReader(path, camera) as clip:
        try:
            perception.set_neutral_from(clip)
        except ValueError as error:
            raise InputError(f"--neutral {path}: {error}") from error


def _open_lines(
    args: argparse.Namespace, clip: FrameReader, stack: contextlib.ExitStack
) -> Callable[[str], None] | None:
    """What writes a whole line at once, so that a reader or an interrupt never sees half of one."""
    from face_perception.media import refuse_overwriting

    if args.output is None and args.annotated is not None:
        return None
    if args.output in (None, "-"):
        stream = sys.stdout
    else:
        refuse_overwriting(Path(args.output), clip)
        stream = open(args.output, "w", encoding="utf-8")  # noqa: SIM115 (closed by the stack)
        stack.callback(stream.close)

    def write(line: str) -> None:
        stream.write(line + "\n")
        stream.flush()

    return write


def _progress(clip: FrameReader, terminal_taken: bool) -> Iterable[Frame]:
    """The frames, with a progress bar on stderr while they are worked on, where that is seen."""
    if clip.still or terminal_taken or not sys.stderr.isatty():
        return clip
    return _with_bar(clip)


def _with_bar(clip: FrameReader) -> Iterator[Frame]:
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(clip.path.name, total=clip.count or None)
        for frame in clip:
            yield frame
            progress.advance(task)


class _Summary:
    """Counts, for one readable line at the end."""

    def __init__(self, clip: FrameReader) -> None:
        self._clip = clip
        self._frames = 0
        self._with_faces = 0
        self._ids: dict[str, int] = {}
        self._full = 0
        self._camera: Camera | None = None
        self._start = time.monotonic()

    def add(self, result: FrameResult, full: bool) -> None:
        """``full`` is true if the frame has as many faces as --max-faces allows."""
        self._frames += 1
        self._with_faces += bool(result.faces)
        self._full += full
        self._camera = result.camera
        for face in result.faces:
            self._ids[face.id] = self._ids.get(face.id, 0) + 1

    def print(self) -> None:
        seconds = time.monotonic() - self._start
        faces = ", ".join(f"{face_id} ({count})" for face_id, count in self._ids.items())
        print(
            f"{self._clip.path.name}: {self._frames} frame(s) in {seconds:.1f} s, "
            f"{self._with_faces} with a face: {faces or 'none'}",
            file=sys.stderr,
        )
        if self._full:
            print(
                f"{self._full} frame(s) have the largest number of faces: there may be more, raise "
                "--max-faces",
                file=sys.stderr,
            )
        if self._camera is not None and self._camera.assumed and self._ids:
            print(_assumed(self._camera), file=sys.stderr)
        # Containers may be off by a frame or two.
        missing = self._clip.count - self._frames
        if missing > max(2, 0.02 * self._clip.count):
            print(f"the file promises {missing} more: interrupted, or damaged", file=sys.stderr)


def _assumed(camera: Camera) -> str:
    """A warning about the errors that an assumed camera causes."""
    lens = "= image width" if camera.fx == camera.width else f"{camera.fx:.0f} pixels, by face size"
    return (
        f"the camera is assumed (focal length {lens}): distances have the same relative error as "
        "the focal length; angles of large faces, and of faces far from the middle, are off by "
        "several degrees; give --camera-info FILE.yaml"
    )
