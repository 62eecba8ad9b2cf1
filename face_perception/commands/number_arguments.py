"""Numbers on a command line."""

from __future__ import annotations

import argparse


def positive_integer(text: str) -> int:
    """For ``add_argument(type=...)``: a whole number from 1 on."""
    if not text.strip().isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number from 1 on, not {text}")
    return int(text)
