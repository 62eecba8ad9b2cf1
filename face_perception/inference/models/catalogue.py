"""Finds model cards: those of the package and those in the model cache."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path

from face_perception import paths
from face_perception.inference.models.cards import Card, ModelError, read_card
from face_perception.inference.models.purpose import ANY, Purpose

_log = logging.getLogger(__name__)


def catalogue() -> dict[str, Card]:
    """Returns all cards by name: first those of the package, then the imported ones.

    Raises ModelError for a broken card of the package. Skips a broken card in the model cache, with
    a warning in the log.

    >>> from face_perception.inference import catalogue
    >>> "face_mesh" in catalogue()
    True
    """
    cards = {path.stem: read_card(path) for path in _package_cards().values()}
    for name, path in imported_cards().items():
        try:
            cards[name] = read_card(path, folder=path.parent)
        except ModelError as error:
            _log.warning("%s", error)
    return cards


def used_cards(names: Iterable[str]) -> dict[str, Card]:
    """Returns the cards of the package, and the imported ones that are used, by name.

    ``names`` may be names of models, paths of cards, or anything else. A model whose card names
    another one needs it: a recurrent network its trunk, a motion network its parts.
    """
    known = catalogue()
    found = {name: card for name, card in known.items() if card.folder is None}
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        card = known.get(name) or _card_at(name)
        if card is not None and card.name not in found:
            found[card.name] = card
            waiting += [fact for fact in card.facts.values() if isinstance(fact, str)]
            waiting.append(f"{card.name}_trunk")  # of a card that does not name it
    return found


def _card_at(text: str) -> Card | None:
    """Returns the card whose path is a text; None if it is no path of a card."""
    path = Path(text)
    if path.suffix != ".yaml":
        return None
    try:
        return read_card(path, folder=path.absolute().parent)
    except (ModelError, OSError):
        return None


def imported_cards() -> dict[str, Path]:
    """Returns the paths of the cards in the model cache by name, without those of variants."""
    found = {path.stem: path for path in sorted(paths.models_dir().glob("*.yaml"))}
    ours = _package_cards()
    return {name: path for name, path in found.items() if "." not in name and name not in ours}


def _package_cards() -> dict[str, Path]:
    return {path.stem: path for path in sorted(paths.resource("resources/models").glob("*.yaml"))}


def find_card(name: str | Path, purpose: Purpose = ANY) -> Card:
    """Returns the card of a model, given its name or the path of the card.

    The file of a card that is given by its path is in the same folder. Raises ModelError, which
    lists the names that can be used for ``purpose``, if there is no such card. Whether a card that
    is found can be used for it, the caller must check.

    >>> from face_perception.inference import find_card
    >>> find_card("face_detector").outputs["boxes"].shape
    (None, 2304, 16)
    """
    path = purpose.bundled_card(str(name)) or Path(name)
    if path.suffix == ".yaml" or len(path.parts) > 1:
        return read_card(path, folder=path.absolute().parent)
    ours, imported = _package_cards(), imported_cards()
    if str(name) in ours:
        return read_card(ours[str(name)])
    if str(name) not in imported:
        raise ModelError(purpose.no_model(str(name), catalogue().values()))
    return read_card(imported[str(name)], folder=imported[str(name)].parent)
