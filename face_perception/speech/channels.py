"""Turns the channels of a microphone array or a stereo source into one."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from face_perception.errors import InputError
from face_perception.speech.audio_chunks import AudioError, AudioSamples

CHOICES = "mean, best, or the index of a channel (0 is the first)"

# Correlation below which two channels have opposite signs, and above which equal signs again. Only
# what is slower than _SLOW seconds is compared: faster sound has any phase at two microphones that
# are some centimetres apart.
_OPPOSITE, _ALIGNED = -0.6, 0.3
_SLOW = 0.001
_LOUDER = 4.0  # factor of power by which another channel must be louder to be the reference
_AVERAGE = 1.0  # seconds over which powers and correlations are averaged
_FLOOR_RISE = 1.0  # dB per second by which the noise floor of a channel rises
_QUIET = 1e-7  # mean square below which a sound says nothing about the signs: -70 dB
_ZERO = 1.01 / 32768  # largest sample of a channel that is silent: the rounding of 16 bits
_LIVE = 3.0 / 32768  # RMS from which a channel is not silent; that of any microphone is higher
_SILENCE = 0.3  # seconds of silence after which a channel of an array is no microphone
_BETTER = 3.0  # dB by which another channel must be better
_PATIENCE = 0.5  # seconds for which it must be


class ChannelMixer:
    """Reduces sound of several channels to one, and notices channels that do not belong together.

    - ``mean`` averages the channels. A channel whose sign is opposite to that of a loud one (it
      is wired the wrong way round) is turned round first: else they would cancel.
    - ``best`` uses the channel with the most sound above its noise, and changes slowly.
    - An index uses this channel only.

    In an array, ``mean`` and ``best`` leave out a channel that is silent, to the last bit, while
    more than half of the channels are not. No microphone is, but the playback channel of an array
    is while the robot is silent; and it must not count as speech when the robot speaks. Until it
    has been silent for 0.3 s it is not recognized, and with two channels never: then choose an
    index.

    Raises InputError for any other ``choice``.

    >>> mixer = ChannelMixer("mean")
    >>> left = np.sin(np.arange(1600) / 5).astype(np.float32)
    >>> mono = mixer.mix(np.stack([left, -left], axis=1), rate=16_000)
    >>> bool(np.abs(mono).max() > 0.9), mixer.problem.partition(":")[0]
    (True, 'channels 0 and 1 have opposite signs')
    """

    def __init__(self, choice: str) -> None:
        if choice not in ("mean", "best") and not (choice.isascii() and choice.isdecimal()):
            raise InputError(f"channel is {choice[:40]!r}: it must be {CHOICES}")
        self._choice = choice
        self._index = int(choice) if choice.isdecimal() else None
        self._reset(0)

    @property
    def problem(self) -> str:
        """Returns what is wrong with the channels, with the fix; empty if nothing is."""
        problems = []
        turned = np.flatnonzero(self._signs < 0)
        if self._choice == "mean" and len(turned):
            one = self._reference
            problems.append(
                f"channels {min(one, turned[0])} and {max(one, turned[0])} have opposite signs: "
                f"{turned[0]} is turned round, because their mean would cancel. Check the wiring, "
                "or set channel to an index"
            )
        left_out = np.flatnonzero(self._no_microphone())
        if self._index is None and len(left_out):
            problems.append(
                f"channel {', '.join(map(str, left_out))} is left out: it is silent at times while "
                "the others are not, as the playback channel of an array or a broken microphone "
                "is. To use it, set channel to its index"
            )
        return "; ".join(problems)

    def mix(self, samples: AudioSamples, rate: int) -> AudioSamples:
        """Returns one channel [N] of sound [N, C] with ``rate`` in hertz.

        If the number of channels changes, what was learned about them is forgotten. Raises
        AudioError if the channel of the index does not exist.
        """
        count = samples.shape[1]
        if self._index is not None:
            if self._index >= count:
                raise AudioError(
                    f"channel is {self._index}, but the sound has {count} channel(s): set it to "
                    f"{'0' if count == 1 else f'0 to {count - 1}'}, or to mean or best"
                )
            return samples[:, self._index]
        if count == 1 or not len(samples):
            return samples.mean(axis=1, dtype=np.float32) if count > 1 else samples[:, 0]
        if count != len(self._signs):
            self._reset(count)
        self._observe(samples, rate)
        used = ~self._no_microphone()
        if self._choice == "best":
            return self._best(samples, used, len(samples) / rate)
        weights = (self._signs * used / used.sum()).astype(np.float32)
        mixed: AudioSamples = samples @ weights
        return mixed

    def _reset(self, count: int) -> None:
        """Forgets what was heard; from now on there are ``count`` channels."""
        self._signs = np.ones(count)
        self._reference = 0  # a loud channel
        self._power = np.zeros(count)  # running mean square
        self._products = np.zeros((count, count))  # running mean products of the slow sound
        self._noise = np.full(count, np.inf)  # noise floor: mean square
        self._silent = np.zeros(count)  # seconds of silence while others were live
        self._chosen = -1
        self._better_for = 0.0  # seconds for which another channel has been better

    def _observe(self, samples: AudioSamples, rate: int) -> None:
        """Updates powers, noise floors, signs and silence."""
        seconds = len(samples) / rate
        power = np.mean(samples.astype(np.float64) ** 2, axis=0)
        block = max(1, min(round(_SLOW * rate), len(samples)))
        slow = samples[: len(samples) // block * block].reshape(-1, block, len(power)).mean(axis=1)
        share = 1.0 if not self._power.any() else 1 - np.exp(-seconds / _AVERAGE)
        self._power += share * (power - self._power)
        self._products += share * (slow.T @ slow / len(slow) - self._products)
        rising = self._noise * 10 ** (_FLOOR_RISE * seconds / 10)
        self._noise = np.minimum(rising, np.maximum(power, _ZERO**2))
        live = np.sqrt(power) >= _LIVE
        if 2 * live.sum() > len(live):
            self._silent += seconds * (np.abs(samples).max(axis=0) <= _ZERO)
        loudest = int(self._power.argmax())
        if self._power[loudest] > _LOUDER * self._power[self._reference]:
            self._reference = loudest
        if self._power[self._reference] < _QUIET:
            return
        slow_power = self._products.diagonal()
        scale = np.sqrt(slow_power * slow_power[self._reference]) + 1e-20
        correlation = self._products[self._reference] / scale
        # Signs are relative to the reference, whose own correlation is 1.
        self._signs[correlation < _OPPOSITE] = -1
        self._signs[correlation > _ALIGNED] = 1

    def _no_microphone(self) -> npt.NDArray[np.bool_]:
        """Returns which channels [C] are left out; never all of them."""
        found: npt.NDArray[np.bool_] = self._silent >= _SILENCE
        return found if not found.all() else np.zeros(len(found), bool)

    def _best(
        self, samples: AudioSamples, used: npt.NDArray[np.bool_], seconds: float
    ) -> AudioSamples:
        """Returns the channel with the most sound above its noise floor."""
        ratio = 10 * np.log10(self._power / self._noise + 1e-12)
        ratio[~used] = -np.inf
        best = int(ratio.argmax())
        before = self._chosen
        if before < 0:
            before = self._chosen = best
        better = ratio[best] > ratio[self._chosen] + _BETTER
        self._better_for = self._better_for + seconds if better else 0.0
        if self._better_for >= _PATIENCE or not used[self._chosen]:
            self._chosen, self._better_for = best, 0.0
        if before == self._chosen:
            return samples[:, before]
        # From one to the other without a click.
        rise = np.linspace(0, 1, len(samples), dtype=np.float32)
        return samples[:, before] * (1 - rise) + samples[:, self._chosen] * rise
