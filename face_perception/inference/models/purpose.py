"""What a model is needed for, so that an error about an unknown name lists the names that work."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from face_perception import paths
from face_perception.errors import shortened
from face_perception.inference.models.cards import Card


@dataclass(frozen=True, slots=True)
class Purpose:
    """What a model is needed for, such as gaze. ``find_card`` and ``load`` take one.

    - ``fits``: whether the model of a card can be used.
    - ``made_by``: the commands that make such a model, for errors.
    - ``bundled``: cards of the package that only this purpose uses: their paths in the package, by
      name.
    - ``others``: names that the user may give and that need no card, such as ``geometric``.

    >>> from face_perception.inference import find_card, ModelError
    >>> voices = Purpose(lambda card: "voice" in card.task, "`face-perception fetch`")
    >>> try:
    ...     find_card("voice_activty", voices)
    ... except ModelError as error:
    ...     print(str(error)[:60])
    there is no model 'voice_activty': use one of voice_activity
    """

    fits: Callable[[Card], bool]
    made_by: str = "`face-perception import`"
    bundled: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    others: tuple[str, ...] = ()

    def bundled_card(self, name: str) -> Path | None:
        """Returns the path of the card that the package has for this purpose alone; None if it has
        none.
        """
        return paths.resource(self.bundled[name]) if name in self.bundled else None

    def no_model(self, name: str, cards: Iterable[Card]) -> str:
        """Says that no model has this ``name``, which ones can be used, and how to get one."""
        known = [*self.others, *self.bundled, *(card.name for card in cards if self.fits(card))]
        listed = f"one of {', '.join(known)}, " if known else ""
        return (
            f"there is no model {shortened(name)}: use {listed}the path of a model card, or "
            f"get one with {self.made_by}"
        )


ANY = Purpose(lambda card: True)  # of models and photographs
ANY_NETWORK = Purpose(lambda card: card.kind == "model")
