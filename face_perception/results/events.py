"""Finds events in the results of a clip: looks, blinks, smiles, speech, and gaze that is shared.

A frame without evidence (no face, or an unknown value) neither begins nor ends an event. An event
goes on across such frames if the same state follows within ``longest_gap``; else it ended with the
last frame that showed it.
"""

from __future__ import annotations

import bisect
import itertools
import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum

from face_perception.event_settings import EventSettings
from face_perception.results.clip import Clip, Sample
from face_perception.settings import check

_SMILE, _BLINK = 12, 45  # action units
_HEAD_POSE = "head_pose"  # ``Attention.source`` if only the direction of the head is known
_ROUNDING = 1e-6  # seconds; stamps are rounded to this
_OFF = ""  # label of a frame that shows that the event does not take place


class EventKind(str, Enum):
    """Kinds of events, with their names in tables."""

    LOOK = "look"
    MUTUAL_GAZE = "mutual_gaze"
    JOINT_ATTENTION = "joint_attention"
    BLINK = "blink"
    EYE_CLOSURE = "eye_closure"
    SMILE = "smile"
    SPEECH = "speech"


@dataclass(frozen=True, slots=True)
class Event:
    """An event of one person. Times are stamps of the clip, seconds.

    - ``person``: key in ``Clip.persons``; ``face_id``: that of the first frame.
    - ``target``: of a look and of what two share: ``robot``, ``face`` or ``object``; else empty.
      ``target_person`` is the person that is looked at, ``target_id`` that person's face in the
      first frame, ``target_name`` the name of the object.
    - ``onset``: stamp of the first frame. ``offset``: stamp of the first frame after the event.
    - ``frame``: number of the first frame. ``frames``: number of frames that showed the event.
    - ``confidence``: mean over these frames; NaN if unknown.
    - ``peak``: highest intensity of the action unit of a blink, an eye closure or a smile; NaN.
    - ``onset_seen``, ``offset_seen``: false if the person was in the state when evidence began or
      ended, so that the event may be longer.
    - ``partner``: of mutual gaze and joint attention: the other person; else empty.
    """

    kind: EventKind
    person: str
    face_id: str
    person_id: str
    target: str
    target_person: str
    target_id: str
    target_name: str
    onset: float
    offset: float
    frame: int
    frames: int
    confidence: float
    peak: float
    onset_seen: bool
    offset_seen: bool
    partner: str = ""

    @property
    def duration(self) -> float:
        """Seconds."""
        return self.offset - self.onset


@dataclass(slots=True)
class _Run:
    """Samples with one label: indices of the first and the last one, and of all."""

    label: str
    indices: list[int]
    onset_seen: bool = False
    offset_seen: bool = False


def find_events(clip: Clip, settings: EventSettings | None = None) -> list[Event]:
    """Returns the events of all persons of a clip, in the order of their onsets.

    - A **look** lasts from the frame in which its target began (``target_since``) to the frame in
      which the next one began. Only frames with a valid gaze are evidence; a target that was
      guessed from the head pose is not. A blink does not end a look; an eye closure does.
    - A **blink** or **eye closure** is a time with shut eyes. It is an eye closure if they were
      shut for longer than a blink lasts (``eyes`` became ``closed``).
    - A **smile** is a time with action unit 12, see ``EventSettings``.
    - A **turn of speech** is a time in which the person speaks, pauses included.
    - **Mutual gaze** is a time in which two persons look at each other, **joint attention** one in
      which they look at the same third person or object. It has one row, of the person that the
      clip shows first.

    Raises InputError if a setting is out of range.
    """
    used = settings or EventSettings()
    check(used)
    events: list[Event] = []
    for person, samples in clip.persons.items():
        events += _looks(clip, person, samples, used)
        events += _shut(person, samples, used)
        events += _smiles(person, samples, used)
        events += _speech(person, samples, used)
    looks = [event for event in events if event.kind == EventKind.LOOK]
    events += [*_mutual(clip, looks), *_joint(clip, looks)]
    return sorted(events, key=lambda event: (event.onset, event.person, event.kind.value))


def target_is_evident(sample: Sample) -> bool:
    """Returns whether the eyes of a sample say what the person looks at, or that it is nothing."""
    if sample.eyes == "closed":
        return True
    guessed = sample.attention_source in (_HEAD_POSE, "")
    return sample.gaze_valid and not guessed and sample.target != "unknown"


def is_during(stamp: float, events: Sequence[Event]) -> bool:
    """Returns whether a stamp lies in one of some events, which are in order and do not overlap."""
    at = bisect.bisect_right(events, stamp, key=lambda event: event.onset) - 1
    return at >= 0 and stamp < events[at].offset


def _looks(
    clip: Clip, person: str, samples: Sequence[Sample], settings: EventSettings
) -> list[Event]:
    labels = [_look_label(clip, sample) for sample in samples]
    reported = list(labels)
    _move_changes_to_target_since(samples, labels)
    found = []
    for run in _runs(samples, labels, settings.longest_gap):
        # Frames before the tracker decided still have the confidence of the last target.
        decided = [samples[i] for i in run.indices if reported[i] == run.label]
        target, _, name = run.label.partition(" ")
        found.append(
            _event(
                EventKind.LOOK, person, samples, run,
                [sample.target_confidence for sample in decided],
                target=target,
                target_person=name if target == "face" else "",
                target_id=decided[0].target_id if decided and target == "face" else "",
                target_name=name if target == "object" else "",
            )
        )  # fmt: skip
    return _not_shorter(found, settings.shortest_look)


def _look_label(clip: Clip, sample: Sample) -> str | None:
    """Returns what a sample says about the target: "robot", "face PERSON" or "object NAME"."""
    if not target_is_evident(sample):
        return None
    if sample.eyes == "closed" or sample.target == "none":
        return _OFF
    if sample.target == "face":
        return f"face {clip.person_of.get(sample.target_id, sample.target_id)}"
    return f"object {sample.target_name}" if sample.target == "object" else sample.target


def _move_changes_to_target_since(samples: Sequence[Sample], labels: list[str | None]) -> None:
    """Gives samples from ``target_since`` on the label of the target that was decided later."""
    before: str | None = None
    for i, label in enumerate(labels):
        if label is None or label == before:
            continue
        before = label
        # Closed eyes look at nothing at once, although the tracker holds the target for a blink.
        since = math.nan if samples[i].eyes == "closed" else samples[i].target_since
        for k in range(i - 1, -1, -1):
            # A comparison with NaN is false.
            if not samples[k].start >= since - _ROUNDING:
                break
            if labels[k] is not None:
                labels[k] = label


def _shut(person: str, samples: Sequence[Sample], settings: EventSettings) -> list[Event]:
    def label(sample: Sample) -> str | None:
        if sample.is_shut:
            return "shut"
        return _OFF if sample.eyes == "open" else None

    found = []
    labels = [label(sample) for sample in samples]
    for run in _runs(samples, labels, settings.longest_gap, pause=settings.shortest_opening):
        closed = any(samples[i].eyes == "closed" for i in run.indices)
        kind = EventKind.EYE_CLOSURE if closed else EventKind.BLINK
        found.append(_unit_event(kind, person, samples, run, _BLINK))
    return _not_shorter(found, settings.shortest_blink)


def smile_strength(sample: Sample) -> tuple[float, bool] | None:
    """Returns the intensity of action unit 12; else its probability, and true; else None."""
    if _SMILE in sample.action_units:
        return sample.action_units[_SMILE], False
    if _SMILE in sample.unit_probability:
        return sample.unit_probability[_SMILE], True
    return None


def _smiles(person: str, samples: Sequence[Sample], settings: EventSettings) -> list[Event]:
    labels: list[str | None] = []
    smiling, known = False, -1  # the last sample whose strength is known
    for i, sample in enumerate(samples):
        strength = smile_strength(sample)
        if strength is None:
            labels.append(None)
            continue
        value, is_probability = strength
        level = settings.smile_probability if is_probability else settings.smile_level
        goes_on = smiling and _follows(samples, known, i, settings.longest_gap)
        smiling, known = value >= (level / 2 if goes_on else level), i
        labels.append("smile" if smiling else _OFF)
    runs = _runs(samples, labels, settings.longest_gap)
    found = [_unit_event(EventKind.SMILE, person, samples, run, _SMILE) for run in runs]
    return _not_shorter(found, settings.shortest_smile)


def _speech(person: str, samples: Sequence[Sample], settings: EventSettings) -> list[Event]:
    def label(sample: Sample) -> str | None:
        if math.isnan(sample.speaking):
            return None
        return "speech" if sample.speaking >= settings.speech_probability else _OFF

    labels = [label(sample) for sample in samples]
    runs = _runs(samples, labels, settings.longest_gap, pause=settings.speech_pause)
    found = [
        _event(
            EventKind.SPEECH, person, samples, run, [samples[i].speaking for i in run.indices]
        )
        for run in runs
    ]  # fmt: skip
    return _not_shorter(found, settings.shortest_speech)


def _not_shorter(events: Iterable[Event], shortest: float) -> list[Event]:
    return [event for event in events if event.duration >= shortest - _ROUNDING]


def _runs(
    samples: Sequence[Sample],
    labels: Sequence[str | None],
    longest_gap: float,
    pause: float = 0.0,
) -> list[_Run]:
    """Returns the runs of equal labels, without those that are off.

    A label of None is no evidence. A run that is off for at most ``pause`` seconds joins the two
    runs beside it if they have the same label.
    """
    runs: list[_Run] = []
    for i, label in enumerate(labels):
        if label is None:
            continue
        follows = bool(runs) and _follows(samples, runs[-1].indices[-1], i, longest_gap)
        if runs and follows and runs[-1].label == label:
            runs[-1].indices.append(i)
            continue
        if runs and follows:
            runs[-1].offset_seen = True
        runs.append(_Run(label, [i], onset_seen=follows))
    joined: list[_Run] = []
    for run in runs:
        joined.append(run)
        if len(joined) < 3:
            continue
        before, between, after = joined[-3:]
        whole = between.onset_seen and between.offset_seen and between.label == _OFF
        lasted = _gap(samples, before.indices[-1], after.indices[0])
        if whole and before.label == after.label and lasted <= pause + _ROUNDING:
            before.indices += after.indices
            before.offset_seen = after.offset_seen
            del joined[-2:]
    return [run for run in joined if run.label != _OFF]


def _follows(samples: Sequence[Sample], before: int, after: int, longest_gap: float) -> bool:
    return _gap(samples, before, after) <= longest_gap + _ROUNDING


def _gap(samples: Sequence[Sample], before: int, after: int) -> float:
    """Returns the time between the end of a sample and the start of a later one, seconds.

    A stamp that goes back is an endless gap.
    """
    gap = samples[after].start - samples[before].end
    return math.inf if samples[after].start < samples[before].start else gap


def _unit_event(
    kind: EventKind, person: str, samples: Sequence[Sample], run: _Run, code: int
) -> Event:
    shown = [samples[i] for i in run.indices]
    return _event(
        kind, person, samples, run,
        [sample.unit_confidence.get(code, math.nan) for sample in shown],
        peak=max((s.action_units[code] for s in shown if code in s.action_units), default=math.nan),
    )  # fmt: skip


def _event(
    kind: EventKind,
    person: str,
    samples: Sequence[Sample],
    run: _Run,
    confidence: Iterable[float],
    *,
    target: str = "",
    target_person: str = "",
    target_id: str = "",
    target_name: str = "",
    peak: float = math.nan,
) -> Event:
    first, last = samples[run.indices[0]], samples[run.indices[-1]]
    known = [value for value in confidence if not math.isnan(value)]
    return Event(
        kind, person, first.face_id, first.person_id, target, target_person, target_id, target_name,
        first.start, last.end, first.frame, len(run.indices),
        statistics.fmean(known) if known else math.nan,
        peak, run.onset_seen, run.offset_seen,
    )  # fmt: skip


def _mutual(clip: Clip, looks: Sequence[Event]) -> list[Event]:
    at: dict[tuple[str, str], list[Event]] = {}
    for look in looks:
        if look.target_person in clip.persons and look.target_person != look.person:
            at.setdefault((look.person, look.target_person), []).append(look)
    return [
        _both(clip, EventKind.MUTUAL_GAZE, a, b)
        for (one, other), mine in at.items()
        if one < other
        for a, b in itertools.product(mine, at.get((other, one), ()))
        if _overlap(a, b)
    ]


def _joint(clip: Clip, looks: Sequence[Event]) -> list[Event]:
    at: dict[tuple[str, str], list[Event]] = {}
    for look in looks:
        if look.target != "robot":
            at.setdefault((look.target_person, look.target_name), []).append(look)
    found = []
    for same in at.values():
        same.sort(key=lambda look: look.onset)
        for place, a in enumerate(same):
            for b in itertools.islice(same, place + 1, None):
                if b.onset >= a.offset:
                    break
                if a.person != b.person and _overlap(a, b):
                    found.append(_both(clip, EventKind.JOINT_ATTENTION, a, b))
    return found


def _overlap(a: Event, b: Event) -> bool:
    return min(a.offset, b.offset) - max(a.onset, b.onset) > _ROUNDING


def _both(clip: Clip, kind: EventKind, a: Event, b: Event) -> Event:
    """Returns what two looks that overlap share, as an event of the person who comes first."""
    order = list(clip.persons)
    a, b = sorted((a, b), key=lambda look: order.index(look.person))
    begins = max(a, b, key=lambda look: look.onset)
    ends = min(a, b, key=lambda look: look.offset)
    samples = clip.persons[a.person]
    first, last = (
        bisect.bisect_left(samples, stamp - _ROUNDING, key=lambda sample: sample.start)
        for stamp in (begins.onset, ends.offset)
    )
    return Event(
        kind, a.person, a.face_id, a.person_id,
        a.target, a.target_person, a.target_id, a.target_name,
        begins.onset, ends.offset, begins.frame, last - first, min(a.confidence, b.confidence),
        math.nan, begins.onset_seen, ends.offset_seen, b.person,
    )  # fmt: skip
