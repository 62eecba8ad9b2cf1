"""``face-perception import``: a published checkpoint becomes a model that nodes use by name.

What each system reads and writes is in ``learning/<system>/checkpoint.py``, where torch is.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import importlib
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from face_perception.commands.optional_modules import extra
from face_perception.inference import (
    UNTRAINED,
    ModelBuild,
    ModelError,
    catalogue,
    check_model_name,
    install_model,
)

# What a system's checkpoint is, by the system's name.
SYSTEMS = {
    "geddnet": "GEDDnet gaze: a TensorFlow checkpoint, or an .npz of its variables",
    "dilated-net": "Dilated-Net gaze from the eyes alone: a TensorFlow checkpoint, or an .npz of "
    "its variables",
    "multitask": "action units, expression, valence and arousal of a face: one student or several",
    "multitask-rnn": "the same over time: CNN-RNN checkpoints",
    "mimamo": "MIMAMO-Net: valence and arousal from video",
    "musetalk": "MuseTalk: lip sync",
}

# Those that `--random` can make weights for; learning/random_weights.py does.
RANDOM = ("geddnet", "dilated-net", "multitask", "multitask-rnn", "mimamo")


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Of ``face-perception import``, and of ``face-perception models import``."""
    parser = subparsers.add_parser(
        "import", help="make a model of a published checkpoint (needs torch and onnx)"
    )
    systems = parser.add_subparsers(metavar="SYSTEM", required=True, parser_class=_SystemParser)
    for system, text in SYSTEMS.items():
        systems.add_parser(system, help=text).set_defaults(run=_import, system=system)


class _SystemParser(argparse.ArgumentParser):
    """Asks the system's own module for its arguments, once it is the one that was chosen."""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        system = self.get_default("system")
        _module(system).add_arguments(self)
        self.add_argument(
            "--untrained",
            action="store_true",
            help="the weights are not trained: whatever runs them says so",
        )
        # In place of any PATH: read first, for argparse asks for one.
        early = argparse.ArgumentParser(prog=self.prog, add_help=False)
        seed = None
        if system in RANDOM:
            for parser in (early, self):
                parser.add_argument(
                    "--random",
                    type=int,
                    metavar="SEED",
                    help="instead of any file: random weights, to see that all works together",
                )
            found, args = early.parse_known_args(args)
            seed = found.random
        if seed is not None:
            from face_perception.learning import random_weights

            args = [*random_weights.arguments(system, _random_folder()), *args]
        namespace, left = super().parse_known_args(args, namespace)
        if seed is not None and (left or len(getattr(namespace, "paths", "1")) > 1):
            self.error("--random stands for every file: leave PATH out, or --random")
        namespace.random = seed
        return namespace, left


def _import(args: argparse.Namespace) -> int:
    def report(step: str) -> None:
        print(f"{args.system}: {step}", file=sys.stderr)

    if hasattr(args, "name"):
        check_model_name(args.name)
    with _random_files(args, report):
        for made in _module(args.system).make(args, report):
            if args.untrained or args.random is not None:
                there = catalogue().get(made.name)
                if there is not None and there.origin and there.trained:
                    raise ModelError(
                        f"{made.name} is there with trained weights ({there.origin}), which "
                        f"untrained ones would replace: delete {there.path.with_suffix('.yaml')}, "
                        "or choose another --name"
                    )
                made = _labelled(made, args.random)
            card = install_model(made)
            print(f"{card.name}: {card.path}" + ("" if card.trained else f" ({card.origin})"))
    return 0


def _labelled(made: ModelBuild, seed: int | None) -> ModelBuild:
    """What ``Card.trained`` reads, and the same in words."""
    facts = {**made.facts, "trained": False}
    if seed is None:
        return dataclasses.replace(made, origin=f"{UNTRAINED}; {made.origin}", facts=facts)
    return dataclasses.replace(
        made,
        origin=f"{UNTRAINED}; seed {seed}",
        licence="none needed for the weights, which are random numbers",
        facts=facts,
    )


def _random_folder() -> Path:
    return Path(tempfile.gettempdir(), f"face_perception-import-{os.getpid()}")


@contextlib.contextmanager
def _random_files(args: argparse.Namespace, report: Any) -> Iterator[None]:
    """The checkpoints that ``--random`` stands for, while they are needed."""
    if args.random is None:
        yield
        return
    from face_perception.learning import random_weights

    folder = _random_folder()
    folder.mkdir(mode=0o700)
    try:
        report(f"making random weights, seed {args.random}")
        random_weights.write(args.system, args.random, folder)
        yield
    finally:
        shutil.rmtree(folder)


# System -> the module that reads its published checkpoint.
MODULES = {
    "dilated-net": "face_perception.learning.dilated_net.checkpoint",
    "geddnet": "face_perception.learning.geddnet.checkpoint",
    "mimamo": "face_perception.learning.mimamo.checkpoint",
    "multitask": "face_perception.learning.multitask.checkpoint",
    "multitask-rnn": "face_perception.learning.multitask.checkpoint_rnn",
    "musetalk": "face_perception.learning.musetalk.checkpoint",
}


def _module(system: str) -> Any:
    with extra(f"importing {system}", "pip install torch==2.13.0 onnx"):
        return importlib.import_module(MODULES[system])
