"""``face-perception convert``: converts a published data set to the layout that recipes read.

The readers of the data sets are in ``learning/data``.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections import Counter
from pathlib import Path

from face_perception.commands.subcommands import add_command
from face_perception.optional_modules import extra

_OWN_SPLIT = "not for this data set, whose split is fixed"
# Data set -> help text, what the source is, an example of --test, and what every N-th is taken of.
SETS = {
    "mpiifacegaze": (
        "Convert the unpacked MPIIFaceGaze data set.",
        "folder that contains p00 to p14",
        "person of the test split, such as p14",
        "photograph of a person",
    ),
    "mpiigaze": (
        "Convert the normalised eyes of MPIIGaze.",
        "folder Data/Normalized, which contains p00 to p14",
        "person of the test split, such as p14",
        "sample of a day",
    ),
    "columbia_gaze": (
        "Convert the Columbia Gaze Data Set.",
        "folder that contains 0001 to 0056",
        "person of the test split, such as 0056",
        "photograph of a person",
    ),
    "afew_va": (
        "Convert AFEW-VA (valence and arousal).",
        "folder that contains 001 to 600",
        "actor of the test split, as the .json files name them",
        "picture of a clip",
    ),
    "disfa": (
        "Convert DISFA (action units).",
        "folder that contains ActionUnit_Labels and Video_RightCamera",
        "person of the test split, such as SN032",
        "frame of a film",
    ),
    "aff_wild2": (
        "Convert Aff-Wild2 (valence and arousal, expression, action units).",
        "folder that contains cropped_aligned and the annotations of the challenges",
        _OWN_SPLIT,
        "labelled frame of a video",
    ),
    "affectnet": (
        "Convert AffectNet (expression, valence and arousal).",
        "folder that contains train_set and val_set",
        _OWN_SPLIT,
        "picture",
    ),
    "raf_db": (
        "Convert RAF-DB, single labels (expression).",
        "folder that contains EmoLabel and Image, or its parent",
        _OWN_SPLIT,
        "picture",
    ),
    "expw": (
        "Convert ExpW (expression).",
        "folder that contains label.lst and image/origin",
        _OWN_SPLIT,
        "face",
    ),
    "bp4d": (
        "Convert BP4D-Spontaneous (action units).",
        "folder that contains AUCoding/AU_OCC and the pictures, such as F001/T1",
        "person of the test split, such as M018",
        "labelled frame",
    ),
    "gaze_capture": (
        "Convert GazeCapture (gaze at phones and tablets).",
        "folder that contains 00002 and more",
        _OWN_SPLIT,
        "picture of a person",
    ),
    "eth_xgaze": (
        "Convert ETH-XGaze, normalised pictures (gaze).",
        "folder xgaze_224, which contains train",
        "person of the test split, such as subject0000",
        "picture of a person",
    ),
    "eyediap": (
        "Convert EYEDIAP (gaze at a screen or a ball).",
        "folder that contains Data with 1_A_CS_S and more",
        "person of the test split, such as 16",
        "frame of a session",
    ),
    "omg_emotion": (
        "Convert OMG-Emotion (valence and arousal, expression).",
        "folder that contains omg_TrainVideos.csv and the films",
        _OWN_SPLIT,
        "frame of an utterance",
    ),
}


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = add_command(
        subparsers, "convert", "Convert a published data set to the layout that `train` reads."
    )
    sets = parser.add_subparsers(metavar="DATASET", required=True)
    for name, (text, source, person, item) in SETS.items():
        command = add_command(sets, name, text)
        command.add_argument("source", type=Path, help=source)
        command.add_argument("out", type=Path, help="new folder to write")
        command.add_argument(
            "--test",
            action="append",
            default=[],
            metavar="PERSON",
            help=f"{person}; repeat for several; all others are for training; default: the last "
            "fifth",
        )
        command.add_argument(
            "--every",
            type=int,
            default=1,
            metavar="N",
            help=f"take every N-th {item}; default: 1",
        )
        command.set_defaults(run=_published, dataset=name)
    rendered = add_command(sets, "rendered", "Convert rendered people (docs/rendered_people.md).")
    rendered.add_argument(
        "source", type=Path, nargs="+", help="folders of rendered people, with different seeds"
    )
    rendered.add_argument("out", type=Path, help="new folder to write")
    rendered.add_argument(
        "--for",
        dest="recipe",
        choices=("small_gaze", "small_action_units"),
        default="small_gaze",
        help="recipe that will read the data set; default: small_gaze",
    )
    rendered.set_defaults(run=_rendered)


def _published(args: argparse.Namespace) -> int:
    from face_perception.faces import load_tracker

    with extra("converting", "pip install '.[training]' in the source tree"):
        module = importlib.import_module(f"face_perception.learning.data.{args.dataset}")
        from face_perception.learning.data.converting import ConversionJob

        job = ConversionJob(args.source, args.out, load_tracker(), args.test, args.every, _report)
        counts = module.convert(job)
    return _counted(counts)


def _rendered(args: argparse.Namespace) -> int:
    from face_perception.faces import load_tracker

    with extra("converting", "pip install '.[training]' in the source tree"):
        module = importlib.import_module("face_perception.learning.data.rendered_people")
        counts = module.convert(
            args.source, args.out, tracker=load_tracker(), recipe=args.recipe, report=_report
        )
    return _counted(counts)


def _report(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _counted(counts: Counter[str]) -> int:
    for reason, count in counts.most_common():
        print(f"{reason if reason == 'written' else 'skipped, ' + reason}: {count}")
    return 0
