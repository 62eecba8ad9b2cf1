"""``face-perception avatar``: prepares a picture or video of a face for MuseTalk."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from face_perception.commands.number_arguments import positive_integer
from face_perception.commands.subcommands import add_command
from face_perception.errors import InputError
from face_perception.files import check_writable

if TYPE_CHECKING:
    from face_perception.types import Image

PrepareProgress = Callable[[str, float], None]


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = add_command(subparsers, "avatar", "Prepare a face for MuseTalk, and inspect it.")
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    sub = add_command(
        actions, "prepare", "Make a MuseTalk avatar file from a picture or video of one face."
    )
    sub.add_argument(
        "source", help="picture or video file, or a sample photograph: astronaut, grace_hopper"
    )
    sub.add_argument(
        "-o",
        "--output",
        type=Path,
        metavar="FILE",
        help="avatar file to write; default: the name of the source with the suffix .avatar, in "
        "the current folder",
    )
    sub.add_argument(
        "--version",
        choices=("1.5", "1.0"),
        help="version of MuseTalk; default: that of the imported UNet, or 1.5 without one",
    )
    sub.add_argument(
        "--margin",
        type=int,
        metavar="PIXELS",
        help="space below the chin in the face box; default: 10 for version 1.5, 0 for 1.0",
    )
    sub.add_argument(
        "--shift",
        type=int,
        default=0,
        metavar="PIXELS",
        help="moves the middle of the face box down, for version 1.0; larger values open the mouth "
        "wider; default: 0",
    )
    sub.add_argument(
        "--seconds",
        type=float,
        default=2.0,
        metavar="S",
        help="length of the idle motion of a picture, or the largest part of a video to use; "
        "default: 2",
    )
    sub.add_argument(
        "--seed",
        type=int,
        default=0,
        help="random seed of the idle motion of a picture; default: %(default)s",
    )
    sub.add_argument(
        "--size",
        default="512x512",
        metavar="WxH",
        help="size of the avatar's pictures in pixels; default: %(default)s",
    )
    sub.add_argument(
        "--whole",
        action="store_true",
        help="use the whole picture instead of the part with the face",
    )
    _add_runtime(sub)
    sub.set_defaults(run=_prepare)
    sub = add_command(actions, "show", "Write a contact sheet of an avatar file as a PNG picture.")
    sub.add_argument("avatar", type=Path, metavar="FILE", help="file of `avatar prepare`")
    sub.add_argument(
        "-o",
        "--output",
        type=Path,
        default=Path("avatar.png"),
        metavar="PICTURE",
        help="picture to write; default: %(default)s",
    )
    sub.set_defaults(run=_show)
    sub = add_command(
        actions,
        "decoders",
        "Compare the imported MuseTalk decoders in speed and in deviation from the exact one.",
    )
    sub.add_argument("avatar", type=Path, metavar="FILE", help="file of `avatar prepare`")
    sub.add_argument(
        "--images", type=int, default=4, help="number of images to decode; default: %(default)s"
    )
    _add_runtime(sub)
    sub.add_argument(
        "--precision",
        default="fp32",
        choices=("fp32", "fp16"),
        help="precision of the UNet and the decoders; default: %(default)s",
    )
    sub.set_defaults(run=_decoders)


def _add_runtime(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--threads",
        type=positive_integer,
        default=os.cpu_count() or 1,
        help="CPU threads of each network; default: all cores",
    )
    parser.add_argument(
        "--backend",
        default="auto",
        choices=("auto", "onnxruntime", "tensorrt"),
        help="runtime of the networks; auto: TensorRT if it and a GPU are there; default: auto",
    )


def _prepare(args: argparse.Namespace) -> int:
    from face_perception.avatar import (
        MAX_PICTURES,
        VERSIONS,
        FaceEncoder,
        installed_autoencoder_hash,
        installed_unet_version,
        prepare_avatar,
    )
    from face_perception.avatar import save_avatar as save

    size = _size(args.size)
    if not 0.04 <= args.seconds <= MAX_PICTURES / 25:
        raise InputError(
            f"--seconds must be from 0.04 to {MAX_PICTURES / 25:g}, not {args.seconds:g}"
        )
    if args.margin is not None and not 0 <= args.margin <= size[1]:
        raise InputError(f"--margin must be from 0 to {size[1]} (the height), not {args.margin}")
    if not abs(args.shift) <= size[1]:
        raise InputError(f"--shift must be at most the height, {size[1]}, not {args.shift}")
    if args.seed < 0:
        raise InputError(f"--seed must be 0 or more, not {args.seed}")
    output: Path = args.output or Path(f"{Path(args.source).stem}.avatar")
    _check_output(output, "me.avatar")
    imported = installed_unet_version()
    version = args.version or imported or VERSIONS[0]
    if imported not in ("", version):
        print(
            f"warning: the imported UNet is MuseTalk {imported} and cannot use an avatar of "
            f"version {version}: leave --version out, or import that version",
            file=sys.stderr,
        )
    pictures, fps, expected = _pictures(args, size)
    encoder = FaceEncoder.load(backend=args.backend, threads=args.threads)
    with _bar(f"{args.source}") as progress:
        made = prepare_avatar(
            pictures,
            encoder,
            source=Path(args.source).name,
            autoencoder=installed_autoencoder_hash(),
            version=version,
            shift=args.shift,
            margin=args.margin,
            fps=fps,
            expected=expected,
            progress=progress,
        )
    save(output, made)
    left_out = expected - len(made.pictures)
    without = f", {left_out} skipped because they show no face" if left_out > 0 else ""
    print(f"{output.absolute()}: {len(made.pictures)} pictures{without}, MuseTalk {made.version}")
    return 0


def _check_output(output: Path, example: str) -> None:
    """Raises InputError or OSError if ``output`` cannot be written, before the work starts."""
    if output.is_dir():
        raise InputError(f"--output {output} is a folder: name a file, e.g. {example}")
    try:
        check_writable(output)
    except OSError as error:
        raise OSError(
            f"--output {output} cannot be written ({error.strerror}): choose another folder"
        ) from error


def _pictures(
    args: argparse.Namespace, size: tuple[int, int]
) -> tuple[Iterator[Image], float, int]:
    """Returns the pictures, their rate in pictures per second, and the expected number of them."""
    from face_perception.avatar import SAMPLES, framed_pictures, idle_pictures, load_portrait
    from face_perception.media import FrameReader, refuse_overwriting

    clip = None if args.source in SAMPLES else FrameReader(args.source)
    if clip is not None and args.output is not None:
        refuse_overwriting(args.output, clip)
    if clip is None or clip.still:
        portrait = load_portrait(args.source, size=size, whole=args.whole)
        for text in portrait.warnings:
            print(f"warning: {text}", file=sys.stderr)
        count = max(1, round(args.seconds * 25))
        return idle_pictures(portrait, args.seconds, seed=args.seed), 25.0, count
    taken = max(1, round(args.seconds * clip.rate))

    def frames() -> Iterator[Image]:
        with clip:
            for k, frame in enumerate(clip):
                if k >= taken:
                    return
                yield frame.image

    expected = min(taken, clip.count or taken)
    return framed_pictures(frames(), size=size, whole=args.whole), clip.rate, expected


def _show(args: argparse.Namespace) -> int:
    import cv2

    from face_perception.avatar import contact_sheet, load_avatar
    from face_perception.files import write_atomically

    _check_output(args.output, "avatar.png")
    made = load_avatar(args.avatar)
    done, data = cv2.imencode(".png", cv2.cvtColor(contact_sheet(made), cv2.COLOR_RGB2BGR))
    assert done
    write_atomically(args.output, data.tobytes())
    width, height = made.size
    print(
        f"{args.avatar}: {len(made.pictures)} pictures of {made.source}, {width}x{height}, "
        f"{made.fps:g} per second, MuseTalk {made.version}; contact sheet: {args.output}"
    )
    return 0


def _decoders(args: argparse.Namespace) -> int:
    import numpy as np

    from face_perception import inference, paths
    from face_perception.avatar import (
        DECODERS,
        compare_decoders,
        import_command,
        installed_autoencoder_hash,
        installed_unet_version,
        load_avatar,
        make_whisper_stream,
    )
    from face_perception.speech import read_wav

    if not 1 <= args.images <= 100:
        raise InputError(f"--images must be from 1 to 100, not {args.images}")
    avatar = load_avatar(
        args.avatar, autoencoder=installed_autoencoder_hash(), version=installed_unet_version()
    )

    def load(name: str, precision: str = args.precision) -> inference.Model:
        return inference.load(name, threads=args.threads, backend=args.backend, precision=precision)

    there = {key: name for key, name in DECODERS.items() if name in inference.catalogue()}
    if "exact" not in there:
        raise inference.ModelError(f"{DECODERS['exact']} is not imported: {import_command()}")
    hello = read_wav(paths.resource("resources/speech/hello.wav"))
    speech = hello.samples[:, 0].astype("float32") / 32768
    stream = make_whisper_stream(load("whisper_encoder", "fp32"))
    stream.append_speech(speech, last=True)
    # The whole recording was pushed, so every window is available.
    audio = np.array([stream.image_window(10 + k, 25) for k in range(args.images)], np.float32)
    decoders = {key: load(name) for key, name in there.items()}
    print("decoder    s / image    speed    with UNet    PSNR in the blended region (dB)")
    for one in compare_decoders(avatar, load("musetalk_unet"), decoders, audio):
        print(
            f"{one.decoder:7} {one.seconds:13.4f} {one.speed:7.2f}x {one.speed_of_all:11.2f}x    "
            f"{'exact' if one.decoder == 'exact' else f'{one.psnr:.1f}'}"
        )
    for key in DECODERS.keys() - there.keys():
        print(f"{key:7} not imported: {import_command(key, alone=key == 'tiny')}")
    return 0


def _size(text: str) -> tuple[int, int]:
    width, _, height = text.partition("x")
    if not (width.isdecimal() and height.isdecimal()):
        raise InputError(f"--size must be WIDTHxHEIGHT in pixels, e.g. 512x512, not {text}")
    found = int(width), int(height)
    if not all(128 <= side <= 2048 for side in found):
        raise InputError(f"--size must be from 128 to 2048 pixels in width and height, not {text}")
    return found


@contextlib.contextmanager
def _bar(text: str) -> Iterator[PrepareProgress]:
    """Shows a progress bar on a terminal. Elsewhere prints a line for every tenth of the work."""
    if not sys.stderr.isatty():
        tenths = -1

        def print_step(step: str, share: float) -> None:
            nonlocal tenths
            if int(share * 10) > tenths:
                tenths = int(share * 10)
                print(f"{text}: {step} ({share:.0%})", file=sys.stderr)

        yield print_step
        return
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    with Bar(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(text, total=1.0)
        yield lambda step, share: bar.update(task, completed=share, description=step)
