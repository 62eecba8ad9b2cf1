"""Arguments that the commands ``face-perception import SYSTEM`` share."""

from __future__ import annotations

import argparse


def add_name(parser: argparse.ArgumentParser, default: str, others: str = "") -> None:
    """Adds ``--name``. ``others`` says, if there are more models, what they are called."""
    text = f"name of the model; {others}" if others else "name of the model"
    parser.add_argument("--name", default=default, help=f"{text}; default: {default}")
