"""``face-perception import``: a published checkpoint becomes a model that nodes use by name.

What each system reads and writes is in ``networks/import_<system>.py``, where torch is.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from typing import Any

# What a system's checkpoint is, by the system's name.
SYSTEMS = {
    "geddnet": "GEDDnet gaze: a TensorFlow checkpoint, or an .npz of its variables",
    "multitask": "action units, expression, valence and arousal of a face: one student or several",
    "multitask-rnn": "the same over time: CNN-RNN checkpoints",
    "mimamo": "MIMAMO-Net: valence and arousal from video",
    "musetalk": "MuseTalk: lip sync",
}


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Of ``face-perception import``, and of ``face-perception models import``."""
    parser = subparsers.add_parser(
        "import", help="make a model of a published checkpoint (needs torch and onnx)"
    )
    systems = parser.add_subparsers(metavar="SYSTEM", required=True, parser_class=_SystemParser)
    for system, text in SYSTEMS.items():
        if _is_there(system):
            systems.add_parser(system, help=text).set_defaults(run=_import, system=system)


class _SystemParser(argparse.ArgumentParser):
    """Asks the system's own module for its arguments, once it is the one that was chosen."""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        system = self.get_default("system")
        _module(system).add_arguments(self)
        return super().parse_known_args(args, namespace)


def _import(args: argparse.Namespace) -> int:
    from face_perception.inference import install

    def report(step: str) -> None:
        print(f"{args.system}: {step}", file=sys.stderr)

    for made in _module(args.system).make(args, report):
        card = install(made)
        print(f"{card.name}: {card.path}")
    return 0


def _name(system: str) -> str:
    return f"face_perception.networks.import_{system.replace('-', '_')}"


def _is_there(system: str) -> bool:
    from face_perception import paths

    return (paths.package() / "networks" / f"{_name(system).rpartition('.')[2]}.py").exists()


def _module(system: str) -> Any:
    try:
        return importlib.import_module(_name(system))
    except ImportError as error:
        if error.name is None or error.name.startswith("face_perception"):
            raise
        raise RuntimeError(
            f"importing {system} needs {error.name}: pip install torch==2.13.0 onnx"
        ) from error
