"""Names what an event is about, for programs that show events as text."""

from __future__ import annotations

from face_perception.results.events import Event


def target_label(event: Event) -> str:
    """Returns what a look or mutual gaze is directed at; empty for other events."""
    return event.target_person or event.target_name or event.target
