"""``face-perception run``: analyses a picture or video, and writes JSON lines and drawings."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from face_perception.commands.number_arguments import positive_integer
from face_perception.commands.subcommands import add_command
from face_perception.errors import InputError

if TYPE_CHECKING:
    from face_perception.media import FrameReader
    from face_perception.pipeline import Perception
    from face_perception.results import FrameResult
    from face_perception.types import Camera, Frame


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = add_command(
        subparsers,
        "run",
        "Analyse a picture or a video, and write the results as JSON lines. Needs no ROS.",
    )
    parser.add_argument("input", metavar="IMAGE|VIDEO", help="file to analyse")
    parser.add_argument(
        "--output",
        metavar="FILE.jsonl",
        help="file for the results, one JSON line per frame; -: stdout; default: stdout, or no "
        "results with --annotated",
    )
    parser.add_argument(
        "--annotated",
        metavar="FILE",
        type=Path,
        help="picture or video to write, with the results drawn on the input",
    )
    parser.add_argument(
        "--landmarks", action="store_true", help="write the 478 landmarks of each face"
    )
    parser.add_argument(
        "--camera-info",
        metavar="FILE.yaml",
        help="camera calibration, in the format of ROS's camera_calibration; default: a camera "
        "whose focal length is the image width",
    )
    parser.add_argument(
        "--gaze",
        default="geometric",
        metavar="NAME",
        help="gaze estimator: geometric (default), or the name or card of an imported gaze "
        "network, such as geddnet or dilated_net",
    )
    parser.add_argument(
        "--person",
        default="",
        metavar="ID",
        help="id of the person with the largest face in the first frame with a face; applies the "
        "calibration of `face-perception calibrate --person ID` until that face is lost",
    )
    parser.add_argument(
        "--people",
        type=Path,
        metavar="FOLDER",
        help="folder of the calibrations; default: ~/.local/share/face_perception/people",
    )
    parser.add_argument(
        "--max-faces",
        type=positive_integer,
        default=10,
        metavar="N",
        help="largest number of faces per frame; a message reports frames that reach it; default: "
        "10",
    )
    parser.add_argument(
        "--neutral",
        metavar="PICTURE|CLIP",
        help="picture or video that shows the neutral face of the largest face; its action units "
        "are measured against it",
    )
    parser.add_argument(
        "--blendshapes",
        action="store_true",
        help="write the 52 ARKit blendshapes of each face, and AU 17, which is computed from them",
    )
    parser.add_argument(
        "--threads",
        type=positive_integer,
        default=1,
        metavar="N",
        help="CPU threads of each network; default: 1",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
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
                    ),
                    frame.stamp,
                )
            summary.add(result, len(result.faces) == args.max_faces)
        summary.complete = True
    return 0


def _take_neutral(path: str, perception: Perception, camera: Camera | None) -> None:
    from face_perception.media import FrameReader

    with FrameReader(path, camera) as clip:
        try:
            perception.set_neutral_from(clip)
        except InputError as error:
            raise InputError(f"--neutral {path}: {error}") from error


def _open_lines(
    args: argparse.Namespace, clip: FrameReader, stack: contextlib.ExitStack
) -> Callable[[str], None] | None:
    """Returns a function that writes one result line, or None if no lines are wanted.

    It writes and flushes whole lines, so that readers never see a part of one.
    """
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
    """Returns the frames. Shows a progress bar on stderr if that is a free terminal."""
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
    """Counts frames and faces for the summary at the end."""

    def __init__(self, clip: FrameReader) -> None:
        self._clip = clip
        self._frames = 0
        self._with_faces = 0
        self._ids: dict[str, int] = {}
        self._full = 0
        self._camera: Camera | None = None
        self._start = time.monotonic()
        self.complete = False  # whether the last frame was reached

    def add(self, result: FrameResult, full: bool) -> None:
        """``full`` is true if the frame has as many faces as --max-faces allows."""
        self._frames += 1
        self._with_faces += bool(result.faces)
        self._full += full
        self._camera = result.camera
        for face in result.faces:
            self._ids[face.face_id] = self._ids.get(face.face_id, 0) + 1

    def print(self) -> None:
        seconds = time.monotonic() - self._start
        faces = ", ".join(f"{face_id} ({count})" for face_id, count in self._ids.items())
        print(
            f"{self._clip.path.name}: {self._frames} frame(s) in {seconds:.1f} s, "
            f"{self._with_faces} with a face; frames per face id: {faces or 'none'}",
            file=sys.stderr,
        )
        if self._full:
            print(
                f"{self._full} frame(s) reach the largest number of faces: raise --max-faces if "
                "there are more",
                file=sys.stderr,
            )
        if self._camera is not None and self._camera.assumed and self._ids:
            print(_assumed(self._camera), file=sys.stderr)
        if self._clip.damage:
            print(f"{self._clip.path.name} is damaged: {self._clip.damage}", file=sys.stderr)
        if not self.complete and self._frames:
            of = f" of {self._clip.count}" if self._clip.count > self._frames else ""
            print(f"stopped after {self._frames}{of} frame(s)", file=sys.stderr)


def _assumed(camera: Camera) -> str:
    """Returns a warning about the errors that an assumed camera causes."""
    lens = "= image width" if camera.fx == camera.width else f"{camera.fx:.0f} pixels, by face size"
    return (
        f"the camera is assumed (focal length {lens}): distances have the same relative error as "
        "the focal length; angles of large faces, and of faces far from the middle, are off by "
        "several degrees; give --camera-info FILE.yaml"
    )
