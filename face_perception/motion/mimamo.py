"""MIMAMO-Net on a stream: valence and arousal from how faces look and how they move.

An estimate is about the image ``look_ahead`` ticks before the newest. Of these, up to six serve the
phase differences, whose window repeats the newest image where it is cut short, as published at the
end of a video; the rest is what the recurrence sees of the future.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np

from face_perception.errors import InputError
from face_perception.motion.mimamo_networks import OUTPUT, STREAM_INPUTS, MimamoNetworks
from face_perception.motion.network_images import appearance_images, gray_images
from face_perception.motion.phase import HALF_WINDOW, ImagePhase, image_phases, phase_differences
from face_perception.motion.ticks import TickClock
from face_perception.types import FaceCrop, FloatArray, ValenceArousal

T = TypeVar("T")

TICK_RATE = 30.0  # images a second of the videos that the networks are trained on
# Seconds for which a face's appearance still stands where its motion had to begin anew: images
# that were left out for want of time must not cost still more of it.
_SAME_LOOK = 1.0


class _Own(NamedTuple, Generic[T]):
    """An image of the stream: its number, and what the caller calls it."""

    number: int
    tag: T


class _TickImage(NamedTuple, Generic[T]):
    """An image at a tick; ``own`` is None where it only stands in for one that is missing."""

    own: _Own[T] | None
    phase: ImagePhase
    appearance: FloatArray


class _Window(NamedTuple, Generic[T]):
    """What the two streams see for one estimate."""

    own: _Own[T] | None
    phases: list[ImagePhase]
    appearance: FloatArray


class _Track(Generic[T]):
    """What is remembered of one face; ``ahead`` ticks of a window come after its middle."""

    def __init__(self, face_id: str, ahead: int, length: int) -> None:
        self.face_id = face_id
        self.seen = 0  # images
        self.appearance: FloatArray = np.empty(0, np.float32)
        # What the recurrence reads, and of which image it is.
        self.inputs: deque[tuple[_Own[T] | None, Any]] = deque(maxlen=length)
        self._ahead = ahead
        self._count = 0  # ticks
        self._ticks: deque[_TickImage[T]] = deque(maxlen=HALF_WINDOW + ahead + 1)

    def advance(self, own: _Own[T], phase: ImagePhase, steps: int) -> Iterator[_Window[T]]:
        """Puts an image ``steps`` ticks after the last one; gives the windows that are whole now.

        Ticks without an image have the nearer one's.
        """
        new = _TickImage(own, phase, self.appearance)
        if self._ticks:
            last = self._ticks[-1]
            for step in range(1, steps):
                yield from self._put((last if 2 * step <= steps else new)._replace(own=None))
        yield from self._put(new)

    def window(self, beyond: int = 0) -> Iterator[_Window[T]]:
        """The window about the tick ``ahead`` before the newest, or ``beyond`` nearer; none before
        the first. It repeats the first and the newest image where it goes beyond them.
        """
        middle = self._count - 1 - self._ahead + beyond
        if middle < 0:
            return
        first = self._count - len(self._ticks)
        around = range(middle - HALF_WINDOW, middle + HALF_WINDOW + 1)
        held = (min(max(tick, 0), self._count - 1) - first for tick in around)
        about = self._ticks[middle - first]
        yield _Window(about.own, [self._ticks[i].phase for i in held], about.appearance)

    def _put(self, tick: _TickImage[T]) -> Iterator[_Window[T]]:
        self._ticks.append(tick)
        self._count += 1
        yield from self.window()


# What the recurrence is to read next of a track.
_Input = tuple[_Track[T], _Own[T] | None, Any]
# What is said: of which image, of which face, its valence and arousal.
_Row = tuple[_Own[T] | None, str, FloatArray]


class Mimamo(Generic[T]):
    """Valence and arousal of every face of a stream of aligned patches.

    - ``look_ahead``: ticks (thirtieths of a second) after the image that an estimate is about. 6 is
      as published; 0 is without delay, on what has been seen; more than 6 also lets a recurrence
      over time look ahead.
    - ``window``: ticks that a recurrence over time sees; 0: as many as it was trained on.
    - ``appearance_every``: the network for appearance, by far the dearest, runs on every so many
      images of a face; what it found stands for those between. 0: on each that is not ``busy``,
      and then what it found also outlasts a gap of up to a second.
    - ``max_gap``: seconds between two images after which all begins anew.
    - ``one_sided``: unwrap as published, see ``phase_differences``.

    Images of other rates are repeated or left out, see ``TickClock``; estimates are about images only.
    Raises InputError where a setting is out of range.
    """

    def __init__(
        self,
        networks: MimamoNetworks,
        *,
        look_ahead: int = HALF_WINDOW,
        window: int = 0,
        appearance_every: int = 1,
        max_gap: float = 0.25,
        one_sided: bool = True,
    ) -> None:
        self._over_time = networks.over_time
        if appearance_every < 0:
            raise InputError(f"appearance_every must not be negative, not {appearance_every}")
        window = window or networks.window
        if window < 1:
            raise InputError(f"window must not be negative, not {window}")
        most = HALF_WINDOW + window - 1 if self._over_time else HALF_WINDOW
        if not 0 <= look_ahead <= most:
            raise InputError(
                f"look_ahead must be from 0 to {most} with {networks.name}, not {look_ahead}"
            )
        self._networks = networks
        self.window = window
        self._phase_ahead = min(look_ahead, HALF_WINDOW)
        self._later = look_ahead - self._phase_ahead
        self._every = appearance_every
        self._one_sided = one_sided
        self._clock = TickClock(TICK_RATE, max_gap)
        self._images = 0
        self.appearance_runs = 0  # runs of the network for appearance
        self.reset()

    def reset(self) -> None:
        """Forget every face."""
        self._tracks: dict[str, _Track[T]] = {}
        self._looked: dict[str, FloatArray] = {}
        # What is known of faces that have left, until others say theirs of the same images.
        self._ended: list[_Row[T]] = []
        self._stamp = -np.inf
        self._clock.reset()

    def estimate(
        self, tag: T, stamp: float, crops: Sequence[FaceCrop], *, busy: bool = False
    ) -> list[tuple[T, list[ValenceArousal]]]:
        """Takes the faces of the image of ``stamp`` seconds. Returns what is known now: ``tag`` of
        the image that it is about, and its faces; the oldest image first.

        A face that is not among ``crops`` is forgotten, a stamp that goes back or a gap forgets
        all; what a look-ahead has kept of their last images is then said as by ``finish``, with
        what others say of the same images. Raises InputError for a patch that is not RGB uint8
        [160, 160, 3], or two of a face.
        """
        if len({crop.face_id for crop in crops}) < len(crops):
            raise InputError("an image has two patches of the same face")
        grays = gray_images(crops) if crops else None
        tick = self._clock.tick(stamp)
        known = []
        if tick.restarted:
            same = self._every == 0 and 0 <= stamp - self._stamp <= _SAME_LOOK
            self._looked = {i: t.appearance for i, t in self._tracks.items() if same}
            known = self._end_all()
        self._stamp = stamp
        if tick.steps == 0:
            return known
        here = {crop.face_id for crop in crops}
        self._ended += self._last_of(t for i, t in self._tracks.items() if i not in here)
        self._tracks = {crop.face_id: self._track(crop.face_id) for crop in crops}
        self._looked = {}
        if grays is None:
            return [*known, *self._end_all(), (tag, [])]
        self._images += 1
        self._look(crops, busy)
        rows = self._run(
            [
                (track, window)
                for track, phase in zip(self._tracks.values(), image_phases(grays), strict=True)
                for window in track.advance(_Own(self._images, tag), phase, tick.steps)
            ]
        )
        # What ended faces have of these and earlier images.
        newest = max((own.number for own, _, _ in rows if own is not None), default=0)
        due = [row for row in self._ended if row[0] is None or row[0].number <= newest]
        self._ended = [row for row in self._ended if row[0] and row[0].number > newest]
        return known + self._grouped([*due, *rows])

    def finish(self) -> list[tuple[T, list[ValenceArousal]]]:
        """What is known of the last images once no more come, oldest first; forgets every face.

        Windows then repeat the last image, as published.
        """
        found = self._end_all()
        self.reset()
        return found

    def _end_all(self) -> list[tuple[T, list[ValenceArousal]]]:
        """What is known of the last images of every face, oldest first."""
        known = self._grouped([*self._ended, *self._last_of(self._tracks.values())])
        self._tracks, self._ended = {}, []
        return known

    def _last_of(self, tracks: Iterable[_Track[T]]) -> list[_Row[T]]:
        """What is known of the last images of faces that have left."""
        tracks = list(tracks)
        rows = []
        for beyond in range(1, self._phase_ahead + 1):
            rows += self._run([(t, window) for t in tracks for window in t.window(beyond)])
        for later in reversed(range(self._later)):
            rows += self._read(tracks, later)
        return rows

    def _track(self, face_id: str) -> _Track[T]:
        track = self._tracks.get(face_id)
        if track is None:
            track = _Track(face_id, self._phase_ahead, self.window)
            track.appearance = self._looked.get(face_id, track.appearance)
        return track

    def _look(self, crops: Sequence[FaceCrop], busy: bool) -> None:
        """Appearance of the faces whose turn it is; always of one that has none."""

        def is_due(track: _Track[T]) -> bool:
            if self._every:
                return track.seen % self._every == 0
            return not track.appearance.size or not busy

        due = [c for c in crops if is_due(self._tracks[c.face_id])]
        self.appearance_runs += bool(due)
        if due:
            found = self._networks.appearance.infer({"face": appearance_images(due)})["features"]
            for crop, features in zip(due, found, strict=True):
                self._tracks[crop.face_id].appearance = features
        for track in self._tracks.values():
            track.seen += 1

    def _run(self, windows: Sequence[tuple[_Track[T], _Window[T]]]) -> list[_Row[T]]:
        """Windows, oldest first within a track, through the networks."""
        if not self._over_time:
            # Nobody looks back at one that is about no image of its own.
            windows = [(track, window) for track, window in windows if window.own is not None]
        if not windows:
            return []
        moved = [phase_differences(w.phases, one_sided=self._one_sided) for _, w in windows]
        streams = [np.stack(level) for level in zip(*moved, strict=True)]
        streams.insert(0, np.stack([window.appearance for _, window in windows]))
        if not self._over_time:
            # One clip: no image knows of another, whosever it is.
            found = self._fuse([stream[None] for stream in streams])[0]
            return [(w.own, t.face_id, va) for (t, w), va in zip(windows, found, strict=True)]
        inputs: list[Any] = list(zip(*streams, strict=True))
        if self._networks.frame is not None:
            frame = dict(zip(STREAM_INPUTS, streams, strict=True))
            inputs = list(self._networks.frame.infer(frame)["features"])
        rows = []
        left = [(t, w.own, x) for (t, w), x in zip(windows, inputs, strict=True)]
        while left:
            # One of each track at a time, so that the recurrence ends at it.
            turn, left = _firsts(left)
            for track, own, x in turn:
                track.inputs.append((own, x))
            rows += self._read([track for track, _, _ in turn], self._later)
        return rows

    def _read(self, tracks: Iterable[_Track[T]], later: int) -> list[_Row[T]]:
        """What the recurrence, over each track's whole window, says ``later`` before its end."""
        by_length: dict[int, list[_Track[T]]] = {}
        for track in tracks:
            length = len(track.inputs)
            if length > later and track.inputs[-1 - later][0] is not None:
                by_length.setdefault(length, []).append(track)
        rows = []
        for of_length in by_length.values():
            batch = [[x for _, x in track.inputs] for track in of_length]
            if self._networks.recurrence is not None:
                found = self._networks.recurrence.infer({"features": np.array(batch)})[OUTPUT]
            else:
                streams = zip(*(zip(*window, strict=True) for window in batch), strict=True)
                found = self._fuse([np.array(stream) for stream in streams])
            rows += [
                (track.inputs[-1 - later][0], track.face_id, va[-1 - later])
                for track, va in zip(of_length, found, strict=True)
            ]
        return rows

    def _fuse(self, streams: Sequence[FloatArray]) -> FloatArray:
        assert self._networks.fusion is not None
        return self._networks.fusion.infer(dict(zip(STREAM_INPUTS, streams, strict=True)))[OUTPUT]

    def _grouped(self, rows: Iterable[_Row[T]]) -> list[tuple[T, list[ValenceArousal]]]:
        """By image, oldest first."""
        groups: dict[int, tuple[T, list[ValenceArousal]]] = {}
        for own, face_id, (valence, arousal) in rows:
            if own is not None:
                value = ValenceArousal(
                    face_id, self._networks.name, _bounded(valence), _bounded(arousal)
                )
                groups.setdefault(own.number, (own.tag, []))[1].append(value)
        return [groups[number] for number in sorted(groups)]


def _firsts(items: Sequence[_Input[T]]) -> tuple[list[_Input[T]], list[_Input[T]]]:
    """The first of each track, and the others."""
    first = {id(track): k for k, (track, _, _) in reversed(list(enumerate(items)))}
    chosen = set(first.values())
    turn = [item for k, item in enumerate(items) if k in chosen]
    return turn, [item for k, item in enumerate(items) if k not in chosen]


def _bounded(value: float) -> float:
    """The network's last layer is linear; a NaN stays one."""
    return float(np.clip(value, -1, 1))
