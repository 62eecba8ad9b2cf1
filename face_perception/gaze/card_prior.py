"""Reads and writes the prior of a gaze network as plain values, such as those in its card."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

from face_perception.errors import InputError, one_line, shortened
from face_perception.gaze.estimator_prior import NETWORK_PRIOR, AxisPrior, EstimatorPrior
from face_perception.inference import Card, ModelError
from face_perception.settings import did_you_mean

PRIOR_FACT = "prior"  # fact of a card
# Values that may be 0. Calibrations divide by the others, which are at least _LEAST.
_MAY_BE_0 = ("bias", "scale_sigma", "sigma", "share", "lid_gain", "pitch_with_lids")
_LEAST = 1e-4


def prior_of_card(card: Card) -> EstimatorPrior:
    """Returns the prior in the card of a gaze network; ``NETWORK_PRIOR`` if it has none.

    Raises ModelError if it is not a prior.
    """
    content = card.facts.get(PRIOR_FACT)
    if content is None:
        return NETWORK_PRIOR
    try:
        return prior_from_values(content)
    except InputError as error:
        raise ModelError(
            f"the card of model {card.name} has a wrong {PRIOR_FACT}: {error}; import or train the "
            "model again"
        ) from error


def prior_from_values(content: Any) -> EstimatorPrior:
    """Returns the prior with these values by name; the others keep their defaults.

    Raises InputError that names a value that is unknown, or is not a finite number that is large
    enough.

    >>> prior_from_values({"noise": 0.04, "pitch": {"gain": 1.6}}).pitch.gain
    1.6
    """
    found = _values(EstimatorPrior, content, "the prior")
    yaw, pitch = (
        AxisPrior(**_numbers(_values(AxisPrior, found.pop(axis, {}), axis), f"{axis}."))
        for axis in ("yaw", "pitch")
    )
    return dataclasses.replace(EstimatorPrior(yaw, pitch), **_numbers(found, ""))


def prior_values(prior: EstimatorPrior) -> dict[str, Any]:
    """Returns all values of a prior by name, rounded to 5 digits after the point."""

    def rounded(values: Mapping[str, Any]) -> dict[str, Any]:
        return {
            name: rounded(value) if isinstance(value, dict) else round(value, 5)
            for name, value in values.items()
        }

    return rounded(dataclasses.asdict(prior))


def _values(kind: type[Any], content: Any, what: str) -> dict[str, Any]:
    names = [field.name for field in dataclasses.fields(kind)]
    if not isinstance(content, Mapping):
        raise InputError(f"{what} must have values by name, not be {shortened(content)}")
    for name in content:
        if name not in names:
            known = did_you_mean(str(name), names) or f": use some of {', '.join(names)}"
            raise InputError(f"{what} has no value {one_line(str(name), 80)}{known}")
    return dict(content)


def _numbers(values: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    for name, value in values.items():
        number = isinstance(value, int | float) and not isinstance(value, bool)
        least = 0.0 if name in _MAY_BE_0 else _LEAST
        if not number or not least <= value < math.inf:
            raise InputError(
                f"{prefix}{name} must be a finite number of at least {least:g}, not "
                f"{shortened(value)}"
            )
    return {name: float(value) for name, value in values.items()}
