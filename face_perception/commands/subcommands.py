"""Adds a subcommand to the command line with one text for its list entry and its own help."""

from __future__ import annotations

import argparse
from typing import Any, TypeVar

Parser = TypeVar("Parser", bound=argparse.ArgumentParser)


def add_command(
    subparsers: argparse._SubParsersAction[Parser], name: str, text: str, **options: Any
) -> Parser:
    """Adds the subcommand ``name`` and returns its parser.

    ``text`` is one sentence. ``--help`` of the parent lists it, and ``--help`` of the subcommand
    starts with it. ``options`` are passed to ``ArgumentParser``.
    """
    return subparsers.add_parser(name, help=text, description=text, **options)
