"""``python -m face_perception.learning.synthesis.rendered OUT``: renders people into a folder."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from face_perception.errors import FacePerceptionError
from face_perception.learning.synthesis.rendered.contact_sheet import write_contact_sheet
from face_perception.learning.synthesis.rendered.dataset import DatasetSettings, render_dataset


def main() -> int:
    default = DatasetSettings()
    parser = argparse.ArgumentParser(
        prog="python -m face_perception.learning.synthesis.rendered",
        description="Render people whose gaze, head pose and action units are known. An "
        "interrupted run continues where it ended.",
    )
    parser.add_argument("out", type=Path, help="folder of pictures and truth")
    for name, text in (
        ("images", "number of pictures"),
        ("views", "pictures of each person"),
        ("size", "width and height of a picture, pixels"),
        ("samples", "light paths a pixel"),
        ("seed", "another seed makes other people"),
    ):
        value = getattr(default, name)
        parser.add_argument(f"--{name}", type=int, default=value, help=f"{text}; default: {value}")
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument(
        "--gaze", action="store_true", help="close and quick pictures, to train gaze networks"
    )
    kind.add_argument(
        "--expressions",
        action="store_true",
        help="quick pictures of strong expressions, to train networks for action units",
    )
    parser.add_argument("--processes", type=int, default=1, help="processes; default: 1")
    parser.add_argument("--sheet", type=Path, help="also write a contact sheet to this file")
    args = parser.parse_args()
    settings = DatasetSettings(
        args.seed, args.images, args.views, args.size, args.samples, args.gaze, args.expressions
    )
    began = time.monotonic()
    first: list[int] = []

    def progress(done: int, wanted: int) -> None:
        first[:] = first or [done]
        spent, made = time.monotonic() - began, done - first[0]
        left = f", {spent / made * (wanted - done) / 60:.0f} minutes left" if made else ""
        print(f"{done} of {wanted} pictures{left}", flush=True)

    try:
        render_dataset(args.out, settings, processes=args.processes, progress=progress)
        if args.sheet:
            write_contact_sheet(args.out, args.sheet)
    except FacePerceptionError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
