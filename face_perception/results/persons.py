"""Summarises each person of a clip: totals, rates, shares of time, and how good the data are."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from face_perception.results.clip import Clip, Sample
from face_perception.results.events import (
    Event,
    EventKind,
    is_during,
    smile_strength,
    target_is_evident,
)
from face_perception.results.quality import Quality, assess
from face_perception.types import EXPRESSIONS

# Whether a frame shows if an event of a kind takes place in it.
_EVIDENCE: Mapping[EventKind, Callable[[Sample], bool]] = {
    EventKind.LOOK: target_is_evident,
    EventKind.MUTUAL_GAZE: target_is_evident,
    EventKind.JOINT_ATTENTION: target_is_evident,
    EventKind.BLINK: lambda sample: sample.eyes != "unknown",
    EventKind.EYE_CLOSURE: lambda sample: sample.eyes != "unknown",
    EventKind.SMILE: lambda sample: smile_strength(sample) is not None,
    EventKind.SPEECH: lambda sample: not math.isnan(sample.speaking),
}


@dataclass(frozen=True)
class Amount:
    """Events of one kind: how many, and how long they lasted, seconds."""

    count: int
    total: float

    @property
    def mean(self) -> float:
        """Mean duration, seconds; NaN without an event."""
        return self.total / self.count if self.count else math.nan


@dataclass(frozen=True)
class Mean:
    """Mean and standard deviation over ``frames`` frames, weighted by their length; NaN: none."""

    mean: float
    deviation: float
    frames: int


@dataclass(frozen=True)
class TargetShare:
    """What one person looked at: ``robot``, another person, an object, or ``none``.

    ``share`` is the share of the time in which the target is known.
    """

    clip: str
    person: str
    target: str
    target_person: str
    target_name: str
    looks: Amount
    share: float


@dataclass(frozen=True)
class PersonSummary:
    """One person of a clip. Shares are of time, 0 to 1, NaN if there is no such time.

    - ``seconds``: time in which the face was seen. ``clip_seconds``: length of the clip.
    - ``attention_seconds``: time in which the target is known from the eyes; ``targets`` has its
      shares. ``engaged``: share of the time with known engagement.
    - ``amounts``: of each kind of event that could be seen; a kind without evidence is missing.
    - ``blink_rate``: blinks per minute of the time in which the state of the eyes is known, without
      eye closures.
    - ``expressions``: share of each label in the time with a known expression.
    - ``action_units``: of each unit with an intensity, by FACS number.
    """

    clip: str
    person: str
    person_id: str
    face_ids: tuple[str, ...]
    frames: int
    seconds: float
    clip_seconds: float
    attention_seconds: float
    targets: tuple[TargetShare, ...]
    engaged: float
    amounts: Mapping[EventKind, Amount]
    blink_rate: float
    expressions: Mapping[str, float]
    expression_seconds: float
    valence: Mean
    arousal: Mean
    action_units: Mapping[int, Mean]
    quality: Quality


def summarise_persons(clip: Clip, events: Sequence[Event]) -> list[PersonSummary]:
    """Returns a summary of each person of a clip. ``events`` are those of ``find_events``."""
    return [_summary(clip, person, events) for person in clip.persons]


def _summary(clip: Clip, person: str, events: Sequence[Event]) -> PersonSummary:
    samples = clip.persons[person]
    mine = [event for event in events if person in (event.person, event.partner)]
    amounts = {
        kind: _amount(event for event in mine if event.kind == kind)
        for kind, is_evident in _EVIDENCE.items()
        if any(map(is_evident, samples))
    }
    looks = [event for event in mine if event.kind == EventKind.LOOK]
    elsewhere = _seconds(samples, lambda s: target_is_evident(s) and not is_during(s.start, looks))
    known_expression = _seconds(samples, lambda s: bool(s.expression))
    eyes_known = _seconds(samples, lambda s: s.eyes != "unknown")
    closures, blinks = amounts.get(EventKind.EYE_CLOSURE), amounts.get(EventKind.BLINK)
    watched = eyes_known - (closures.total if closures else 0.0)
    codes = sorted({code for sample in samples for code in sample.action_units})
    return PersonSummary(
        clip=clip.name,
        person=person,
        person_id=samples[0].person_id,
        face_ids=tuple(dict.fromkeys(sample.face_id for sample in samples)),
        frames=len(samples),
        seconds=_seconds(samples),
        clip_seconds=clip.seconds,
        attention_seconds=elsewhere + sum(look.duration for look in looks),
        targets=tuple(_targets(clip, person, looks, elsewhere)),
        engaged=share(
            _seconds(samples, lambda s: s.engagement == "engaged"),
            _seconds(samples, lambda s: s.engagement != "unknown"),
        ),
        amounts=amounts,
        blink_rate=60 * share(blinks.count if blinks else 0, watched),
        expressions={
            name: share(_seconds(s for s in samples if s.expression == name), known_expression)
            for name in EXPRESSIONS
        },
        expression_seconds=known_expression,
        valence=_mean(samples, [s.valence for s in samples]),
        arousal=_mean(samples, [s.arousal for s in samples]),
        action_units={
            code: _mean(samples, [s.action_units.get(code, math.nan) for s in samples])
            for code in codes
        },
        quality=assess(clip, samples),
    )


def _targets(
    clip: Clip, person: str, looks: Sequence[Event], elsewhere: float
) -> Iterator[TargetShare]:
    """Yields the share of each target; ``elsewhere`` is the time without a look, seconds."""
    by_target: dict[tuple[str, str, str], list[Event]] = {("robot", "", ""): []}
    for look in looks:
        key = (look.target, look.target_person, look.target_name)
        by_target.setdefault(key, []).append(look)
    known = elsewhere + sum(look.duration for look in looks)
    for (target, other, name), found in sorted(by_target.items()):
        amount = _amount(found)
        yield TargetShare(
            clip.name, person, target, other, name, amount, share(amount.total, known)
        )
    nothing = Amount(0, elsewhere)
    yield TargetShare(clip.name, person, "none", "", "", nothing, share(elsewhere, known))


def _amount(events: Iterable[Event]) -> Amount:
    durations = [event.duration for event in events]
    return Amount(len(durations), sum(durations))


def _seconds(samples: Iterable[Sample], wanted: Callable[[Sample], bool] | None = None) -> float:
    return sum(sample.seconds for sample in samples if wanted is None or wanted(sample))


def _mean(samples: Sequence[Sample], of: Sequence[float]) -> Mean:
    values = np.array(of)
    known = np.isfinite(values)
    if not known.any():
        return Mean(math.nan, math.nan, 0)
    # A picture lasts no time: all frames then count the same.
    lengths = np.array([sample.seconds for sample in samples])[known]
    weights = lengths if lengths.sum() > 0 else np.ones_like(lengths)
    mean = float(np.average(values[known], weights=weights))
    deviation = math.sqrt(float(np.average((values[known] - mean) ** 2, weights=weights)))
    return Mean(mean, deviation, int(known.sum()))


def share(part: float, whole: float) -> float:
    """Returns ``part`` / ``whole``; NaN if the whole is 0."""
    return part / whole if whole > 0 else math.nan
