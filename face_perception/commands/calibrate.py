"""``face-perception calibrate``: calibrates the gaze of a person, lists and deletes calibrations.

Needs no ROS. In a running graph, use the action and the services of the gaze node instead.
"""

from __future__ import annotations

import argparse
import contextlib
import math
import os
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from face_perception.commands.number_arguments import positive_integer
from face_perception.commands.subcommands import add_command
from face_perception.errors import InputError

if TYPE_CHECKING:
    from face_perception.people import (
        CalibrationProgress,
        CalibrationSession,
        CalibrationStore,
        PersonRegistry,
    )
    from face_perception.types import Camera, Face, Frame

_GEOMETRIC = "geometric"
_NO_FACE = 10.0  # seconds
_MOST_TURN = 85  # degrees: the largest head range that a session accepts


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = add_command(subparsers, "calibrate", "Calibrate the gaze of a person. Needs no ROS.")
    parser.add_argument(
        "--person", metavar="ID", help="id of the person to calibrate, list or delete"
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--list", action="store_true", help="list the stored calibrations")
    what.add_argument("--delete", action="store_true", help="delete the calibrations of --person")
    parser.add_argument(
        "--camera",
        metavar="DEVICE|VIDEO",
        default="/dev/video0",
        help="camera, or video of a person who looks into the lens; default: %(default)s",
    )
    parser.add_argument(
        "--image", default="", metavar="TOPIC", help="image topic of a bag; default: the only one"
    )
    parser.add_argument(
        "--camera-info",
        metavar="FILE.yaml",
        help="camera calibration, in the format of ROS's camera_calibration; default: a camera "
        "whose focal length is the image width",
    )
    parser.add_argument(
        "--target",
        nargs=3,
        type=float,
        action="append",
        metavar=("X", "Y", "Z"),
        help="point to look at instead of the lens, in metres right of it, below it and in front "
        "of it, as seen by the camera; repeat for several points",
    )
    parser.add_argument(
        "--targets",
        type=int,
        choices=(1, 5),
        default=1,
        help="1: look at the lens; 5: look at the lens and at four marks around it, which you put "
        "up first. The mean error of the geometric estimator is 6.7 degrees without calibration, "
        "5.4 after 1 target, 3.5 after 5 (56 people)",
    )
    parser.add_argument(
        "--extend",
        action="store_true",
        help="add the targets to the person's earlier calibration; default: replace it",
    )
    parser.add_argument(
        "--distance",
        type=float,
        default=1.0,
        metavar="M",
        help="distance from the eyes to the lens in metres, from which the positions of the four "
        "marks follow; default: 1",
    )
    parser.add_argument(
        "--samples",
        type=int,
        default=30,
        metavar="N",
        help="number of samples to collect for each target; default: 30",
    )
    parser.add_argument(
        "--seconds",
        type=float,
        default=60.0,
        metavar="S",
        help="time limit of the calibration in seconds; default: 60",
    )
    parser.add_argument(
        "--turn-head",
        type=float,
        default=0.0,
        metavar="DEG",
        help="angle in degrees by which the head must turn during the calibration; improves the "
        "gaze of a turned head; default: 0",
    )
    parser.add_argument(
        "--model",
        default=_GEOMETRIC,
        metavar="NAME",
        help="gaze estimator: geometric (default), small_gaze (a network of the package), or the "
        "name of an imported gaze network",
    )
    parser.add_argument(
        "--estimator",
        default="",
        metavar="NAME",
        help="with --delete: delete only the calibration of this gaze estimator",
    )
    parser.add_argument(
        "--people",
        type=Path,
        metavar="FOLDER",
        help="folder of the calibrations; default: ~/.local/share/face_perception/people",
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
    os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    from face_perception.people import CalibrationStore, check_person_id

    damaged: list[str] = []

    def say(text: str) -> None:
        damaged.append(text)
        print(text, file=sys.stderr)

    store = CalibrationStore(args.people, say)
    if args.list:
        _check_folder(args.people)
        _list(store, args.person)
        return 1 if damaged else 0
    if args.person is None:
        raise InputError("give the id of the person with --person ID, or list all with --list")
    check_person_id(args.person)
    if args.delete:
        _check_folder(args.people)
        return _delete(store, args.person, args.estimator)
    return _calibrate(args, store)


def _check_folder(people: Path | None) -> None:
    """Raises InputError if the folder does not exist, so that a typo does not look like no data."""
    if people is not None and not people.is_dir():
        what = "is not a folder" if people.exists() else "does not exist"
        raise InputError(
            f"--people {people} {what}: give the folder that was used for the calibration, or "
            "leave --people out to use your own"
        )


def _list(store: CalibrationStore, person: str | None) -> None:
    from rich.box import SIMPLE
    from rich.console import Console
    from rich.table import Table

    people = store.load_all() if person is None else {person: store.get(person)}
    if not any(people.values()):
        where = f"in {store.folder}"
        print(f"no calibrations {where}" if person is None else f"{person}: no calibration {where}")
        return
    table = Table(box=SIMPLE)
    for column in ("person", "estimator", "bias", "gain", "targets", "error", "date"):
        table.add_column(column, no_wrap=column != "person")
    for name, known in people.items():
        for estimator, c in sorted(known.items()):
            made = c.correction
            table.add_row(
                name,
                estimator,
                f"{math.degrees(made.bias_yaw):+.1f}° {math.degrees(made.bias_pitch):+.1f}°",
                f"{made.gain_yaw:.2f} {made.gain_pitch:.2f}",
                str(c.targets),
                f"{math.degrees(c.expected_residual):.1f}°",
                time.strftime("%Y-%m-%d", time.localtime(c.made)),
            )
    print("bias and gain: yaw, then pitch; error: expected mean error of the gaze")
    Console().print(table)


def _delete(store: CalibrationStore, person: str, estimator: str) -> int:
    if not store.delete(person, estimator):
        what = f" for {estimator}" if estimator else ""
        raise InputError(f"{person} has no calibration{what} in {store.folder}")
    print(f"{person}: deleted")
    return 0


def _calibrate(args: argparse.Namespace, store: CalibrationStore) -> int:
    from face_perception.faces import load_tracker
    from face_perception.gaze import estimate_gazes, load_gaze
    from face_perception.media import load_camera
    from face_perception.people import (
        CalibrationSession,
        PersonRegistry,
        point_target,
        proposed_targets,
    )

    if not 0 <= args.turn_head <= _MOST_TURN:
        raise InputError(
            f"--turn-head must be from 0 to {_MOST_TURN} degrees, not {args.turn_head:g}"
        )
    if args.target and args.targets != 1:
        raise InputError("give --targets or --target, not both")
    targets = [point_target(point) for point in args.target or ()]
    if not targets:
        targets = proposed_targets(args.targets, args.distance)
        if args.targets > 1:
            print(
                f"Sit {args.distance:g} m from the lens. You will be asked to look at each of "
                "these:",
                file=sys.stderr,
            )
            for target in targets:
                print(f"  {target.name}", file=sys.stderr)

    def make_session(face_id: str) -> CalibrationSession:
        return CalibrationSession(
            face_id,
            targets,
            samples=args.samples,
            seconds=args.seconds,
            head_range=math.radians(args.turn_head),
        )

    store.check_writable()
    make_session("nobody")  # raises InputError for a bad value, before the camera is opened
    camera = load_camera(args.camera_info) if args.camera_info else None
    estimator = load_gaze(args.model, threads=args.threads)
    people = PersonRegistry(
        store,
        {estimator.name: estimator.revision},
        priors={estimator.name: estimator.prior},
        extend=args.extend,
    )
    tracker = load_tracker(threads=args.threads)
    session = None
    with contextlib.ExitStack() as stack:
        frames = stack.enter_context(_frames(args.camera, camera, args.image))
        show = stack.enter_context(_guide())
        for frame, faces in _with_faces(frames, tracker, args.camera):
            gazes = estimate_gazes(estimator, frame, faces)
            estimator.keep([face.face_id for face in faces], frame.stamp)
            if session is None and faces:
                session = make_session(_largest(faces).face_id)
                people.begin_session(session)
            people.update(frame.stamp, frame.camera, faces, gazes)
            if session is not None:
                show(session.progress())
                if session.finished:
                    break
    if session is None:
        raise InputError(f"{args.camera} shows no face: sit in front of the camera, in good light")
    _conclude(people, session, args)
    return 0


def _conclude(
    people: PersonRegistry, session: CalibrationSession, args: argparse.Namespace
) -> None:
    from face_perception.people import describe_fit

    session.stop()  # a video may end before the session does
    fit = people.finish_session(session, args.person)
    print(
        f"{args.person} is calibrated for the estimator {session.estimator} "
        f"{describe_fit(fit, session.prior)}. Stored in {people.store.folder}"
    )


def _largest(faces: Iterable[Face]) -> Face:
    return max(faces, key=lambda face: face.roi.width * face.roi.height)


def _with_faces(
    frames: Iterable[Frame], tracker: Any, source: str
) -> Iterator[tuple[Frame, list[Face]]]:
    """Yields frames with their faces.

    Raises InputError if no face appears in the first ``_NO_FACE`` seconds.
    """
    begin, ever = None, False
    for frame in frames:
        faces = tracker.track(frame)
        begin = frame.stamp if begin is None else begin
        ever = ever or bool(faces)
        if not ever and frame.stamp - begin > _NO_FACE:
            raise InputError(
                f"{source} showed no face for {_NO_FACE:.0f} s: sit in front of the camera, in "
                "good light"
            )
        yield frame, faces


@contextlib.contextmanager
def _frames(source: str, camera: Camera | None, topic: str) -> Iterator[Iterable[Frame]]:
    from face_perception.media import CameraDevice, FrameReader, device_number

    number = device_number(source)
    if number is not None:
        size = (camera.width, camera.height) if camera else (1280, 720)
        device = CameraDevice(number, *size)
        try:
            yield _live(device, camera, source)
        finally:
            device.close()
        return
    path = os.path.expanduser(source)
    if not os.path.exists(path):
        raise InputError(
            f"{source} does not exist: give a camera such as /dev/video0, a video or a bag"
        )
    with FrameReader(path, camera, topic) as clip:
        if clip.still:
            raise InputError(f"{source} is a picture: give a camera or a video")
        yield clip


def _live(device: Iterable[Any], camera: Camera | None, source: str) -> Iterator[Frame]:
    from face_perception.types import Camera, Frame

    for image in device:
        height, width = image.shape[:2]
        if camera is not None and (camera.width, camera.height) != (width, height):
            raise InputError(
                f"{source} delivers {width}x{height}, but --camera-info is for "
                f"{camera.width}x{camera.height}: give the calibration of this size"
            )
        yield Frame(image, time.monotonic(), camera or Camera.assume(width, height))


@contextlib.contextmanager
def _guide() -> Iterator[Any]:
    """Shows the progress and the next instruction.

    Uses a progress bar on a terminal. Elsewhere prints each new instruction as a line.
    """
    if not sys.stderr.isatty():
        last = ""

        def print_hint(progress: CalibrationProgress) -> None:
            nonlocal last
            if progress.hint != last:
                last = progress.hint
                print(last, file=sys.stderr)

        yield print_hint
        return
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[counts]}"))
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("sit in front of the camera", total=1.0, counts="")

        def show(progress: CalibrationProgress) -> None:
            why = ", ".join(f"{count} {reason}" for reason, count in progress.reasons.items())
            counts = f"{progress.kept} kept" + (f"; rejected: {why}" if why else "")
            bar.update(task, description=progress.hint, completed=progress.done, counts=counts)

        yield show
