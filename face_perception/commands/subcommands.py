"""Adds a subcommand to the command line with one text for its list entry and its own help."""

from __future__ import annotations

import argparse
from typing import Any

Subparsers = argparse._SubParsersAction


def add_command(
    subparsers: Subparsers[Any], name: str, text: str, **options: Any
) -> argparse.ArgumentParser:
    """Adds the subcommand ``name`` and returns its parser.

    ``text`` is one sentence. ``--help`` of the parent lists it, and ``--help`` of the subcommand
    starts with it. ``options`` are passed to ``ArgumentParser``.
    """
    parser: argparse.ArgumentParser = subparsers.add_parser(name, help=text, description=text, **options)
    return parser
