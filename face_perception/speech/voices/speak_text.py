"""Has a voice say a text, sentence by sentence."""

from __future__ import annotations

from collections.abc import Iterator

from face_perception.errors import InputError, shortened
from face_perception.speech.voices.sentences import split_text
from face_perception.speech.voices.voice import SPEEDS, SpokenText, Voice


def speak_text(voice: Voice, text: str, speed: float = 1.0) -> Iterator[tuple[SpokenText, int]]:
    """Yields the speech of each sentence, and how many characters of the text are left after it.

    Makes a sentence when it is asked for, so that the first can be heard while the second is made.
    Leaves out sentences in which the voice finds nothing to say. Raises InputError if that is so
    for all of them, if the speed is not in ``SPEEDS``, and for a text that ``split_text`` refuses.
    """
    if not SPEEDS[0] <= speed <= SPEEDS[1]:
        raise InputError(f"speed is {speed:g}: it must be from {SPEEDS[0]:g} to {SPEEDS[1]:g}")
    sentences = split_text(text)
    left = sum(map(len, sentences))
    said, refused = False, InputError(f"{voice.name} has nothing to say in {shortened(text)}")
    for sentence in sentences:
        left -= len(sentence)
        try:
            spoken = voice.synthesise(sentence, speed)
        except InputError as error:
            refused = error
            continue
        if len(spoken.samples):
            said = True
            yield spoken, left
    if not said:
        raise refused
