"""``face-perception calibrate``: guides a person through a calibration; lists and deletes them.

No ROS. In a running graph an action and services of the gaze node do the same.
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
_MOST_TURN = 85  # degrees: the most that a CalibrationSession takes


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser("calibrate", help="calibrate a person's gaze (no ROS)")
    parser.add_argument("--person", metavar="ID", help="who is calibrated, listed or deleted")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--list", action="store_true", help="show what is stored")
    what.add_argument("--delete", action="store_true", help="delete what is stored of --person")
    parser.add_argument(
        "--camera",
        metavar="DEVICE|VIDEO",
        default="/dev/video0",
        help="a camera, or a video of somebody who looks into it; default: /dev/video0",
    )
    parser.add_argument(
        "--camera-info",
        metavar="FILE.yaml",
        help="calibration, as ROS's camera_calibration writes it; without: focal length = width",
    )
    parser.add_argument(
        "--target",
        nargs=3,
        type=float,
        action="append",
        metavar=("X", "Y", "Z"),
        help="a point to look at instead of the lens: metres right of it, below it and in front of "
        "it, as the camera sees them; repeat for several points",
    )
    parser.add_argument(
        "--targets",
        type=int,
        choices=(1, 5),
        default=1,
        help="1: the lens; 5: the lens and four marks beside it, which you put up first. With "
        "the geometric estimator a gaze is off by 6.8 degrees without calibration, by 5.4 after 1 "
        "target, by 3.4 after 5 (56 people)",
    )
    parser.add_argument(
        "--distance",
        type=float,
        default=1.0,
        metavar="M",
        help="distance of the eyes from the lens, metres; sets the places of the four marks; "
        "default: 1",
    )
    parser.add_argument("--samples", type=int, default=30, metavar="N", help="default: 30")
    parser.add_argument("--seconds", type=float, default=60.0, metavar="S", help="at most; 60")
    parser.add_argument(
        "--turn-head",
        type=float,
        default=0.0,
        metavar="DEG",
        help="angle by which the head must turn meanwhile, degrees: improves the gaze "
        "away from the middle",
    )
    parser.add_argument(
        "--model",
        default=_GEOMETRIC,
        metavar="NAME",
        help="what estimates the gaze: geometric (default), or a gaze network by its card's name",
    )
    parser.add_argument(
        "--estimator", default="", metavar="NAME", help="delete what belongs to this one only"
    )
    parser.add_argument(
        "--people", type=Path, metavar="FOLDER", help="default: face_perception/people in your data"
    )
    parser.add_argument(
        "--threads", type=positive_integer, default=1, metavar="N", help="default: 1"
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
        raise InputError("say who it is: --person ID (or see everybody with --list)")
    check_person_id(args.person)
    if args.delete:
        _check_folder(args.people)
        return _delete(store, args.person, args.estimator)
    return _calibrate(args, store)


def _check_folder(people: Path | None) -> None:
    """Refuses a folder that does not exist, so that it is not taken for an empty one."""
    if people is not None and not people.is_dir():
        what = "is not a folder" if people.exists() else "does not exist"
        raise InputError(
            f"--people {people} {what}: give the folder that somebody was calibrated with, or "
            "leave it out for your own"
        )


def _list(store: CalibrationStore, person: str | None) -> None:
    from rich.box import SIMPLE
    from rich.console import Console
    from rich.table import Table

    people = store.load_all() if person is None else {person: store.get(person)}
    if not any(people.values()):
        print(f"nobody is calibrated in {store.folder}" if person is None else f"{person}: nothing")
        return
    table = Table(box=SIMPLE)
    for column in ("person", "estimator", "bias", "gain", "targets", "off by", "made"):
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
    print("bias and gain: of yaw and of pitch; off by: expected mean error of a gaze")
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
        raise InputError(f"--turn-head must be 0 to {_MOST_TURN} degrees, not {args.turn_head:g}")
    if args.target and args.targets != 1:
        raise InputError("give --targets or --target, not both")
    targets = [point_target(point) for point in args.target or ()]
    if not targets:
        targets = proposed_targets(args.targets, args.distance)
        if args.targets > 1:
            print(
                f"Sit {args.distance:g} m from the lens. Look at each of these when asked to:",
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
    make_session("nobody")  # refuses what is out of range before the camera is opened
    camera = load_camera(args.camera_info) if args.camera_info else None
    estimator = load_gaze(args.model, threads=args.threads)
    people = PersonRegistry(
        store,
        {estimator.name: estimator.revision},
        priors={estimator.name: estimator.prior},
    )
    tracker = load_tracker(threads=args.threads)
    session = None
    with contextlib.ExitStack() as stack:
        frames = stack.enter_context(_frames(args.camera, camera))
        show = stack.enter_context(_guide())
        for frame, faces in _with_faces(frames, tracker, args.camera):
            gazes = estimate_gazes(estimator, frame, faces)
            estimator.keep([face.id for face in faces], frame.stamp)
            if session is None and faces:
                session = make_session(_largest(faces).id)
                people.begin_session(session)
            people.update(frame.stamp, frame.camera, faces, gazes)
            if session is not None:
                show(session.progress())
                if session.finished:
                    break
    if session is None:
        raise InputError(f"{args.camera} shows no face: come before the camera, in good light")
    _conclude(people, session, args)
    return 0


def _conclude(
    people: PersonRegistry, session: CalibrationSession, args: argparse.Namespace
) -> None:
    from face_perception.people import describe_fit

    session.stop()  # a video may be shorter
    fit = people.finish_session(session, args.person)
    print(
        f"{args.person} is calibrated for {session.estimator} "
        f"{describe_fit(fit, session.prior)}. Stored in {people.store.folder}"
    )


def _largest(faces: Iterable[Face]) -> Face:
    return max(faces, key=lambda face: face.roi.width * face.roi.height)


def _with_faces(
    frames: Iterable[Frame], tracker: Any, source: str
) -> Iterator[tuple[Frame, list[Face]]]:
    """Frames with their faces. Raises InputError where nobody comes for long."""
    begin, ever = None, False
    for frame in frames:
        faces = tracker.track(frame)
        begin = frame.stamp if begin is None else begin
        ever = ever or bool(faces)
        if not ever and frame.stamp - begin > _NO_FACE:
            raise InputError(
                f"{source} shows no face for {_NO_FACE:.0f} s: come before it, in good light"
            )
        yield frame, faces


@contextlib.contextmanager
def _frames(source: str, camera: Camera | None) -> Iterator[Iterable[Frame]]:
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
        raise InputError(f"{source}: there is no such camera or video; use /dev/video0 or a file")
    with FrameReader(path, camera) as clip:
        if clip.still:
            raise InputError(f"{source} is a picture: a calibration needs a camera or a video")
        yield clip


def _live(device: Iterable[Any], camera: Camera | None, source: str) -> Iterator[Frame]:
    from face_perception.types import Camera, Frame

    for image in device:
        height, width = image.shape[:2]
        if camera is not None and (camera.width, camera.height) != (width, height):
            raise InputError(
                f"{source} gives {width}x{height}, but was calibrated for "
                f"{camera.width}x{camera.height}"
            )
        yield Frame(image, time.monotonic(), camera or Camera.assume(width, height))


@contextlib.contextmanager
def _guide() -> Iterator[Any]:
    """Shows progress and what to do: a bar on a terminal, else a line whenever that changes."""
    if not sys.stderr.isatty():
        last = ""

        def say(progress: CalibrationProgress) -> None:
            nonlocal last
            if progress.hint != last:
                last = progress.hint
                print(last, file=sys.stderr)

        yield say
        return
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[counts]}"))
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("come before the camera", total=1.0, counts="")

        def show(progress: CalibrationProgress) -> None:
            why = ", ".join(f"{count} {reason}" for reason, count in progress.reasons.items())
            counts = f"{progress.kept} kept" + (f"; not: {why}" if why else "")
            bar.update(task, description=progress.hint, completed=progress.done, counts=counts)

        yield show
