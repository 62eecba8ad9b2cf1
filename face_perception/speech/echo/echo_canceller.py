"""Removes the sound of the robot's loudspeaker from that of its microphone, by their stamps."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from face_perception.speech.audio_chunks import AudioChunk, AudioSamples, checked_samples
from face_perception.speech.echo.echo_filter import BLOCK, EchoFilter, Samples
from face_perception.speech.echo.played_sound import PlayedSound
from face_perception.speech.echo.residual_echo import ResidualEcho
from face_perception.speech.echo.stamp_clock import StampClock

ECHO_RATE = 16_000  # hertz
# Blocks for which the microphone waits, so that what was played meanwhile has arrived.
_WAIT = 2
_EARLY = BLOCK / ECHO_RATE  # seconds by which a stamp may say that an echo comes before its sound
_TAIL = 0.6  # seconds after the sound after which its echo has faded
_JITTER = 1e-3  # seconds by which drivers' stamps are off; the filter notices 0.1 ms
# Samples by which the place in what is played may be off before it is moved by one in each block,
# and before it is set again. Else it only follows the rates of both clocks, because the times of
# the first seconds vary by more than the filter can follow. A move by one sample makes the filter
# learn high frequencies again; being off costs nothing while the echo stays within the filter.
_OFF, _JUMP = 96, 0.02 * ECHO_RATE
_LOST = 0.25  # seconds; a larger error means that the sound does not continue
_SMOOTH = 0.05  # share of a new block in the powers that are compared: over 0.3 s
_SILENT = 1e-10  # power of a block of the loudspeaker that is silence: -100 dB
# The filter knows the room while its echo has this share of the power that is heard, and this share
# is left. After _PROVEN blocks (1.5 s) of that it has learnt the room. Until then, what is left may
# be the robot's own voice.
_EXPLAINED, _LEFT, _PROVEN = 0.5, 0.4, 94
_AGAIN = 30  # blocks (0.5 s) of that after which the room counts as learnt again after a hole
_DIVERGED = 1.5  # times the power that is heard: the filter adds echo


class EchoCanceller:
    """Removes the echo of what is played from mono sound of 16 kHz.

    Times are the stamps of both sounds, in seconds of one clock. An echo may come from 0 to 0.4 s
    after its sound. What comes out is up to 64 ms later than what goes in. Sound of a silent
    loudspeaker passes unchanged, and costs nothing.

    >>> canceller = EchoCanceller()
    >>> canceller.play(AudioChunk(1.0, ECHO_RATE, np.zeros(1600, np.float32)))
    >>> clean = canceller.push(np.ones(1600, np.float32), 1.0)
    >>> len(clean), canceller.waiting
    (1024, 576)
    """

    def __init__(self) -> None:
        self._played = PlayedSound(ECHO_RATE)
        self._filter, self._residual = EchoFilter(), ResidualEcho()
        self._clock = StampClock(_JITTER)  # of the next sample of the microphone
        self.learnt = False  # whether the filter knows the room, so that the result is clean
        self._proven = 0  # blocks in which it knew the room, less those in which it did not
        self.heard = np.zeros(0, np.float32)  # what was heard of the samples that came out last
        self._powers = np.zeros(3)  # of what is heard, of the echo, and of what is left
        self.forget_sound()

    def forget_sound(self) -> None:
        """Forgets the sound, but not the room. Call it before sound that does not continue it."""
        self._waiting = np.zeros(0, np.float32)
        self._place = 0.0  # in what is played, of the first sample that waits
        self._since = math.nan  # seconds of samples since the last stamp
        self._sounded = -math.inf  # when something was played last
        self._late = False  # whether the residual holds a block
        self._held = np.zeros(0, np.float32)  # what was heard of that block
        self._filter.forget_sound()
        self._residual.forget_sound()
        self._doubt()

    def _doubt(self) -> None:
        """Makes the room count as learnt only after it has proved true again."""
        if self.learnt:
            self.learnt, self._proven = False, _PROVEN - _AGAIN

    @property
    def waiting(self) -> int:
        """How many samples of the microphone were taken and not returned yet."""
        return len(self._waiting) + (BLOCK if self._late else 0)

    @property
    def played_until(self) -> float:
        """The time at which what was played so far ends, seconds; minus infinity before any."""
        return self._played.end

    @property
    def attenuation(self) -> float:
        """By how many decibels the linear filter lowers what is heard while the robot speaks."""
        heard, _, left = self._powers
        return float(10 * np.log10(heard / left)) if left > 0 and heard > 0 else 0.0

    def play(self, chunk: AudioChunk) -> None:
        """Takes what is played, stamped with the time at which it is heard at the loudspeaker.

        Samples that are not finite count as 0. Raises InputError if they are not float32 [N].
        """
        self._played.push(replace(chunk, samples=checked_samples(chunk.samples)))

    def push(self, samples: AudioSamples, start: float) -> AudioSamples:
        """Takes the next samples of the microphone; returns those that are ready, without echo.

        ``start`` is the time of the first one. The first sample that is returned is the first one
        that was taken, and none is left out. Samples that are not finite count as 0. Raises
        InputError if ``samples`` are not float32 [N].
        """
        samples = checked_samples(samples)
        clock, seconds = self._clock, self._since
        if not abs(start - clock.time - seconds) <= _LOST:  # also at the beginning
            clock.begin(start)
            self._doubt()
        elif clock.follow(seconds, start):
            self._place = math.nan
            self._doubt()
        self._since = len(samples) / ECHO_RATE
        self._start = clock.time - len(self._waiting) / ECHO_RATE  # of the first one that waits
        self._waiting = np.concatenate([self._waiting, samples])
        out, heard = [], []
        while len(self._waiting) >= BLOCK * (1 + _WAIT):
            heard.append(self._waiting[:BLOCK])
            out.append(self._next_block(heard[-1]))
            self._waiting = self._waiting[BLOCK:]
            self._start += BLOCK / ECHO_RATE
        self.heard = np.concatenate([self._held, *heard])
        clean = np.concatenate(out) if out else np.zeros(0, np.float32)
        self._held, self.heard = self.heard[len(clean) :], self.heard[: len(clean)]
        return clean

    def _next_block(self, heard: AudioSamples) -> AudioSamples:
        played = self._played_now()
        if np.mean(played**2) > _SILENT:
            self._sounded = self._start
        if self._start - self._sounded > _TAIL:
            return self._end_echo(heard)
        block = heard.astype(np.float64)
        echo = self._filter.echo_in(block, played.astype(np.float64))
        rest = block - echo
        self._compare(block, echo, rest)
        clean = self._residual.attenuate(rest, echo).astype(np.float32)
        if not self._late:  # the attenuator is one block late: it has nothing yet
            self._late = True
            return clean[:0]
        return clean

    def _end_echo(self, heard: AudioSamples) -> AudioSamples:
        """Returns a block without change, after the one that the residual holds."""
        if not self._late:
            return heard
        nothing = np.zeros(BLOCK)
        before = self._residual.attenuate(heard.astype(np.float64), nothing).astype(np.float32)
        self._late = False
        self._filter.forget_sound()
        self._residual.forget_sound()
        return np.concatenate([before, heard])

    def _played_now(self) -> AudioSamples:
        """Returns what was played during the first block that waits."""
        wanted = self._played.number_at(self._start + _EARLY)
        if not math.isfinite(wanted):
            return np.zeros(BLOCK, np.float32)
        off = wanted - self._place
        if not abs(off) <= _JUMP:
            self._place = wanted
        elif abs(off) > _OFF:
            self._place += math.copysign(1, off)
        found = self._played.read_between(self._place, BLOCK)
        self._place += BLOCK * self._clock.rate / self._played.clock_rate
        return found

    def _compare(self, heard: Samples, echo: Samples, rest: Samples) -> None:
        """Finds out whether the filter knows the room, from the powers of the last 0.3 s."""
        new = np.array([np.mean(heard**2), np.mean(echo**2), np.mean(rest**2)])
        self._powers += _SMOOTH * (new - self._powers)
        power, echo_power, left = self._powers
        if left > _DIVERGED * power:
            self.learnt, self._proven = False, 0
            return
        known = echo_power > _EXPLAINED * power and left < _LEFT * power
        self._proven = max(0, self._proven + (1 if known else -1))
        self.learnt = self.learnt or self._proven >= _PROVEN
