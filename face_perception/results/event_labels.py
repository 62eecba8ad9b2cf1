"""Names what an event is about, for programs that show events as text."""

from __future__ import annotations

from face_perception.results.events import Event


def target_label(event: Event) -> str:
    """Returns what a look is directed at, and with whom; empty for events without a target."""
    label = event.target_person or event.target_name or event.target
    return f"{label} with {event.partner}" if event.partner not in ("", label) else label
