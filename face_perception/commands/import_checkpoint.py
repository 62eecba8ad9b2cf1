"""``face-perception import``: makes models for the nodes from published checkpoints.

``learning/<system>/checkpoint.py`` has the reader of each system's checkpoints.
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
from typing import TYPE_CHECKING, Any

from face_perception.commands.subcommands import add_command
from face_perception.optional_modules import extra

if TYPE_CHECKING:
    from face_perception.inference import ModelBuild

# Name of a published system: the help text of its subcommand.
SYSTEMS = {
    "geddnet": "Import GEDDnet (gaze) from a TensorFlow checkpoint or an .npz of its variables.",
    "dilated-net": "Import Dilated-Net (gaze from the eyes) from a TensorFlow checkpoint or an "
    ".npz of its variables.",
    "multitask": "Import a multitask network (action units, expression, valence and arousal), or "
    "an ensemble of several.",
    "multitask-rnn": "Import the multitask CNN-RNN networks, which use several frames.",
    "mimamo": "Import MIMAMO-Net (valence and arousal from video).",
    "lr_asd": "Import LR-ASD (who speaks, from faces and sound).",
    "musetalk": "Import MuseTalk (lip sync of the talking face).",
    "onnx": "Import a gaze or expression network from an ONNX file, as a card describes it.",
}

# Systems for which learning/random_weights.py can make weights (`--random`).
RANDOM = ("geddnet", "dilated-net", "multitask", "multitask-rnn", "lr_asd", "mimamo")


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds ``import`` to ``face-perception`` or to ``face-perception models``."""
    parser = add_command(
        subparsers,
        "import",
        "Make a model for the nodes from a published checkpoint or an ONNX file. Needs onnx, and "
        "torch for all systems but onnx.",
    )
    systems = parser.add_subparsers(metavar="SYSTEM", required=True, parser_class=_SystemParser)
    for system, text in SYSTEMS.items():
        add_command(systems, system, text).set_defaults(run=_import, system=system)


class _SystemParser(argparse.ArgumentParser):
    """Loads the arguments from the system's module once that system is chosen."""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        system = self.get_default("system")
        _module(system).add_arguments(self)
        self.add_argument(
            "--untrained",
            action="store_true",
            help="mark the weights as not trained; the nodes that use the model then say so",
        )
        # Read --random before the other arguments, because it replaces the required PATH.
        early = argparse.ArgumentParser(prog=self.prog, add_help=False)
        seed = None
        if system in RANDOM:
            for parser in (early, self):
                parser.add_argument(
                    "--random",
                    type=int,
                    metavar="SEED",
                    help="use random weights from this seed instead of a file, to test the "
                    "installation",
                )
            found, args = early.parse_known_args(args)
            seed = found.random
        if seed is not None:
            from face_perception.learning import random_weights

            args = [*random_weights.import_arguments(system, _random_folder()), *args]
        namespace, left = super().parse_known_args(args, namespace)
        if seed is not None and (left or len(getattr(namespace, "paths", "1")) > 1):
            self.error("--random replaces all files: give either PATH or --random")
        namespace.random = seed
        return namespace, left


def _import(args: argparse.Namespace) -> int:
    from face_perception.inference import ModelError, catalogue, check_model_name, install_model

    def report(step: str) -> None:
        print(f"{args.system}: {step}", file=sys.stderr)

    if getattr(args, "name", ""):
        check_model_name(args.name)
    with _random_files(args, report):
        for made in _module(args.system).make(args, report):
            if args.untrained or args.random is not None:
                there = catalogue().get(made.name)
                if there is not None and there.origin and there.trained:
                    raise ModelError(
                        f"{made.name} is installed with trained weights ({there.origin}), and "
                        "untrained weights would replace it: delete "
                        f"{there.path.with_suffix('.yaml')}, or choose another --name"
                    )
                made = _labelled(made, args.random)
            card = install_model(made)
            print(f"{card.name}: {card.path}" + ("" if card.trained else f" ({card.origin})"))
    return 0


def _labelled(made: ModelBuild, seed: int | None) -> ModelBuild:
    """Returns the build marked as not trained, in its facts and in its origin."""
    from face_perception.inference import UNTRAINED

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
    """Makes the checkpoint files for ``--random``, and deletes them afterwards."""
    if args.random is None:
        yield
        return
    from face_perception.learning import random_weights

    folder = _random_folder()
    folder.mkdir(mode=0o700)
    try:
        report(f"making random weights, seed {args.random}")
        random_weights.write_checkpoints(args.system, args.random, folder)
        yield
    finally:
        shutil.rmtree(folder)


# Module that reads the published checkpoint, by system.
MODULES = {
    "dilated-net": "face_perception.learning.dilated_net.checkpoint",
    "geddnet": "face_perception.learning.geddnet.checkpoint",
    "lr_asd": "face_perception.learning.lr_asd.checkpoint",
    "mimamo": "face_perception.learning.mimamo.checkpoint",
    "multitask": "face_perception.learning.multitask.checkpoint",
    "multitask-rnn": "face_perception.learning.multitask.checkpoint_rnn",
    "musetalk": "face_perception.learning.musetalk.checkpoint",
    "onnx": "face_perception.learning.onnx_file.checkpoint",
}


def _module(system: str) -> Any:
    packages = "onnx" if system == "onnx" else "torch==2.13.0 onnx"
    with extra(f"importing {system}", f"pip install {packages}"):
        return importlib.import_module(MODULES[system])
