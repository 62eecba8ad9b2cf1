"""Reads numbers from a command line."""

from __future__ import annotations

import argparse


def positive_integer(text: str) -> int:
    """Converts a text to an integer of at least 1, for ``add_argument(type=...)``."""
    if not text.strip().isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be an integer of at least 1, not {text}")
    return int(text)


def whole_number(text: str) -> int:
    """Converts a text to an integer of at least 0, for ``add_argument(type=...)``."""
    if not text.strip().isdecimal():
        raise argparse.ArgumentTypeError(f"must be an integer of at least 0, not {text}")
    return int(text)
