"""Reads the names of networks from a command line."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from face_perception.inference import Card


def add_network_names(parser: argparse.ArgumentParser) -> None:
    """Adds the positional argument ``names``, which ``chosen_networks`` takes."""
    parser.add_argument(
        "names",
        nargs="*",
        metavar="NAME",
        help="name of a network, or path of its card; default: all networks",
    )


def chosen_networks(names: Sequence[str] = ()) -> dict[str, Card]:
    """Returns cards by the name or path that the user gave. Without names, returns all
    networks but optional ones that were not fetched.

    Raises ModelError if a name is unknown or is not a network.
    """
    from face_perception.inference import ANY_NETWORK, ModelError, catalogue, find_card

    if not names:
        return {name: card for name, card in catalogue().items() if card.kind == "model"}
    cards = {name: find_card(name, ANY_NETWORK) for name in names}
    for card in cards.values():
        if card.kind != "model":
            raise ModelError(f"{card.name} is a {card.kind}, not a model")
    return cards
