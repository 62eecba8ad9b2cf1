"""Which networks a command line means. No command of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from face_perception.inference import Card


def chosen_networks(names: Sequence[str] = ()) -> dict[str, Card]:
    """Cards by what the user called them, a name or the path of a card; no name means all networks.

    Raises ModelError for what there is not, and for what is no network.
    """
    from face_perception.inference import ModelError, catalogue, find_card

    if not names:
        return {name: card for name, card in catalogue().items() if card.kind == "model"}
    cards = {name: find_card(name) for name in names}
    for card in cards.values():
        if card.kind != "model":
            raise ModelError(f"{card.name} is a {card.kind}, not a model")
    return cards
