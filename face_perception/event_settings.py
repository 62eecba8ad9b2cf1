"""The limits of the events in results. It loads fast, for command lines."""

from __future__ import annotations

from dataclasses import dataclass

from face_perception.settings import setting, settings_of


@dataclass(frozen=True)
class EventSettings:
    """Settings of ``results.find_events``."""

    shortest_look: float = setting(
        0.0, "Shorter looks are left out.", minimum=0.0, maximum=60.0, unit="s"
    )
    shortest_blink: float = setting(
        0.0,
        "Shorter blinks and eye closures are left out.",
        minimum=0.0,
        maximum=60.0,
        unit="s",
    )
    longest_gap: float = setting(
        0.5,
        "Longest gap inside an event. A gap has no face, an unknown value or, in a look, a blink. "
        "The event continues if the same state follows the gap.",
        minimum=0.0,
        maximum=60.0,
        unit="s",
    )
    shortest_opening: float = setting(
        0.1,
        "Eyes that open for at most this long between two blinks did not open: lids are not that "
        "fast, and at the edge of the blink level the state of the eyes flickers.",
        minimum=0.0,
        maximum=1.0,
        unit="s",
    )
    smile_level: float = setting(
        0.2,
        "A smile begins when the intensity of action unit 12 reaches this level, and ends below "
        "half of it.",
        minimum=0.01,
        maximum=1.0,
    )
    smile_probability: float = setting(
        0.5,
        "A smile whose intensity is unknown begins when the probability of action unit 12 reaches "
        "this value, and ends below half of it.",
        minimum=0.01,
        maximum=1.0,
    )
    shortest_smile: float = setting(
        0.25, "Shorter smiles are left out.", minimum=0.0, maximum=60.0, unit="s"
    )
    speech_probability: float = setting(
        0.5,
        "A person speaks from this probability on.",
        minimum=0.01,
        maximum=1.0,
    )
    speech_pause: float = setting(
        0.5,
        "A shorter pause does not end a turn of speech.",
        minimum=0.0,
        maximum=60.0,
        unit="s",
    )
    shortest_speech: float = setting(
        0.2, "Shorter turns of speech are left out.", minimum=0.0, maximum=60.0, unit="s"
    )


def changed_limits(settings: EventSettings) -> str:
    """Returns the settings that are not the default, in words; empty if all are."""
    changed = []
    for declared in settings_of(EventSettings):
        value = getattr(settings, declared.name)
        if value != declared.default:
            amount = f"{value:g} {declared.unit}".strip()
            changed.append(f"{declared.name} {amount} (default {declared.default:g})")
    return ", ".join(changed)
