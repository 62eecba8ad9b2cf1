"""Plays speech on an animated face: chunks of speech in, frames out in time with the audio clock.

Contains no ROS and no audio device. One thread calls `Performer.step` in a loop; any thread may
call the other methods.
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
from face_perception.avatar.playback.clock_skew import ClockSkew
from face_perception.avatar.playback.mouth_feed import MouthFeed
from face_perception.avatar.playback.playback_queue import PlaybackQueue
from face_perception.avatar.playback.queue_limit import QueueLimit
from face_perception.avatar.screens.screen import Screen, ScreenFrame
from face_perception.settings import check, setting
from face_perception.speech import (
    MOUTH_RATE,
    REST,
    AudioChunk,
    Mouth,
    MouthShape,
    Phone,
    PhonemeMouth,
    SpeechSegment,
    SpeechStream,
    with_effort_of,
)

Samples = npt.NDArray[np.float32]

# All times are in seconds.
_TAIL = 0.2  # silence after an utterance, so that the mouth model sees what follows the last sound
_CLOSING = 0.05  # time in which an interrupted mouth closes: below 0.1 together with one frame
_INTERRUPTED = 0.5  # how long the state stays INTERRUPTED
_POLL = 0.02
_FIRST_LEAD = 0.03  # assumed render time before the first frame has been measured
# How much of a resampler's initial delay counts as time that the speech has already waited.
_RESAMPLER_WAIT = 0.02
_ROUNDING = 1e-6
# How far the phonemes of an utterance may begin before it. Those that begin earlier belong to other
# speech, which was interrupted or ended too early.
_EARLY_PHONEMES = 0.05
_MOST_STAMPS = 1000
_WINDOW = 5.0  # window over which rates are computed


@dataclass(frozen=True)
class PerformerSettings:
    """Settings of ``Performer``.

    >>> from face_perception.avatar import IdleMotionAnimator
    >>> from face_perception.speech import BandMouth
    >>> class BlankRenderer:  # instead of load_portrait(), which takes a second
    ...     size = (64, 64)
    ...     def render(self, state):
    ...         return np.zeros((64, 64, 3), np.uint8)
    >>> settings = PerformerSettings(rate=25.0, delay=0.3)  # speech arrives irregularly
    >>> performer = Performer(BandMouth(), IdleMotionAnimator(), BlankRenderer(), settings)
    >>> performer.playback_queue.delay
    0.3
    """

    rate: float = setting(
        30.0, "Number of frames per second.", minimum=5.0, maximum=60.0, unit="Hz"
    )
    delay: float = setting(
        0.1,
        "Time from the arrival of speech until it is played. A larger value tolerates chunks that "
        "arrive less regularly. If the lips follow the sound (without phonemes), they close in "
        "time for p, b and m only with 0.17 s or more. With MuseTalk the delay is at least what "
        "its lips need, about a second.",
        minimum=0.0,
        maximum=5.0,
        unit="s",
    )
    end_after: float = setting(
        0.5,
        "Time without new speech after which an utterance has ended. An Audio message without "
        "samples ends it at once. A larger value tolerates longer pauses.",
        minimum=0.05,
        maximum=10.0,
        unit="s",
    )
    longest_speech: float = setting(
        300.0,
        "Speech that may wait to be played. What arrives beyond that is dropped, with a warning. A "
        "larger value lets a sender send longer speech at once, and needs up to 0.4 MB of memory "
        "per second.",
        minimum=1.0,
        maximum=3600.0,
        unit="s",
    )
    audio_rate: int = setting(
        48_000,
        "Sample rate of the played audio.",
        minimum=8_000,
        maximum=192_000,
        unit="Hz",
    )


class PerformerState(IntEnum):
    """What the face is doing. The values are those of AvatarState.msg.

    The state in a message of the topic ``avatar/state``, whose ``state`` is 2:

    >>> PerformerState(2).name
    'SPEAKING'
    """

    IDLE = 1
    SPEAKING = 2
    INTERRUPTED = 3


@dataclass(frozen=True, slots=True)
class PerformerReport:
    """Performance figures: rates in frames per second over the last 5 s, times in seconds.

    - ``rendered``: frames rendered per second; ``delivered``: frames shown in time per second.
    - ``dropped``: frames that were skipped or came too late.
    - ``offset``, ``worst_offset``, ``recent_worst_offset``: audio position of a frame minus the
      audio position that was heard when it was shown; negative for a late frame. The last frame,
      the largest since the start, and the largest of the last thousand frames.
    - ``first_frame``: time from the first chunk of the last utterance to its first frame, NaN
      before the first utterance; ``worst_first_frame`` is the largest so far.
    - ``render_time``: usual time to render a frame.
    - ``clock_rate``: seconds of audio per second of the computer's clock.
    - ``ran_dry``: how often speech arrived too late to continue without a gap.
    - ``dropped_speech``: seconds of speech that were dropped because more than ``longest_speech``
      waited; ``too_much_speech`` is true while speech is dropped.
    - ``late_chunks``, ``cut_off_chunks``, ``other_chunks``, ``broken_off``: faults of the incoming
      speech. They are ``late_chunks``, ``interrupted_chunks``, ``other_sender_chunks`` and
      ``abrupt_ends`` of ``SpeechStream``.

    >>> from face_perception.avatar import IdleMotionAnimator
    >>> from face_perception.speech import BandMouth
    >>> class BlankRenderer:  # instead of load_portrait(), which takes a second
    ...     size = (64, 64)
    ...     def render(self, state):
    ...         return np.zeros((64, 64, 3), np.uint8)
    >>> report = Performer(BandMouth(), IdleMotionAnimator(), BlankRenderer()).report()
    >>> report.dropped, report.ran_dry, math.isnan(report.first_frame)  # nothing was said yet
    (0, 0, True)
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
    dropped_speech: float
    too_much_speech: bool
    late_chunks: int
    cut_off_chunks: int
    other_chunks: int
    broken_off: int


@dataclass(frozen=True, slots=True)
class _SpeechEvent:
    """More speech for the mouth, [N] at MOUTH_RATE; ``ends`` if an utterance ends after it."""

    samples: Samples
    ends: bool = False


@dataclass(frozen=True, slots=True)
class _ForgetEvent:
    """The speech so far is over; the next sample is at time zero."""


@dataclass(frozen=True, slots=True)
class _AnimatorEvent:
    """A change of expression or of the gaze target."""

    apply: Callable[[Animator], None]


class Performer:
    """Makes a face speak: takes chunks of speech and sends frames and audio to ``screens``.

    - ``renderer``: None draws nothing: the frames have no image, only the state of the face.
    - ``settings``: see ``PerformerSettings``; None for the defaults.
    - ``listener``: a renderer that needs the speech itself, such as MuseTalk's.
    - ``now``, ``wait``: the monotonic clock in seconds, and how to sleep on it.

    An audio player takes samples from ``playback_queue`` and reports its position to ``clock``;
    `step` needs such a player, for example a ``SilentPlayer``:

    >>> import numpy as np
    >>> from face_perception.avatar import IdleMotionAnimator, PerformerState, SilentPlayer
    >>> from face_perception.speech import BandMouth
    >>> class BlankRenderer:  # instead of load_portrait(), which takes a second
    ...     size = (64, 64)
    ...     def render(self, state):
    ...         return np.zeros((64, 64, 3), np.uint8)
    >>> performer = Performer(BandMouth(), IdleMotionAnimator(seed=1), BlankRenderer())
    >>> player = SilentPlayer(performer.playback_queue, performer.clock)
    >>> performer.set_expression([0, 0, 0, 0, 1, 0, 0])  # happy
    >>> performer.step() is None  # no screen wants a frame
    True
    >>> performer.state[0] is PerformerState.IDLE
    True
    >>> player.close()
    """

    def __init__(
        self,
        mouth: Mouth,
        animator: Animator,
        renderer: Renderer | None,
        settings: PerformerSettings | None = None,
        *,
        listener: SpeechListener | None = None,
        now: Callable[[], float] = time.monotonic,
        wait: Callable[[float], object] = time.sleep,
    ) -> None:
        s = settings or PerformerSettings()
        check(s)
        self._mouth, self._animator, self._renderer = mouth, animator, renderer
        self._listener = listener
        self._now, self._wait = now, wait
        self.clock = AudioClock()
        self.playback_queue = PlaybackQueue(s.audio_rate, s.delay, 1 / s.rate)
        self.screens: Sequence[Screen] = ()
        # Called for each frame, before it is rendered: with the monotonic time at which it is due,
        # the shape of the mouth, and whether there is speech.
        self.on_mouth: Callable[[float, MouthShape, bool], None] | None = None
        self._pacer = FramePacer(self.clock, s.rate)
        self._limit = QueueLimit(s.longest_speech)
        self._stream = SpeechStream(
            tuple({MOUTH_RATE, s.audio_rate}), delay=s.delay, end_after=s.end_after
        )
        self._skew = ClockSkew(s.delay)
        # Guards what any thread may change: the stream, the state, and the times of an utterance.
        self._lock = threading.Lock()
        # Written by any thread, handled by the thread of `step`.
        self._events: deque[_SpeechEvent | _ForgetEvent | _AnimatorEvent] = deque()
        self._speech_start = 0.0  # the mouth's time zero, in seconds of all enqueued speech
        self._phonemes = PhonemeMouth()  # on the clock of the stamps of the speech
        # Triples of a time in seconds of all enqueued speech, its stamp, and the stamp at which its
        # utterance began. Between two triples, time and stamp advance alike.
        self._stamps: deque[tuple[float, float, float]] = deque(maxlen=_MOST_STAMPS)
        self._state, self._since = PerformerState.IDLE, now()
        self._closed_at = -np.inf  # monotonic time of the last interruption
        # Monotonic time at which the current utterance arrived. The first is None once its first
        # frame was shown, the second once its first sample was enqueued.
        self._awaiting_frame_since: float | None = None
        self._awaiting_sound_since: float | None = None
        self._ran_dry = 0
        # The rest belongs to the thread of `step`.
        self._feed = MouthFeed(mouth)
        self._last_sound: tuple[float, float] | None = None  # speech time, playback position
        self._shape = REST
        self._first_frame = self._worst_first_frame = float("nan")
        self._lead, self._spread = _FIRST_LEAD, 0.0  # render time: running mean and spread
        self._last_time = 0.0
        self._rendered: deque[float] = deque(maxlen=1000)
        self._delivered: deque[float] = deque(maxlen=1000)
        self.playback_queue.add_listener(self._send_audio)

    # Input. Any thread may call these.

    def push_speech(self, chunk: AudioChunk) -> None:
        """Queues a chunk of speech to be spoken; drops what is beyond ``longest_speech``."""
        now = self._now()
        with self._lock:
            kept = self._limit.fit(chunk, self.playback_queue.seconds_waiting)
            if kept is not None:
                self._accept_speech(self._stream.push_chunk(kept, now), now)

    def announce_phonemes(self, phones: Sequence[Phone]) -> None:
        """Tells when phonemes of speech are said, on the clock of the stamps of its chunks.

        The mouth then follows them instead of the sound. Call it before the chunks are pushed, in
        the order of the sentences. Phonemes that begin before the utterance that is played do not
        count, and ``interrupt`` forgets all. Raises InputError as ``PhonemeMouth.add`` does.
        """
        # Without the lock: computing the shapes of a long sentence takes longer than a frame.
        self._phonemes.add(phones)

    def interrupt(self) -> bool:
        """Stops speaking at once. Returns True if the face was speaking."""
        now = self._now()
        with self._lock:
            speaking = self._state is PerformerState.SPEAKING
            self._stream.interrupt(now)
            self.playback_queue.cancel()
            self._forget_speech()
            self._phonemes.clear()
            if speaking:
                self._closed_at = now
                self._set_state(PerformerState.INTERRUPTED, now)
        return speaking

    def set_volume(self, volume: float) -> None:
        """Sets the volume of the speech; it changes within 20 ms.

        Raises InputError if ``volume`` is not from 0 to 1.
        """
        self.playback_queue.set_volume(volume)

    def set_expression(self, probability: npt.ArrayLike | None) -> None:
        """Sets the expression to show: [7] in the order of ``types.EXPRESSIONS``, each in [0, 1].

        None is the neutral face. The animator eases the change in.
        """
        self._events.append(_AnimatorEvent(lambda animator: animator.set_expression(probability)))

    def set_valence_arousal(self, valence: float, arousal: float) -> None:
        """Sets the expression to show from valence and arousal, each in [-1, 1]."""
        self._events.append(
            _AnimatorEvent(lambda animator: animator.set_valence_arousal(valence, arousal))
        )

    def look_at(self, yaw: float, pitch: float) -> None:
        """Sets the gaze direction, radians.

        (0, 0) is the viewer. Yaw is positive to image right, pitch is positive up.
        """
        self._events.append(_AnimatorEvent(lambda animator: animator.look_at(yaw, pitch)))

    # State and statistics. Any thread may call these.

    @property
    def state(self) -> tuple[PerformerState, float]:
        """Returns what the face is doing, and since when in seconds of the monotonic clock."""
        with self._lock:
            return self._state, self._since

    def report(self) -> PerformerReport:
        """Returns the performance figures so far."""
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
            dropped_speech=self._limit.dropped,
            too_much_speech=self._limit.full,
            late_chunks=self._stream.late_chunks,
            cut_off_chunks=self._stream.interrupted_chunks,
            other_chunks=self._stream.other_sender_chunks,
            broken_off=self._stream.abrupt_ends,
        )

    # Frames. Only the thread of `step` runs these.

    def step(self) -> ScreenFrame | None:
        """Waits until the next frame is due, renders it and shows it on every screen.

        Returns the frame, or None if no screen wants frames or the frame came too late.
        """
        number = self._pacer.next_frame(self._now(), self._lead)
        due = self._pacer.due_time(number)
        # Rendering starts as late as possible, so that as much speech as possible is known.
        self._sleep_until(due - self._lead - self._spread)
        begin = self._now()
        position = number / self._pacer.fps
        self._handle_events(begin)
        speech = self._speech_time(position)
        with self._lock:
            known = self.playback_queue.seconds_enqueued - self._speech_start
        self._feed.feed_until(known if speech is None else speech)
        shape, sounds = self._mouth_at(position, due)
        if self.on_mouth is not None:
            self.on_mouth(due, shape, sounds)
        self._last_time = max(self._last_time, due)
        speaking = self._state is PerformerState.SPEAKING
        state = self._animator.state_at(self._last_time, shape, speaking)
        renderer = self._renderer
        if not any(screen.wanted for screen in self.screens):
            self._sleep_until(due)
            return None
        if self._listener is not None:
            self._listener.announce_frame(number, self._speech_time(position))
        image = renderer.render(state) if renderer is not None else None
        frame = ScreenFrame(number, image, position, due, state)
        ready = self._now()
        self._rendered.append(ready)
        # Use the mean, because with the maximum one slow frame would halve the rate for a second.
        taken = ready - begin
        self._spread += 0.1 * (2 * abs(taken - self._lead) - self._spread)
        self._lead += 0.1 * (taken - self._lead)
        self._sleep_until(due)
        if self._shows_interrupted_mouth(begin, due):
            self._pacer.discard()
            return None
        now = self._now()
        if not self._pacer.accept(number, now):
            return None
        for screen in self.screens:
            screen.show_frame(frame)
        self._delivered.append(now)
        if sounds and self._awaiting_frame_since is not None:
            self._first_frame = now - self._awaiting_frame_since
            self._worst_first_frame = float(np.fmax(self._worst_first_frame, self._first_frame))
            self._awaiting_frame_since = None
        return frame

    def _shows_interrupted_mouth(self, begin: float, due: float) -> bool:
        """Returns whether a frame shows speech that was interrupted, after the mouth has closed.

        That is so if speech was interrupted while a slow computer rendered it, from ``begin`` on.
        """
        with self._lock:
            return begin <= self._closed_at < due - _CLOSING

    def _sleep_until(self, when: float) -> None:
        """Sleeps until a monotonic time, and meanwhile takes the speech that becomes available."""
        while (left := when - self._now()) > 0:
            self._wait(min(left, _POLL))
            now = self._now()
            with self._lock:
                self._accept_speech(self._stream.poll(now), now)
                self._update_state(now)

    def _handle_events(self, now: float) -> None:
        """Takes the available speech, then handles all queued events in order."""
        with self._lock:
            self._accept_speech(self._stream.poll(now), now)
            self._update_state(now)
        while self._events:
            self._handle_event(self._events.popleft())

    def _handle_event(self, event: _SpeechEvent | _ForgetEvent | _AnimatorEvent) -> None:
        listener = self._listener
        if isinstance(event, _AnimatorEvent):
            event.apply(self._animator)
        elif isinstance(event, _ForgetEvent):
            self._feed.reset()
            self._last_sound = None
            if listener is not None:
                listener.reset_speech()
        else:
            self._feed.queue_speech(event.samples)
            if listener is not None:
                if len(event.samples):
                    listener.append_speech(event.samples)
                if event.ends:
                    listener.end_utterance()

    def _speech_time(self, position: float) -> float | None:
        """Returns the mouth's time at a playback position: negative before the speech begins, None
        if no speech is due.
        """
        speech = self.playback_queue.expected_speech_time(position)
        with self._lock:
            return None if speech is None else speech - self._speech_start

    def _mouth_at(self, position: float, due: float) -> tuple[MouthShape, bool]:
        """Returns the mouth shape at a playback position that is shown at the monotonic time
        ``due``, and whether there is sound at that position.
        """
        speech = self.playback_queue.speech_time_at(position)
        with self._lock:
            start, closed_at = self._speech_start, self._closed_at
        if speech is not None and speech >= start - 1e-6:
            self._last_sound = speech, position
            heard = self._mouth.shape_at(max(0.0, speech - start))
            announced = self._announced_shape(speech)
            self._shape = with_effort_of(announced, heard) if announced is not None else heard
            return self._shape, True
        if self._last_sound is not None:
            # There is no more speech. After the last sample, the mouth model closes the mouth.
            last, at = self._last_sound
            self._shape = self._mouth.shape_at(last - start + max(0.0, position - at))
            return self._shape, False
        open_still = min(1.0, max(0.0, 1 - (due - closed_at) / _CLOSING))
        return _scaled(self._shape, open_still), False

    def _announced_shape(self, speech: float) -> MouthShape | None:
        """Returns the shape for the phonemes at a time of all enqueued speech; None if unknown."""
        with self._lock:
            for at, stamp, began in reversed(self._stamps):
                if at <= speech + _ROUNDING:
                    if stamp <= 0:
                        return None
                    return self._phonemes.shape_at(stamp + speech - at, began - _EARLY_PHONEMES)
        return None

    # The methods below are called with the lock held.

    def _accept_speech(self, pieces: Sequence[SpeechSegment], now: float) -> None:
        """Enqueues pieces of speech for the player and for the mouth."""
        for piece in pieces:
            if piece.begins:
                self._begin_utterance(now)
                self._note_stamp(piece.stamp, piece.stamp)
            held = piece.held
            sounds = len(piece.samples[self.playback_queue.rate]) > 0
            if self._awaiting_sound_since is None:
                self._compensate_skew(piece, now)
            elif sounds:
                held = max(held, min(now - self._awaiting_sound_since, _RESAMPLER_WAIT))
            gap = self._enqueue(piece.samples, now, held)
            # A resampler's last samples (``held`` infinite) are always late. Count no gap for them.
            if self._awaiting_sound_since is None and math.isfinite(piece.held):
                self._ran_dry += gap > 0
            if sounds:
                self._awaiting_sound_since = None
            if piece.ends and self.playback_queue.seconds_waiting > 0:
                self._enqueue_tail(now)
            if piece.ends:
                self._events.append(_SpeechEvent(np.zeros(0, np.float32), ends=True))

    def _begin_utterance(self, now: float) -> None:
        # If speech is still waiting, this utterance follows the silent tail of the one before.
        if self.playback_queue.seconds_waiting <= 0:
            self._forget_speech()
            self._awaiting_frame_since = self._awaiting_sound_since = now
        self._skew.reset()
        self._set_state(PerformerState.SPEAKING, now)

    def _enqueue(self, samples: dict[int, Samples], now: float, held: float = 0.0) -> float:
        """Queues samples, by rate, for the mouth and the player. Returns the gap before them, s."""
        self._events.append(_SpeechEvent(samples[MOUTH_RATE]))
        return self.playback_queue.enqueue(
            samples[self.playback_queue.rate], self.clock.position(now), held
        )

    def _compensate_skew(self, piece: SpeechSegment, now: float) -> None:
        """Queues a little silence before a piece if the sender is slower than the player.

        The mouth gets the same samples, so sound and picture stay together.
        """
        if math.isfinite(piece.held):
            waiting = self.playback_queue.seconds_waiting
            silence = self._skew.repeated_silence(piece.samples, waiting)
            if silence:
                at = self.playback_queue.seconds_enqueued
                self._enqueue(silence, now)
                if self._stamps and self._stamps[-1][1] > 0:
                    last, stamp, began = self._stamps[-1]
                    self._note_stamp(stamp + at - last, began)

    def _note_stamp(self, stamp: float, began: float) -> None:
        """Notes the stamp of the next sample that is enqueued, and that of its utterance's first.

        A stamp of 0 or less is unknown.
        """
        self._stamps.append((self.playback_queue.seconds_enqueued, stamp, began))

    def _enqueue_tail(self, now: float) -> None:
        rates = {MOUTH_RATE, self.playback_queue.rate}
        self._enqueue({rate: np.zeros(round(_TAIL * rate), np.float32) for rate in rates}, now)

    def _forget_speech(self) -> None:
        self._events.append(_ForgetEvent())
        self._speech_start = self.playback_queue.seconds_enqueued
        self._awaiting_frame_since = self._awaiting_sound_since = None

    def _update_state(self, now: float) -> None:
        if self._state is PerformerState.SPEAKING:
            playing = self.playback_queue.speech_time_at(self.clock.position(now))
            sounds = self.playback_queue.seconds_waiting > 0 or playing is not None
            if not self._stream.speaking and not sounds:
                self._set_state(PerformerState.IDLE, now)
        elif self._state is PerformerState.INTERRUPTED and now - self._since >= _INTERRUPTED:
            self._set_state(PerformerState.IDLE, now)

    def _set_state(self, state: PerformerState, now: float) -> None:
        if state is not self._state:
            self._state, self._since = state, now

    # Called on the player's thread.

    def _send_audio(self, position: float, samples: Samples) -> None:
        for screen in self.screens:
            screen.play_audio(position, samples)


def _scaled(shape: MouthShape, factor: float) -> MouthShape:
    """Returns the mouth shape with all weights multiplied; REST for a factor of zero or less."""
    if factor <= 0:
        return REST
    names = ("jaw", "wide", "round", "press", "teeth", "tuck")
    return replace(shape, **{name: factor * getattr(shape, name) for name in names})


def _rate(times: Sequence[float], now: float) -> float:
    """Returns the events per second over the last ``_WINDOW`` seconds."""
    recent = [t for t in list(times) if t > now - _WINDOW]
    if len(recent) < 2:
        return 0.0
    return (len(recent) - 1) / max(now - recent[0], 1e-9)
