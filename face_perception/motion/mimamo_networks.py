"""Loads the networks of MIMAMO-Net by the names on their cards."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from face_perception import inference
from face_perception.errors import shortened
from face_perception.inference import Card, Model, ModelError, Purpose

STREAM_INPUTS = ("appearance", "phase0", "phase1")
OUTPUT = "valence_arousal"


def _has_streams(card: Card) -> bool:
    return set(STREAM_INPUTS) <= set(card.inputs) and OUTPUT in card.outputs


MIMAMO_NETWORKS = Purpose(_has_streams, "`face-perception import mimamo`")


@dataclass(frozen=True, slots=True)
class MimamoNetworks:
    """Holds the networks of MIMAMO-Net; made by ``load_mimamo``.

    - ``over_time``: true if the recurrence runs over time, as the paper describes; false if it runs
      over the clips of a batch, as the released weights were trained, so that each image of a clip
      is treated independently.
    - ``appearance``: face -> appearance features.
    - ``fusion``: both streams and the recurrence in one network.
    - ``frame``, ``recurrence``: the same in two networks, so that an image goes through the streams
      once instead of once for each window. Only with ``over_time``.
    - ``window``: length in ticks of the clips that the networks were trained on.

    Raises ModelError if a network is missing or has other inputs or outputs.
    """

    name: str
    over_time: bool
    appearance: Model
    fusion: Model | None = None
    frame: Model | None = None
    recurrence: Model | None = None
    window: int = 64

    def __post_init__(self) -> None:
        _check_ports(self.appearance, ("face",), "features")
        if self.fusion is not None:
            _check_ports(self.fusion, STREAM_INPUTS, OUTPUT)
        elif self.over_time and self.frame is not None and self.recurrence is not None:
            _check_ports(self.frame, STREAM_INPUTS, "features")
            _check_ports(self.recurrence, ("features",), OUTPUT)
        else:
            raise ModelError(
                f"{self.name} needs a fusion network or, over time, frame and recurrence networks: "
                "import it again with `face-perception import mimamo`"
            )

    @property
    def models(self) -> tuple[Model, ...]:
        """Returns the networks in use."""
        models = (self.appearance, self.fusion, self.frame, self.recurrence)
        return tuple(model for model in models if model is not None)


def load_mimamo(name: str, load: Callable[[str], Model] = inference.load) -> MimamoNetworks:
    """Returns the networks of a card such as "mimamo" or "mimamo_released".

    The card names the other networks; ``load`` loads a network by name. Raises ModelError naming
    the model and the fix.
    """
    card = inference.find_card(name, MIMAMO_NETWORKS)
    if not MIMAMO_NETWORKS.fits(card):
        raise ModelError(
            f"model {card.name} does not have inputs {', '.join(STREAM_INPUTS)} and output "
            f"{OUTPUT}: use a model made by `face-perception import mimamo`"
        )
    facts = card.facts
    axis, appearance = facts.get("recurrence"), facts.get("appearance")
    if axis not in ("time", "clips") or not appearance:
        raise ModelError(
            f"the card of model {card.name} must have the facts recurrence (time or clips, not "
            f"{shortened(axis)}) and appearance (the name of a model): import the model again"
        )
    over_time = axis == "time"
    window = card.count_fact("window", 64)
    if over_time and facts.get("frame") and facts.get("over_time"):
        return MimamoNetworks(
            card.name,
            over_time,
            load(str(appearance)),
            frame=load(str(facts["frame"])),
            recurrence=load(str(facts["over_time"])),
            window=window,
        )
    return MimamoNetworks(card.name, over_time, load(str(appearance)), load(name), window=window)


def _check_ports(model: Model, inputs: Sequence[str], output: str) -> None:
    if set(model.inputs) != set(inputs) or output not in model.outputs:
        raise ModelError(
            f"model {model.name} has input {', '.join(model.inputs)} and output "
            f"{', '.join(model.outputs)}: use one with input {', '.join(inputs)} and output "
            f"{output}"
        )
