"""The talking face as a whole: speech in, frames out on the audio clock. Knows no ROS, no device;
one thread calls `step` over and over, any thread may call the rest.
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from face_perception.avatar.interfaces import Animator, Renderer, SpeechListener
from face_perception.avatar.playback.audio_clock import AudioClock, FramePacer
from face_perception.avatar.playback.mouth_feed import MouthFeed
from face_perception.avatar.playback.playback_queue import PlaybackQueue
from face_perception.avatar.screens.screen import Screen, ScreenFrame
from face_perception.speech import (
    MOUTH_RATE,
    REST,
    AudioChunk,
    Mouth,
    MouthShape,
    SpeechSegment,
    SpeechStream,
)

# After an utterance, so that the mouth knows what follows its last sound.
_TAIL = 0.2
_CLOSING = 0.05  # seconds that an interrupted mouth takes to close: with a frame's, less than 0.1
_INTERRUPTED = 0.5  # seconds for which the state says so
_POLL = 0.02
_FIRST_LEAD = 0.03
_AT_LEAST = 0.02  # of what a resampler keeps back at first, that counts as waited
# A sender whose clock is slow: where its speech is quiet it is drawn out by this much, seconds,
# once so much less is waiting than did before.
_STRETCH, _LESS = 0.01, 0.012
_QUIET = 0.006
_SMOOTH = 0.1  # share of what waits that a chunk counts
_WINDOW = 5.0


class PerformerState(IntEnum):
    """What the face does; values as in AvatarState.msg."""

    IDLE = 1
    SPEAKING = 2
    INTERRUPTED = 3


@dataclass(frozen=True, slots=True)
class PerformerReport:
    """How it goes: rates over the last seconds, times in seconds.

    ``rendered`` frames a second were made, ``delivered`` reached the screens in time. Offsets are
    the audio that a frame is for minus the audio that was heard as it was shown: negative for a
    late frame. ``first_frame`` is from an utterance's first chunk to its first frame, of the last
    one; NaN before. ``ran_dry``: how often speech came too late to go on without a gap. The last
    four are what was wrong with chunks (see ``SpeechStream``), and utterances broken off.
    """

    rendered: float
    delivered: float
    dropped: int
    offset: float
    worst_offset: float
    recent_worst_offset: float
    first_frame: float
    worst_first_frame: float
    render_time: float
    clock_rate: float
    ran_dry: int
    late_chunks: int
    cut_off_chunks: int
    other_chunks: int
    broken_off: int


class Performer:
    """Has a face speak: chunks of speech in, frames to ``screens`` out.

    ``delay`` is how long after its arrival speech is heard, ``end_after`` how long after the last
    chunk the face gives an utterance up. ``playback_queue`` is what a player takes the audio from, and
    ``clock`` what the player tells its position to; `step` needs one that does so. ``listener`` is
    a renderer that hears the speech itself.
    """

    def __init__(
        self,
        mouth: Mouth,
        animator: Animator,
        renderer: Renderer,
        *,
        fps: float = 30.0,
        delay: float = 0.1,
        end_after: float = 0.5,
        audio_rate: int = 48_000,
        listener: SpeechListener | None = None,
        now: Callable[[], float] = time.monotonic,
        wait: Callable[[float], object] = time.sleep,
    ) -> None:
        self._mouth, self._animator, self._renderer = mouth, animator, renderer
        self._listener = listener
        self._now, self._wait = now, wait
        self.clock = AudioClock()
        self.playback_queue = PlaybackQueue(audio_rate, delay, 1 / fps)
        self.screens: Sequence[Screen] = ()
        self._pacer = FramePacer(self.clock, fps)
        self._stream = SpeechStream(
            tuple({MOUTH_RATE, audio_rate}), delay=delay, end_after=end_after
        )
        self._lock = threading.Lock()
        # For the thread of `step`: samples for the mouth, None where it is to forget, or a wish.
        self._todo: deque[npt.NDArray[np.float32] | Callable[[], None] | None] = deque()
        self._base = 0.0  # time in the speech of the mouth's first sample
        self._feed = MouthFeed(mouth)  # the same thread's
        self._spoken: tuple[float, float] | None = None  # (speech, position) of the last sound
        self._shape = REST
        self._closed_at = -np.inf
        self._activity, self._since = PerformerState.IDLE, now()
        self._begun: float | None = None  # arrival of an utterance that has no frame yet
        self._came: float | None = None  # the same, that has no sound yet
        self._waits = self._waited = float("nan")  # before a chunk: now, and at most so far
        self._first_frame = self._worst_first_frame = float("nan")
        self._lead, self._spread = _FIRST_LEAD, 0.0
        self._last_time = 0.0
        self._ran_dry = 0
        self._rendered: deque[float] = deque(maxlen=1000)
        self._delivered: deque[float] = deque(maxlen=1000)
        self.playback_queue.add_listener(self._let_hear)

    # What is said to the face.

    def push_speech(self, chunk: AudioChunk) -> None:
        """Takes a chunk of speech."""
        now = self._now()
        with self._lock:
            self._take(self._stream.push_chunk(chunk, now), now)

    def interrupt(self) -> bool:
        """Stops speaking at once; returns whether it was speaking."""
        now = self._now()
        with self._lock:
            speaking = self._activity is PerformerState.SPEAKING
            self._stream.interrupt(now)
            self.playback_queue.cancel()
            self._forget()
            if speaking:
                self._closed_at = now
                self._become(PerformerState.INTERRUPTED, now)
        return speaking

    def set_expression(self, probability: npt.ArrayLike | None) -> None:
        """The expression to show, [7] in the order of ``types.EXPRESSIONS``; None for neutral."""
        self._todo.append(lambda: self._animator.set_expression(probability))

    def set_valence_arousal(self, valence: float, arousal: float) -> None:
        """The expression to show, from valence and arousal in [-1, 1]."""
        self._todo.append(lambda: self._animator.set_valence_arousal(valence, arousal))

    def look_at(self, yaw: float, pitch: float) -> None:
        """Where to look, radians; (0, 0) is the viewer, yaw positive towards image right."""
        self._todo.append(lambda: self._animator.look_at(yaw, pitch))

    # What it says about itself.

    @property
    def state(self) -> tuple[PerformerState, float]:
        """What the face does and since when, monotonic seconds."""
        with self._lock:
            return self._activity, self._since

    def report(self) -> PerformerReport:
        """How it goes."""
        now = self._now()
        pacer = self._pacer
        return PerformerReport(
            rendered=_rate(self._rendered, now),
            delivered=_rate(self._delivered, now),
            dropped=pacer.dropped,
            offset=pacer.offset,
            worst_offset=pacer.worst_offset,
            recent_worst_offset=pacer.recent_worst_offset(),
            first_frame=self._first_frame,
            worst_first_frame=self._worst_first_frame,
            render_time=self._lead,
            clock_rate=self.clock.rate,
            ran_dry=self._ran_dry,
            late_chunks=self._stream.late_chunks,
            cut_off_chunks=self._stream.interrupted_chunks,
            other_chunks=self._stream.other_sender_chunks,
            broken_off=self._stream.abrupt_ends,
        )

    # Frames.

    def step(self) -> ScreenFrame | None:
        """Waits for the next frame's time, renders and shows it; None where nobody looks or it has
        come too late.
        """
        number = self._pacer.next_frame(self._now(), self._lead)
        due = self._pacer.due_time(number)
        # Rendered as late as may be, to know the most of the speech.
        self._sleep_until(due - self._lead - self._spread)
        begin = self._now()
        position = number / self._pacer.fps
        self._listen(begin)
        speech = self._time_at(position)
        with self._lock:
            known = self.playback_queue.seconds_enqueued - self._base
        self._feed.feed_until(known if speech is None else speech)
        shape, sounds = self._mouth_at(position, due)
        self._last_time = max(self._last_time, due)
        state = self._animator.state_at(
            self._last_time, shape, self._activity is PerformerState.SPEAKING
        )
        if not any(screen.wanted for screen in self.screens):
            self._sleep_until(due)
            return None
        if self._listener is not None:
            self._listener.announce_frame(number, self._time_at(position))
        frame = ScreenFrame(number, self._renderer.render(state), position, due)
        ready = self._now()
        self._rendered.append(ready)
        # What is usual: were it the longest, one hiccup would cost the rate for a second.
        taken = ready - begin
        self._spread += 0.1 * (2 * abs(taken - self._lead) - self._spread)
        self._lead += 0.1 * (taken - self._lead)
        self._sleep_until(due)
        now = self._now()
        if not self._pacer.accept(number, now):
            return None
        for screen in self.screens:
            screen.show_frame(frame)
        self._delivered.append(now)
        if sounds and self._begun is not None:
            self._first_frame = now - self._begun
            self._worst_first_frame = float(np.fmax(self._worst_first_frame, self._first_frame))
            self._begun = None
        return frame

    def _sleep_until(self, when: float) -> None:
        """Sleeps, and meanwhile notices what becomes known of the speech by waiting."""
        while (left := when - self._now()) > 0:
            self._wait(min(left, _POLL))
            now = self._now()
            with self._lock:
                self._take(self._stream.poll(now), now)
                self._settle(now)

    def _listen(self, now: float) -> None:
        """Lets the mouth and the animator know what was said meanwhile."""
        with self._lock:
            self._take(self._stream.poll(now), now)
            self._settle(now)
        while self._todo:
            item = self._todo.popleft()
            if item is None:
                self._feed.reset()
                self._spoken = None
                if self._listener is not None:
                    self._listener.reset_speech()
            elif callable(item):
                item()
            else:
                self._feed.queue_speech(item)
                if self._listener is not None:
                    self._listener.append_speech(item)

    def _time_at(self, position: float) -> float | None:
        """The time in the speech since it was last forgotten; before it begins, negative."""
        speech = self.playback_queue.expected_speech_time(position)
        with self._lock:
            return None if speech is None else speech - self._base

    def _mouth_at(self, position: float, due: float) -> tuple[MouthShape, bool]:
        """The mouth's shape at a position, which is seen when ``due``; whether there is sound."""
        speech = self.playback_queue.speech_time_at(position)
        with self._lock:
            base, closed_at = self._base, self._closed_at
        if speech is not None and speech >= base - 1e-6:
            self._spoken = speech, position
            self._shape = self._mouth.shape_at(max(0.0, speech - base))
            return self._shape, True
        if self._spoken is not None:
            # Run dry: the mouth closes by itself after what it knows.
            last, at = self._spoken
            self._shape = self._mouth.shape_at(last - base + max(0.0, position - at))
            return self._shape, False
        open_still = min(1.0, max(0.0, 1 - (due - closed_at) / _CLOSING))
        return _scaled(self._shape, open_still), False

    # Called with the lock held.

    def _take(self, heard: Sequence[SpeechSegment], now: float) -> None:
        for one in heard:
            if one.begins:
                self._begin(now)
            held = one.held
            sounds = len(one.samples[self.playback_queue.rate]) > 0
            if self._came is None:
                self._keep_up(one, now)
            elif sounds:
                held = max(held, min(now - self._came, _AT_LEAST))
            gap = self._say(one.samples, now, held)
            # What a resampler gives at last comes late always, and is no gap.
            if self._came is None and math.isfinite(one.held):
                self._ran_dry += gap > 0
            if sounds:
                self._came = None
            if one.ends and self.playback_queue.seconds_waiting > 0:
                self._silence(now)
            if one.ends and self._listener is not None:
                self._todo.append(self._listener.end_utterance)

    def _begin(self, now: float) -> None:
        # While something waits, the end before this has put its tail between them.
        if self.playback_queue.seconds_waiting <= 0:
            self._forget()
            self._begun = self._came = now
        self._waits = self._waited = float("nan")
        self._become(PerformerState.SPEAKING, now)

    def _say(
        self, samples: dict[int, npt.NDArray[np.float32]], now: float, held: float = 0.0
    ) -> float:
        """Returns the gap before it, seconds."""
        self._todo.append(samples[MOUTH_RATE])
        return self.playback_queue.enqueue(
            samples[self.playback_queue.rate], self.clock.position(now), held
        )

    def _keep_up(self, one: SpeechSegment, now: float) -> None:
        """Draws out what is quiet, ear and eye alike, where the sender is slower than the player:
        else it would run dry in the end.
        """
        waits = self.playback_queue.seconds_waiting
        if not math.isfinite(one.held) or not waits:
            return
        if math.isnan(self._waits):
            self._waits = self._waited = waits
        self._waits += _SMOOTH * (waits - self._waits)
        self._waited = min(max(self._waited, self._waits), self.playback_queue.delay)
        quiet = all(
            len(samples) >= _STRETCH * rate and np.abs(samples).max() < _QUIET
            for rate, samples in one.samples.items()
        )
        if quiet and self._waits < self._waited - _LESS:
            more = {rate: s[-round(_STRETCH * rate) :] for rate, s in one.samples.items()}
            self._say(more, now)
            self._waits += _STRETCH

    def _silence(self, now: float) -> None:
        rates = {MOUTH_RATE, self.playback_queue.rate}
        self._say({rate: np.zeros(round(_TAIL * rate), np.float32) for rate in rates}, now)

    def _forget(self) -> None:
        self._todo.append(None)
        self._base = self.playback_queue.seconds_enqueued
        self._begun = self._came = None

    def _settle(self, now: float) -> None:
        if self._activity is PerformerState.SPEAKING:
            heard = self.playback_queue.speech_time_at(self.clock.position(now))
            sounds = self.playback_queue.seconds_waiting > 0 or heard is not None
            if not self._stream.speaking and not sounds:
                self._become(PerformerState.IDLE, now)
        elif self._activity is PerformerState.INTERRUPTED and now - self._since >= _INTERRUPTED:
            self._become(PerformerState.IDLE, now)

    def _become(self, state: PerformerState, now: float) -> None:
        if state is not self._activity:
            self._activity, self._since = state, now

    def _let_hear(self, position: float, samples: npt.NDArray[np.float32]) -> None:
        for screen in self.screens:
            screen.play_audio(position, samples)


def _scaled(shape: MouthShape, by: float) -> MouthShape:
    if by <= 0:
        return REST
    names = ("jaw", "wide", "round", "press", "teeth", "tuck")
    return replace(shape, **{name: by * getattr(shape, name) for name in names})


def _rate(times: Sequence[float], now: float) -> float:
    """Events a second over the window."""
    recent = [t for t in list(times) if t > now - _WINDOW]
    if len(recent) < 2:
        return 0.0
    return (len(recent) - 1) / max(now - recent[0], 1e-9)
