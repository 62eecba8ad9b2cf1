"""What subcommands share: one text for their list entry and their own help, and warnings."""

from __future__ import annotations

import argparse
import sys
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


def print_warning(text: str) -> None:
    """Prints a line on the standard error, which is not part of the output."""
    print(text, file=sys.stderr)
