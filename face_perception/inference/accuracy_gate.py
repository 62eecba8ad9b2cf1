"""The accuracy gate: compares a backend or variant of a network with ONNX Runtime in FP32."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from face_perception.inference.models.cards import Card, ModelError

Array = npt.NDArray[Any]

# Counts changes of Deviation and of how it is computed: verdicts kept before no longer hold.
GATE_REVISION = 1


class Runnable(Protocol):
    """A backend or a model: anything with ``run``."""

    def run(self, inputs: Mapping[str, Array], /) -> dict[str, Array]: ...


class Disagreement(ModelError):
    """The gate refused a backend or variant, because it deviates too much from FP32."""


@dataclass(frozen=True, slots=True)
class Deviation:
    """Deviation of one output from ONNX Runtime in FP32, over all reference inputs.

    ``largest`` and ``rms`` are in the output's unit. ``relative`` is ``rms`` divided by the
    standard deviation of the output over the inputs (NaN if that is 0). ``used`` is the largest
    deviation divided by its tolerance: the gate accepts up to 1. The tolerance of a value is the
    card's absolute tolerance plus its relative tolerance times the value.

    >>> angle = Deviation("gaze", largest=0.02, rms=0.004, relative=0.03, used=2.0)
    >>> angle.within, str(angle)
    (False, 'gaze deviates by 0.02, 2.0 times the tolerance')
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
        return f"{self.output} deviates by {self.largest:.3g}, {self.used:.1f} times the tolerance"


def deviations(
    card: Card, reference: Runnable, candidate: Runnable, inputs: Mapping[str, Array]
) -> list[Deviation]:
    """Runs both on the reference inputs, one sample per call, and compares every output."""
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
        # Comparisons with NaN are false, so NaN would pass as a small deviation. Use infinity.
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


def refuse_deviating(card: Card, found: Sequence[Deviation], what: str) -> None:
    """Raises Disagreement if a deviation exceeds the card's tolerance.

    The error names ``what`` (the candidate) and the outputs.
    """
    wrong = ", ".join(str(deviation) for deviation in found if not deviation.within)
    if wrong:
        raise Disagreement(
            f"model {card.name}: {what}, deviates too much from ONNX Runtime in FP32 and is not "
            f"used: {wrong}"
        )
