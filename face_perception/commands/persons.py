"""``face-perception persons``: lists and forgets the persons that the node people has enrolled."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from face_perception.commands.subcommands import add_command

if TYPE_CHECKING:
    from face_perception.people import EnrolledStore


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = add_command(subparsers, "persons", "List or forget the persons who are enrolled.")
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    listing = add_command(actions, "list", "List the enrolled persons.")
    listing.set_defaults(run=_list)
    forget = add_command(
        actions,
        "forget",
        "Remove the templates of a person, or of everybody. A running node people notices it "
        "within a second.",
    )
    whom = forget.add_mutually_exclusive_group(required=True)
    whom.add_argument("person", nargs="?", metavar="NAME", help="the person to forget")
    whom.add_argument("--everybody", action="store_true", help="forget all persons")
    forget.set_defaults(run=_forget)
    for action in (listing, forget):
        action.add_argument(
            "--folder",
            type=Path,
            metavar="FOLDER",
            help="folder of the enrolled persons; default: ~/.local/share/face_perception/enrolled",
        )


def _store(folder: Path | None) -> EnrolledStore:
    from face_perception.people import EnrolledStore

    return EnrolledStore(folder, lambda text: print(text, file=sys.stderr))


def _list(args: argparse.Namespace) -> int:
    store = _store(args.folder)
    persons = store.load_all()
    for person in persons:
        enrolled = time.strftime("%Y-%m-%d %H:%M", time.localtime(person.made))
        print(f"{person.person_id}: {len(person.templates)} looks, {enrolled}, {person.revision}")
    if not persons:
        print(f"nobody is enrolled in {store.folder}", file=sys.stderr)
    return 0


def _forget(args: argparse.Namespace) -> int:
    store = _store(args.folder)
    if args.everybody:
        if count := store.forget_everybody():
            print(f"forgot {count} persons; {store.folder} has no templates now")
        else:
            print(f"nobody is enrolled in {store.folder}", file=sys.stderr)
        return 0
    if store.forget(args.person):
        print(f"forgot {args.person}")
        return 0
    print(f"{args.person} is not enrolled in {store.folder}", file=sys.stderr)
    return 1
