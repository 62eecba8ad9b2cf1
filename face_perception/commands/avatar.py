"""``face-perception avatar``: a picture or clip of a face is made ready for MuseTalk, and shown."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from face_perception.commands.number_arguments import positive_integer
from face_perception.errors import InputError
from face_perception.files import check_writable
from face_perception.types import Image

PrepareProgress = Callable[[str, float], None]


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser("avatar", help="make a face ready for MuseTalk")
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    sub = actions.add_parser("prepare", help="of a picture or a clip of one face")
    sub.add_argument("source", help="a picture, a video, astronaut or grace_hopper")
    sub.add_argument(
        "-o",
        "--output",
        type=Path,
        metavar="FILE",
        help="default: the source's name with .avatar, in this folder",
    )
    sub.add_argument(
        "--version",
        choices=("1.5", "1.0"),
        help="of MuseTalk; default: the imported UNet's, else 1.5",
    )
    sub.add_argument(
        "--margin", type=int, metavar="PIXELS", help="below the chin; default: 10, and 0 for 1.0"
    )
    sub.add_argument(
        "--shift",
        type=int,
        default=0,
        metavar="PIXELS",
        help="of the face box's middle, for 1.0: more opens the mouth more",
    )
    sub.add_argument(
        "--seconds",
        type=float,
        default=2.0,
        metavar="S",
        help="how long a picture's life is, or the most of a clip that is taken (default: 2)",
    )
    sub.add_argument("--seed", type=int, default=0, help="of a picture's blinks and movements")
    sub.add_argument("--size", default="512x512", metavar="WxH", help="default: %(default)s")
    sub.add_argument("--whole", action="store_true", help="the whole picture, not the face")
    sub.add_argument("--threads", type=positive_integer, default=os.cpu_count() or 1)
    sub.add_argument("--backend", default="auto", choices=("auto", "onnxruntime", "tensorrt"))
    sub.set_defaults(run=_prepare)
    sub = actions.add_parser("show", help="write what an avatar is made of as a picture")
    sub.add_argument("avatar", type=Path, metavar="FILE")
    sub.add_argument("-o", "--output", type=Path, default=Path("avatar.png"), metavar="PICTURE")
    sub.set_defaults(run=_show)
    sub = actions.add_parser(
        "decoders", help="how fast the imported decoders are, and how near the exact one"
    )
    sub.add_argument("avatar", type=Path, metavar="FILE")
    sub.add_argument("--images", type=int, default=4, help="default: %(default)s")
    sub.add_argument("--threads", type=positive_integer, default=os.cpu_count() or 1)
    sub.add_argument("--backend", default="auto", choices=("auto", "onnxruntime", "tensorrt"))
    sub.add_argument("--precision", default="fp32", choices=("fp32", "fp16"))
    sub.set_defaults(run=_decoders)


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
        raise InputError(f"--seconds must be 0.04 to {MAX_PICTURES / 25:g}, not {args.seconds:g}")
    if args.margin is not None and not 0 <= args.margin <= size[1]:
        raise InputError(f"--margin must be 0 to {size[1]} (the height), not {args.margin}")
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
            f"the imported UNet is MuseTalk {imported}: an avatar of {version} is not for it",
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
    without = f", {left_out} without a face left out" if left_out > 0 else ""
    print(f"{output.absolute()}: {len(made.pictures)} pictures{without}, MuseTalk {made.version}")
    return 0


def _check_output(output: Path, example: str) -> None:
    """Refuses what cannot be written, before the work."""
    if output.is_dir():
        raise InputError(f"--output {output} is a folder: name a file, e.g. {example}")
    try:
        check_writable(output)
    except OSError as error:
        raise OSError(
            f"--output {output} cannot be written ({error.strerror}): name another place"
        ) from error


def _pictures(
    args: argparse.Namespace, size: tuple[int, int]
) -> tuple[Iterator[Image], float, int]:
    """Pictures, how many a second, and how many are expected."""
    from face_perception.avatar import SAMPLES, framed_pictures, idle_pictures, load_portrait
    from face_perception.media import FrameReader, refuse_overwriting

    clip = None if args.source in SAMPLES else FrameReader(args.source)
    if clip is not None and args.output is not None:
        refuse_overwriting(args.output, clip)
    if clip is None or clip.still:
        portrait = load_portrait(args.source, size=size, whole=args.whole)
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
        f"{made.fps:g} a second, MuseTalk {made.version}; seen in {args.output}"
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
        raise InputError(f"--images must be 1 to 100, not {args.images}")
    avatar = load_avatar(
        args.avatar, autoencoder=installed_autoencoder_hash(), version=installed_unet_version()
    )

    def load(name: str, precision: str = args.precision) -> inference.Model:
        return inference.load(name, threads=args.threads, backend=args.backend, precision=precision)

    there = {key: name for key, name in DECODERS.items() if name in inference.catalogue()}
    if "exact" not in there:
        raise inference.ModelError(f"{DECODERS['exact']} was not imported: {import_command()}")
    hello = read_wav(paths.resource("resources/speech/hello.wav"))
    speech = hello.samples[:, 0].astype("float32") / 32768
    stream = make_whisper_stream(load("whisper_encoder", "fp32"))
    stream.append_speech(speech, last=True)
    # All is known, so there is each window.
    audio = np.array([stream.image_window(10 + k, 25) for k in range(args.images)], np.float32)
    decoders = {key: load(name) for key, name in there.items()}
    print("decoder    s an image    speed    with UNet    PSNR where it is blended (dB)")
    for one in compare_decoders(avatar, load("musetalk_unet"), decoders, audio):
        print(
            f"{one.decoder:7} {one.seconds:13.4f} {one.speed:7.2f}x {one.speed_of_all:11.2f}x"
            f"    {'exact' if one.decoder == 'exact' else f'{one.psnr:.1f}'}"
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
        raise InputError(f"--size must be 128 to 2048 pixels a side, not {text}")
    return found


@contextlib.contextmanager
def _bar(text: str) -> Iterator[PrepareProgress]:
    """A bar on a terminal; else a line at every tenth."""
    if not sys.stderr.isatty():
        told = -1

        def say(step: str, share: float) -> None:
            nonlocal told
            if int(share * 10) > told:
                told = int(share * 10)
                print(f"{text}: {step} ({share:.0%})", file=sys.stderr)

        yield say
        return
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    with Bar(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(text, total=1.0)
        yield lambda step, share: bar.update(task, completed=share, description=step)
