"""How far one runtime of a network is from another on the same inputs; whether that may serve."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from face_perception.inference.models.cards import Card, ModelError

Array = npt.NDArray[Any]


class Runnable(Protocol):
    """A backend, or a model."""

    def run(self, inputs: Mapping[str, Array], /) -> dict[str, Array]: ...


class Disagreement(ModelError):
    """A backend or variant that was kept off, since it is too far from ONNX Runtime in FP32."""


@dataclass(frozen=True, slots=True)
class Deviation:
    """Of one output, over all reference inputs.

    ``largest`` and ``rms`` in the output's own unit; ``relative`` is rms over how much the output
    varies from input to input (NaN where it does not); ``used`` is the largest share of the card's
    tolerance, which differs from value to value where that has a relative part.
    """

    output: str
    largest: float
    rms: float
    relative: float
    used: float

    @property
    def within(self) -> bool:
        return self.used <= 1

    def __str__(self) -> str:
        return f"{self.output} off by {self.largest:.3g}, {self.used:.1f} times the tolerance"


def deviations(
    card: Card, reference: Runnable, candidate: Runnable, inputs: Mapping[str, Array]
) -> list[Deviation]:
    """Runs both on the reference inputs, one by one as faces come, and compares every output."""
    count = len(next(iter(inputs.values())))
    found = []
    results = [
        [runs.run({name: value[k : k + 1] for name, value in inputs.items()}) for k in range(count)]
        for runs in (reference, candidate)
    ]
    for name, port in card.outputs.items():
        wanted, got = (
            np.concatenate([result[name] for result in run]).astype(np.float64) for run in results
        )
        off = np.abs(got - wanted)
        allowed = port.tolerance + port.relative_tolerance * np.abs(wanted)
        rms = float(np.sqrt(np.mean(off**2)))
        spread = float(np.sqrt(np.mean(wanted.var(axis=0))))
        relative = rms / spread if spread > 0 else math.nan
        # A comparison with NaN says no: it must not pass as the smallest.
        finite = bool(np.isfinite(got).all())
        with np.errstate(divide="ignore", invalid="ignore"):
            used = np.where(off > 0, off / allowed, 0.0)
        found.append(
            Deviation(
                name,
                largest=float(off.max()) if finite else math.inf,
                rms=rms,
                relative=relative,
                used=float(used.max()) if finite else math.inf,
            )
        )
    return found


def check_agreement(
    card: Card, reference: Runnable, candidate: Runnable, inputs: Mapping[str, Array], what: str
) -> list[Deviation]:
    """The deviations of a candidate that may serve. Raises Disagreement naming ``what`` and
    the outputs where one is off by more than the card's tolerance.
    """
    found = deviations(card, reference, candidate, inputs)
    wrong = ", ".join(str(deviation) for deviation in found if not deviation.within)
    if wrong:
        raise Disagreement(
            f"model {card.name}: {what}, disagrees with ONNX Runtime in FP32 and is not used: "
            f"{wrong}"
        )
    return found
