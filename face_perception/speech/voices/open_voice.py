"""Makes a voice from its name: those of this package, and those that other packages add."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points

from face_perception.errors import FacePerceptionError, InputError, one_line, shortened
from face_perception.speech.voices.espeak_voice import EspeakVoice
from face_perception.speech.voices.hibari_voice import HibariVoice
from face_perception.speech.voices.voice import Voice

DEFAULT_VOICE = "hibari:heart"

_GROUP = "face_perception_voices"
_OURS: dict[str, Callable[[str], Voice]] = {"hibari": HibariVoice, "espeak": EspeakVoice}


def open_voice(name: str) -> Voice:
    """Returns the voice ``ENGINE`` or ``ENGINE:VOICE``, such as ``hibari:heart`` or ``espeak:de``.

    The engines are those of this package, and the entry points of the group
    ``face_perception_voices`` of installed packages. Only these are imported: a name that comes
    from the network cannot load any other code. Raises InputError for an unknown engine or voice,
    and MissingDependencyError if what the voice needs is not installed.

    >>> try:
    ...     open_voice("nobody")
    ... except InputError as error:
    ...     print(error)
    there is no voice engine 'nobody': use one of espeak, hibari, as ENGINE or ENGINE:VOICE
    """
    engine, _, voice = name.strip().partition(":")
    if engine in _OURS:
        return _OURS[engine](voice)
    added = {entry.name: entry for entry in entry_points(group=_GROUP)}
    if engine not in added:
        raise InputError(
            f"there is no voice engine {shortened(engine)}: use one of "
            f"{', '.join(sorted({*_OURS, *added}))}, as ENGINE or ENGINE:VOICE"
        )
    return _opened(added[engine], voice)


def _opened(entry: EntryPoint, voice: str) -> Voice:
    try:
        made: Voice = entry.load()(voice)
        _ = made.name, made.synthesise
    except FacePerceptionError:
        raise
    except Exception as error:  # code of another package
        raise InputError(
            f"the voice engine {entry.name} ({entry.value}) failed: {one_line(error)}: install its "
            "package again, or use another voice"
        ) from error
    return made
