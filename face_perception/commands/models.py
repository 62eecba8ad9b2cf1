"""``face-perception models``: lists, fetches and verifies the model files."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from face_perception.commands import import_checkpoint as importing
from face_perception.commands import model_variants as variants
from face_perception.commands.subcommands import add_command

if TYPE_CHECKING:
    from face_perception.inference import FileCheck


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = add_command(
        subparsers, "models", "List, fetch, verify, convert and build the files of the networks."
    )
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    for name, action, text in (
        ("list", _list, "List the known models, and whether their files are in the model cache."),
        ("fetch", _fetch, "Download and convert missing and damaged model files."),
        ("verify", _verify, "Compare each model file with its hash."),
    ):
        sub = add_command(actions, name, text)
        sub.add_argument(
            "names", nargs="*", metavar="NAME", help="model; default: all but optional ones"
        )
        if action is not _list:
            sub.add_argument("--quiet", action="store_true", help="print only problems")
        sub.set_defaults(run=action)
    importing.add_parser(actions)
    variants.add_actions(actions)


def _list(args: argparse.Namespace) -> int:
    from rich.console import Console
    from rich.table import Table

    from face_perception.inference import catalogue

    cards = catalogue()
    table = Table(box=None, pad_edge=False)
    for column in ("name", "kind", "task", "licence", "from", "state"):
        table.add_column(column)
    for check in _checks(args.names):
        state = "ready" if not check.problem else "damaged" if check.path.exists() else "missing"
        state = "optional" if check.left_out else state
        if check.name not in cards:
            table.add_row(check.name, "model", "", "", "", state)
            continue
        card = cards[check.name]
        source = card.source.text if card.source else card.origin
        table.add_row(card.name, card.kind, card.task, card.licence, source or "-", state)
    Console().print(table)
    return 0


def _fetch(args: argparse.Namespace) -> int:
    from face_perception.inference import fetch

    def report(name: str, step: str) -> None:
        if not args.quiet:
            print(f"{name}: {step}", file=sys.stderr)

    fetched = fetch(args.names or None, report)
    if not fetched and not args.quiet:
        print("all model files are present and correct", file=sys.stderr)
    return 0


def _verify(args: argparse.Namespace) -> int:
    checks = [check for check in _checks(args.names) if args.names or not check.left_out]
    for check in checks:
        if check.problem:
            print(f"{check.name}: {check.problem}", file=sys.stderr)
        elif not args.quiet:
            print(f"{check.name}: ok ({check.path})")
    return int(any(check.problem for check in checks))


def _checks(names: list[str]) -> list[FileCheck]:
    from face_perception.inference import ModelError, verify_models

    checks = {check.name: check for check in verify_models()}
    for name in names:
        if name not in checks:
            raise ModelError(f"there is no model {name!r}: use one of {', '.join(checks)}")
    return [checks[name] for name in names or checks]
