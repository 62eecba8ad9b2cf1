"""``face-perception run``: analyses pictures and videos, and writes JSON lines and drawings."""

from __future__ import annotations

import argparse
import functools
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from face_perception.commands.clip_inputs import clips_in
from face_perception.commands.number_arguments import positive_integer, whole_number
from face_perception.commands.subcommands import add_command
from face_perception.errors import InputError

if TYPE_CHECKING:
    from face_perception.commands.clip_progress import ClipProgress
    from face_perception.commands.clip_task import ClipTask


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = add_command(
        subparsers,
        "run",
        "Analyse pictures and videos, and write the results as JSON lines. Needs no ROS.",
    )
    add_inputs(parser)
    parser.add_argument(
        "-o",
        "--output",
        metavar="FILE.jsonl|FOLDER",
        help="file for the results, one JSON line per frame; -: stdout; default: stdout, or no "
        "results with --annotated; of several files: folder, made if needed, for NAME.jsonl of "
        "each",
    )
    add_options(parser)
    parser.set_defaults(run=run)


def add_inputs(parser: argparse.ArgumentParser) -> None:
    """Adds the argument ``input``, and the options that say how to read it."""
    parser.add_argument(
        "input",
        nargs="+",
        metavar="IMAGE|VIDEO|BAG|FOLDER",
        help="files to analyse, each as its own clip; a bag is the folder or a file of a rosbag2 "
        "recording, mcap or sqlite3; another folder stands for the pictures, films and bags in it",
    )
    parser.add_argument(
        "--image",
        default="",
        metavar="TOPIC",
        help="image topic of the bags, raw or compressed; default: the only one",
    )


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds all other options but ``--output``."""
    parser.add_argument(
        "--annotated",
        metavar="FILE|FOLDER",
        type=Path,
        help="picture or video to write, with the results drawn on the input; of several files: "
        "folder for one of each",
    )
    parser.add_argument(
        "--jobs",
        "--workers",
        type=positive_integer,
        default=1,
        metavar="N",
        help="processes that analyse several files at the same time; default: 1",
    )
    parser.add_argument(
        "--ray",
        default="",
        metavar="ADDRESS",
        help="analyse several files on the machines of the Ray cluster at this address, one CPU a "
        "file; auto: the cluster that this machine belongs to; local: one that lasts for this run",
    )
    parser.add_argument(
        "--resume",
        action="store_true",
        help="leave out files whose results are complete and were made with the same settings and "
        "models",
    )
    parser.add_argument(
        "--skip-frames",
        type=whole_number,
        default=0,
        metavar="N",
        help="leave out N frames after each frame that is analysed; default: 0",
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
        help="gaze estimator: geometric (default), small_gaze (a network of the package), or the "
        "name or card of an imported gaze network, such as geddnet or dilated_net",
    )
    parser.add_argument(
        "--affect",
        default="expression",
        metavar="NAME",
        help="network of affect: expression (default), expression_fer, or the name or card of an "
        "imported network of expression or multitask network, such as multitask, which also "
        "estimates the action units",
    )
    parser.add_argument(
        "--motion",
        default="",
        metavar="NAME",
        help="network for valence and arousal from how faces look and move, such as mimamo, which "
        "`face-perception import mimamo` makes; of films only; default: those of --affect",
    )
    parser.add_argument(
        "--person",
        default="",
        metavar="ID",
        help="id of the person with the largest face in the first frame with a face of each "
        "file; applies the calibration of `face-perception calibrate --person ID` until that face "
        "is lost",
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
        "--targets",
        default="",
        metavar="NAME=X,Y,Z,RADIUS;...",
        help="places and things that people may look at, in the camera's optical frame, metres",
    )
    parser.add_argument(
        "--blendshapes",
        action="store_true",
        help="write the 52 ARKit blendshapes of each face, and AU 17, which is computed from them",
    )
    parser.add_argument(
        "--appearance",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="count what a small model sees in the image of the face for action units, besides the "
        "landmarks: adds AU 6 and 9; default: yes",
    )
    parser.add_argument(
        "--threads",
        type=positive_integer,
        default=1,
        metavar="N",
        help="CPU threads of each network; default: 1, which is faster than 2 for films",
    )


def run(args: argparse.Namespace) -> int:
    _, failed = analyse(args)
    return int(bool(failed))


def analyse(args: argparse.Namespace) -> tuple[list[ClipTask], dict[str, str]]:
    """Analyses all clips. Returns them, and why some failed, by name.

    Raises what ``ClipAnalyser.analyse`` raises if there is only one clip.
    """
    from face_perception.commands.clip_analysis import ClipAnalyser
    from face_perception.commands.clip_progress import ClipProgress

    args.input = clips_in(args.input)
    tasks = _tasks(args)
    waiting = _not_done(args, tasks) if args.resume else tasks
    if len(waiting) < len(tasks):
        sys.stderr.write(
            f"{len(tasks) - len(waiting)} of {len(tasks)} files are analysed already\n"
        )
    to_terminal = sys.stdout.isatty() and any(task.output == "-" for task in waiting)
    with ClipProgress(
        {task.input: _size(task) for task in waiting}, shown=not to_terminal
    ) as shown:
        if len(tasks) == 1:
            for task in waiting:
                ClipAnalyser(args).analyse(
                    task, shown.print, functools.partial(shown.update, task.input)
                )
            return tasks, {}
        failed = _analyse_several(args, waiting, shown) if waiting else {}
    for name, reason in failed.items():
        shown.print(f"face-perception: {reason if name in reason else f'{name}: {reason}'}")
    if waiting:
        shown.print(f"{len(waiting) - len(failed)} of {len(waiting)} files analysed")
    return tasks, failed


def _analyse_several(
    args: argparse.Namespace, tasks: list[ClipTask], progress: ClipProgress
) -> dict[str, str]:
    """Returns why some of the files failed, by name."""
    if args.ray:
        from face_perception.commands.clip_cluster import analyse_on_cluster

        return analyse_on_cluster(args, tasks, progress)
    from face_perception.commands.clip_jobs import analyse_clips

    return analyse_clips(args, tasks, progress)


def _not_done(args: argparse.Namespace, tasks: list[ClipTask]) -> list[ClipTask]:
    """Returns the tasks whose results are missing, incomplete, or made with other settings."""
    from face_perception.commands.clip_record import is_done, result_settings

    if any(task.output in (None, "-") for task in tasks):
        raise InputError("--resume needs the results of the earlier run: give --output")
    settings = result_settings(args)
    return [task for task in tasks if not is_done(task, settings)]


def _size(task: ClipTask) -> int:
    """Returns the size of a clip for the progress; 0 if it is missing, which is reported later."""
    from face_perception.commands.clip_record import size_and_time

    try:
        return size_and_time(Path(task.input))[0]
    except OSError:
        return 0


def _tasks(args: argparse.Namespace) -> list[ClipTask]:
    """Returns what to do. Makes the folders of the results of several files.

    Raises InputError if the results of two files would have the same name, or go to one stream.
    """
    from face_perception.commands.clip_task import ClipTask
    from face_perception.media import is_bag, result_stem

    if args.ray and (args.jobs > 1 or len(args.input) == 1):
        raise InputError(
            "--ray is for several files, and takes the place of --jobs: leave out "
            + ("--jobs" if args.jobs > 1 else "--ray")
        )
    if args.image and not any(is_bag(Path(name)) for name in args.input):
        raise InputError(f"--image {args.image}: none of the files is a bag: leave it out")
    several = len(args.input) > 1
    output, annotated = args.output, args.annotated
    if output is None and annotated is None:
        output = "-"
    if several:
        if output == "-":
            raise InputError(
                f"{len(args.input)} files need a folder for their results: give --output FOLDER, "
                "--annotated FOLDER or both"
            )
        _check_names(args.input)
        for folder in filter(None, (output, annotated)):
            os.makedirs(folder, exist_ok=True)
    if output not in (None, "-") and os.path.isdir(output):
        outputs = [str(Path(output) / f"{result_stem(Path(name))}.jsonl") for name in args.input]
    else:
        outputs = [output] * len(args.input)
    return [
        ClipTask(name, lines, annotated) for name, lines in zip(args.input, outputs, strict=True)
    ]


def _check_names(inputs: list[str]) -> None:
    from face_perception.media import result_stem

    known: dict[str, str] = {}
    for name in inputs:
        stem = result_stem(Path(name))
        if stem in known:
            raise InputError(
                f"the results of {known[stem]} and {name} would have the same name: rename one, "
                "or give them in two runs with two folders"
            )
        known[stem] = name
