"""Has a voice say a text, sentence by sentence."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from face_perception.errors import FacePerceptionError, InputError, one_line, shortened
from face_perception.speech.audio_chunks import AudioError, make_chunk
from face_perception.speech.voices.sentences import split_text
from face_perception.speech.voices.voice import SPEEDS, SpokenText, Voice, VoiceError


def speak_text(voice: Voice, text: str, speed: float = 1.0) -> Iterator[tuple[SpokenText, int]]:
    """Yields the speech of each sentence, and how many characters of the text are left after it.

    Makes a sentence when it is asked for, so that the first can be heard while the second is made.
    Leaves out sentences in which the voice finds nothing to say, and raises InputError after the
    last sentence if there were any. Raises InputError at once if the speed is not in ``SPEEDS``,
    and for a text that ``split_text`` refuses. Raises VoiceError if the voice fails, which may come
    from another package.
    """
    if not SPEEDS[0] <= speed <= SPEEDS[1]:
        raise InputError(f"speed is {speed:g}: it must be from {SPEEDS[0]:g} to {SPEEDS[1]:g}")
    sentences = split_text(text)
    left = sum(map(len, sentences))
    said = False
    refused: InputError | None = None
    for sentence in sentences:
        left -= len(sentence)
        try:
            spoken = _said(voice, sentence, speed)
        except InputError as error:
            refused = refused or error
            continue
        if len(spoken.samples):
            said = True
            yield spoken, left
        else:
            refused = refused or InputError(
                f"{voice.name} has nothing to say in {shortened(sentence)}: write it in words"
            )
    if refused is not None:
        raise InputError(f"not all of the text can be said: {refused}") if said else refused


def _said(voice: Voice, sentence: str, speed: float) -> SpokenText:
    """Returns the speech of a sentence, with samples that are checked."""
    try:
        spoken = voice.synthesise(sentence, speed)
        sound = make_chunk(spoken.samples, spoken.rate, channels=1, stamp=0.0)
    except AudioError as error:
        raise VoiceError(f"the voice {voice.name} made sound that is not valid: {error}") from error
    except FacePerceptionError:
        raise
    except Exception as error:  # code of another package
        raise VoiceError(
            f"the voice {voice.name} failed with {type(error).__name__}: {one_line(error)}; use "
            "another voice, or install its package again"
        ) from error
    return replace(spoken, samples=sound.samples)
