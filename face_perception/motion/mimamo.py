"""Runs MIMAMO-Net on a stream of images: valence and arousal from appearance and motion.

Follows Deng et al. 2020 ("MIMAMO Net: Integrating Micro- and Macro-Motion for Video Emotion
Recognition"). An estimate is for the image ``look_ahead`` ticks before the newest one. Up to six of
these ticks complete the window of phase differences; with fewer, the window repeats the newest
image, as the published code does at the end of a video. Further ticks let the recurrence see the
future.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np

from face_perception.errors import InputError
from face_perception.motion.mimamo_networks import OUTPUT, STREAM_INPUTS, MimamoNetworks
from face_perception.motion.network_images import appearance_images, gray_images
from face_perception.motion.phase import HALF_WINDOW, ImagePhase, image_phases, phase_differences
from face_perception.motion.ticks import TickClock
from face_perception.settings import check, setting
from face_perception.types import FaceCrop, FloatArray, ValenceArousal

T = TypeVar("T")

TICK_RATE = 30.0  # hertz; images a second of the videos that the networks were trained on
# Seconds for which appearance features are kept over a gap, with ``appearance_every`` 0. A gap
# means that the machine is too slow; running the appearance network again would slow it further.
_KEEP_APPEARANCE = 1.0


class _ImageId(NamedTuple, Generic[T]):
    """Identifies an image of the stream: its number, and the caller's ``tag``."""

    number: int
    tag: T


class _TickImage(NamedTuple, Generic[T]):
    """Holds the image at one tick.

    ``image`` is None for a tick without an image, which repeats the nearest image.
    """

    image: _ImageId[T] | None
    phase: ImagePhase
    appearance: FloatArray


class _Window(NamedTuple, Generic[T]):
    """Holds the input of the two streams for one estimate."""

    image: _ImageId[T] | None
    phases: list[ImagePhase]
    appearance: FloatArray


class _Track(Generic[T]):
    """Holds the recent images of one face.

    ``ahead`` ticks of a window come after its middle; ``length`` is the window of the recurrence.
    """

    def __init__(self, face_id: str, ahead: int, length: int) -> None:
        self.face_id = face_id
        self.seen = 0  # images
        self.appearance: FloatArray = np.empty(0, np.float32)
        # Inputs of the recurrence, each with the image that it belongs to.
        self.inputs: deque[tuple[_ImageId[T] | None, Any]] = deque(maxlen=length)
        self._ahead = ahead
        self._count = 0  # ticks
        self._ticks: deque[_TickImage[T]] = deque(maxlen=HALF_WINDOW + ahead + 1)

    def advance(self, image: _ImageId[T], phase: ImagePhase, steps: int) -> Iterator[_Window[T]]:
        """Adds an image ``steps`` ticks after the last one; yields the windows that it completes.

        A tick without an image repeats the nearer of the two images around it.
        """
        new = _TickImage(image, phase, self.appearance)
        if self._ticks:
            last = self._ticks[-1]
            for step in range(1, steps):
                yield from self._put((last if 2 * step <= steps else new)._replace(image=None))
        yield from self._put(new)

    def window(self, beyond: int = 0) -> Iterator[_Window[T]]:
        """Yields the window around the tick ``ahead - beyond`` before the newest, if there is one.

        The window repeats the first and the newest image beyond the ends of the stream.
        """
        middle = self._count - 1 - self._ahead + beyond
        if middle < 0:
            return
        first = self._count - len(self._ticks)
        around = range(middle - HALF_WINDOW, middle + HALF_WINDOW + 1)
        held = (min(max(tick, 0), self._count - 1) - first for tick in around)
        about = self._ticks[middle - first]
        yield _Window(about.image, [self._ticks[i].phase for i in held], about.appearance)

    def _put(self, tick: _TickImage[T]) -> Iterator[_Window[T]]:
        self._ticks.append(tick)
        self._count += 1
        yield from self.window()


_Input = tuple[_Track[T], _ImageId[T] | None, Any]  # the next input of a track's recurrence
_Row = tuple[_ImageId[T] | None, str, FloatArray]  # image, face id, [valence, arousal]


@dataclass(frozen=True)
class MimamoSettings:
    """Settings of ``Mimamo``."""

    look_ahead: int = setting(
        HALF_WINDOW,
        "Number of images, at 30 Hz, after the image that an estimate is for. A larger value gives "
        "later and more accurate estimates: 6 (0.2 s) as published, 0 without delay, more than 6 "
        "only for a recurrence over time.",
        minimum=0,
        maximum=500,
    )
    window: int = setting(
        0,
        "Number of images, at 30 Hz, from which a network with a recurrence over time estimates. A "
        "larger value needs more computing time. 0: the number of its training.",
        minimum=0,
        maximum=500,
    )
    appearance_every: int = setting(
        1,
        "The appearance network, which takes most of the computing time, runs on every n-th image "
        "of a face, where n is this number. 1: on every image, as published. 0: on every image "
        "for which there is time.",
        minimum=0,
        maximum=100,
    )
    max_gap: float = setting(
        0.25,
        "If a face is missing for longer than this, its estimates start again.",
        minimum=0.04,
        maximum=10.0,
        unit="s",
    )


class Mimamo(Generic[T]):
    """Estimates valence and arousal of every face in a stream of aligned crops.

    ``settings`` are in images at 30 Hz (ticks of 1/30 s); None means the defaults. Between two runs
    of the appearance network its features are repeated. With an ``appearance_every`` of 0 it runs
    on each image that is not ``busy``, and its features are kept over a gap of up to 1 s.
    ``one_sided`` unwraps phases as published; see ``phase_differences``.

    ``appearance_runs`` counts the runs of the appearance network. Images that come at another rate
    than 30 Hz are repeated or skipped; see ``TickClock``. Raises InputError if a setting is out of
    range.

    ``load_mimamo`` needs the imported networks (``face-perception import mimamo``):

    >>> settings = MimamoSettings(look_ahead=6)
    >>> mimamo = Mimamo(load_mimamo("mimamo"), settings)  # doctest: +SKIP
    >>> mimamo.estimate("image 0", 0.0, crops)  # doctest: +SKIP
    []
    """

    def __init__(
        self,
        networks: MimamoNetworks,
        settings: MimamoSettings | None = None,
        *,
        one_sided: bool = True,
    ) -> None:
        settings = settings or MimamoSettings()
        check(settings)
        self._over_time = networks.over_time
        window = settings.window or networks.window
        look_ahead = settings.look_ahead
        most = HALF_WINDOW + window - 1 if self._over_time else HALF_WINDOW
        if not 0 <= look_ahead <= most:
            raise InputError(
                f"look_ahead must be from 0 to {most} with {networks.name}, not {look_ahead}"
            )
        self._networks = networks
        self.window = window
        self._phase_ahead = min(look_ahead, HALF_WINDOW)
        self._later = look_ahead - self._phase_ahead
        self._every = settings.appearance_every
        self._one_sided = one_sided
        self._clock = TickClock(TICK_RATE, settings.max_gap)
        self._images = 0
        self.appearance_runs = 0
        self.reset()

    def reset(self) -> None:
        """Forgets all faces."""
        self._tracks: dict[str, _Track[T]] = {}
        self._kept_appearance: dict[str, FloatArray] = {}
        # Results of faces that have left, until those of the other faces in their images are ready.
        self._ended: list[_Row[T]] = []
        self._stamp = -np.inf
        self._clock.reset()

    def estimate(
        self, tag: T, stamp: float, crops: Sequence[FaceCrop], *, busy: bool = False
    ) -> list[tuple[T, list[ValenceArousal]]]:
        """Takes the faces of one image and returns the estimates that are ready, oldest first.

        ``tag`` is any value that identifies the image; it comes back with the image's estimates as
        (tag, estimates). ``stamp`` is in seconds. ``busy`` skips the appearance network for faces
        whose appearance is known; it counts only if ``appearance_every`` is 0.

        A face that is not among ``crops`` is forgotten; a stamp that goes back, or a gap, forgets
        all faces. The estimates of their last images are then computed as by ``finish``, and
        returned with those of the other faces in these images. Raises InputError if a crop is not
        RGB uint8 [160, 160, 3], or if two belong to one face.
        """
        if len({crop.face_id for crop in crops}) < len(crops):
            raise InputError("two crops have the same face id: give one crop for each face")
        grays = gray_images(crops) if crops else None
        tick = self._clock.tick(stamp)
        known = []
        if tick.restarted:
            keep = self._every == 0 and 0 <= stamp - self._stamp <= _KEEP_APPEARANCE
            self._kept_appearance = {i: t.appearance for i, t in self._tracks.items() if keep}
            known = self._end_all()
        self._stamp = stamp
        if tick.steps == 0:
            return known
        here = {crop.face_id for crop in crops}
        self._ended += self._last_of(t for i, t in self._tracks.items() if i not in here)
        self._tracks = {crop.face_id: self._track(crop.face_id) for crop in crops}
        self._kept_appearance = {}
        if grays is None:
            return [*known, *self._end_all(), (tag, [])]
        self._images += 1
        self._update_appearance(crops, busy)
        rows = self._run(
            [
                (track, window)
                for track, phase in zip(self._tracks.values(), image_phases(grays), strict=True)
                for window in track.advance(_ImageId(self._images, tag), phase, tick.steps)
            ]
        )
        # Add the results of faces that have left, for these images and earlier ones.
        newest = max((image.number for image, _, _ in rows if image is not None), default=0)
        due = [row for row in self._ended if row[0] is None or row[0].number <= newest]
        self._ended = [row for row in self._ended if row[0] and row[0].number > newest]
        return known + self._grouped([*due, *rows])

    def finish(self) -> list[tuple[T, list[ValenceArousal]]]:
        """Returns the estimates of the last images, oldest first, and forgets all faces.

        Call it when no more images come. Windows repeat the last image, as published.
        """
        found = self._end_all()
        self.reset()
        return found

    def _end_all(self) -> list[tuple[T, list[ValenceArousal]]]:
        """Returns the estimates of the last images of all faces, oldest first."""
        known = self._grouped([*self._ended, *self._last_of(self._tracks.values())])
        self._tracks, self._ended = {}, []
        return known

    def _last_of(self, tracks: Iterable[_Track[T]]) -> list[_Row[T]]:
        """Returns the results of the last images of faces that have left."""
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
            track.appearance = self._kept_appearance.get(face_id, track.appearance)
        return track

    def _update_appearance(self, crops: Sequence[FaceCrop], busy: bool) -> None:
        """Runs the appearance network on the faces that are due, and on those without features."""

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
        """Runs the networks on windows that are in order of time within each track."""
        if not self._over_time:
            # Without a recurrence over time, ticks without an image are not needed.
            windows = [(track, window) for track, window in windows if window.image is not None]
        if not windows:
            return []
        moved = [phase_differences(w.phases, one_sided=self._one_sided) for _, w in windows]
        streams = [np.stack(level) for level in zip(*moved, strict=True)]
        streams.insert(0, np.stack([window.appearance for _, window in windows]))
        if not self._over_time:
            # One clip: the network treats its images independently.
            found = self._fuse([stream[None] for stream in streams])[0]
            return [(w.image, t.face_id, va) for (t, w), va in zip(windows, found, strict=True)]
        inputs: list[Any] = list(zip(*streams, strict=True))
        if self._networks.frame is not None:
            frame = dict(zip(STREAM_INPUTS, streams, strict=True))
            inputs = list(self._networks.frame.infer(frame)["features"])
        rows = []
        left = [(t, w.image, x) for (t, w), x in zip(windows, inputs, strict=True)]
        while left:
            # Add one input to each track, then run the recurrence, which must end at that input.
            turn, left = _first_of_each_track(left)
            for track, image, x in turn:
                track.inputs.append((image, x))
            rows += self._read([track for track, _, _ in turn], self._later)
        return rows

    def _read(self, tracks: Iterable[_Track[T]], later: int) -> list[_Row[T]]:
        """Runs the recurrence over each window; returns its output ``later`` before the end."""
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
        """Groups results by image, oldest first."""
        groups: dict[int, tuple[T, list[ValenceArousal]]] = {}
        for image, face_id, (valence, arousal) in rows:
            if image is not None:
                value = ValenceArousal(
                    face_id, self._networks.name, _bounded(valence), _bounded(arousal)
                )
                groups.setdefault(image.number, (image.tag, []))[1].append(value)
        return [groups[number] for number in sorted(groups)]


def _first_of_each_track(
    items: Sequence[_Input[T]],
) -> tuple[list[_Input[T]], list[_Input[T]]]:
    """Returns the first item of each track, and the other items."""
    first = {id(track): k for k, (track, _, _) in reversed(list(enumerate(items)))}
    chosen = set(first.values())
    turn = [item for k, item in enumerate(items) if k in chosen]
    return turn, [item for k, item in enumerate(items) if k not in chosen]


def _bounded(value: float) -> float:
    """Clips to [-1, 1], because the network's last layer is linear. NaN stays NaN."""
    return float(np.clip(value, -1, 1))
