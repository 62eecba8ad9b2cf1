"""Writes the events and markers of a clip as an ELAN file (.eaf, format 3.0).

The structure is that of the EAF 3.0 schema (MPI, "The EAF Annotation Format"): header with the
linked medium, time slots in milliseconds, one tier for each person and kind of event, and one for
the markers.
"""

from __future__ import annotations

import contextlib
import datetime
import itertools
import mimetypes
import os
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from face_perception.files import write_atomically
from face_perception.results.clip import Clip
from face_perception.results.event_labels import target_label
from face_perception.results.events import Event
from face_perception.results.xml_text import xml_text

_SCHEMA = "http://www.mpi.nl/tools/elan/EAFv3.0.xsd"
_XSI = "http://www.w3.org/2001/XMLSchema-instance"
_TYPE = "event"  # the only linguistic type
_MARKER_LENGTH = 500  # milliseconds: ELAN has no points in time, and the label must be readable


@dataclass(frozen=True)
class _Tier:
    """A tier: its name, whose it is, and its annotations: begin and end (milliseconds), text."""

    name: str
    person: str
    annotations: list[tuple[int, int, str]] = field(default_factory=list)


def write_elan(
    path: Path,
    clip: Clip,
    events: Sequence[Event],
    media: str = "",
    made: datetime.datetime | None = None,
) -> None:
    """Writes the events and markers of a clip to ``path``. Raises OSError.

    A tier is named ``KIND@PERSON``; the annotations of looks and mutual gaze say whom or what, all
    others the kind. An annotation of the tier ``markers`` begins at its marker, and lasts half a
    second or until the next one; markers before the first frame are left out. Times count from the
    first frame. ``media`` is the path of the film, which is linked by its absolute path and by its
    path relative to the file. ``made`` is the date that the file states; None: now.
    """
    ET.register_namespace("xsi", _XSI)
    date = (made or datetime.datetime.now(datetime.timezone.utc)).isoformat(timespec="seconds")
    document = ET.Element(
        "ANNOTATION_DOCUMENT",
        {
            "AUTHOR": "face_perception",
            "DATE": date,
            "FORMAT": "3.0",
            "VERSION": "3.0",
            f"{{{_XSI}}}noNamespaceSchemaLocation": _SCHEMA,
        },
    )
    header = ET.SubElement(document, "HEADER", MEDIA_FILE="", TIME_UNITS="milliseconds")
    if media:
        _link(header, media, path)
    order = ET.SubElement(document, "TIME_ORDER")
    tiers = [*_event_tiers(clip, events), *_marker_tiers(clip)]
    slots = _slots(tiers)
    for time, name in slots.items():
        ET.SubElement(order, "TIME_SLOT", TIME_SLOT_ID=name, TIME_VALUE=str(time))
    number = 0
    for tier in tiers:
        element = ET.SubElement(
            document, "TIER", LINGUISTIC_TYPE_REF=_TYPE, TIER_ID=xml_text(tier.name)
        )
        if tier.person:
            element.set("PARTICIPANT", xml_text(tier.person))
        for first, last, text in tier.annotations:
            number += 1
            annotation = ET.SubElement(
                ET.SubElement(element, "ANNOTATION"),
                "ALIGNABLE_ANNOTATION",
                ANNOTATION_ID=f"a{number}",
                TIME_SLOT_REF1=slots[first],
                TIME_SLOT_REF2=slots[last],
            )
            ET.SubElement(annotation, "ANNOTATION_VALUE").text = xml_text(text)
    last_used = ET.SubElement(header, "PROPERTY", NAME="lastUsedAnnotationId")
    last_used.text = str(number)
    ET.SubElement(
        document,
        "LINGUISTIC_TYPE",
        GRAPHIC_REFERENCES="false",
        LINGUISTIC_TYPE_ID=_TYPE,
        TIME_ALIGNABLE="true",
    )
    ET.indent(document)
    text = ET.tostring(document, encoding="UTF-8", xml_declaration=True)
    write_atomically(path, text + b"\n")


def _link(header: ET.Element, media: str, path: Path) -> None:
    absolute = Path(media).absolute()
    relative = Path(os.path.relpath(absolute, path.absolute().parent)).as_posix()
    link = ET.SubElement(
        header,
        "MEDIA_DESCRIPTOR",
        MEDIA_URL=absolute.as_uri(),
        MIME_TYPE=mimetypes.guess_type(absolute.name)[0] or "video/unknown",
    )
    with contextlib.suppress(UnicodeEncodeError):  # XML has no name that is not UTF-8
        relative.encode()
        link.set("RELATIVE_MEDIA_URL", relative if relative.startswith(".") else f"./{relative}")


def _event_tiers(clip: Clip, events: Sequence[Event]) -> Iterator[_Tier]:
    for (person, kind), group in itertools.groupby(
        sorted(events, key=lambda e: (e.person, e.kind.value, e.onset)),
        lambda e: (e.person, e.kind.value),
    ):
        tier = _Tier(f"{kind}@{person}", person)
        for event in group:
            first, last = (_milliseconds(end - clip.begin) for end in (event.onset, event.offset))
            if first < last:  # of a picture they are equal; ELAN refuses an empty annotation
                tier.annotations.append((first, last, target_label(event) or kind))
        yield tier


def _marker_tiers(clip: Clip) -> Iterator[_Tier]:
    """Yields a tier with the markers from the first frame on, if there are any."""
    labels: dict[int, str] = {}
    for marker in clip.markers:
        if (time := _milliseconds(marker.stamp - clip.begin)) >= 0:
            labels[time] = f"{labels[time]}; {marker.label}" if time in labels else marker.label
    ends = [*itertools.islice(labels, 1, None), None]
    annotations = [
        (time, time + _MARKER_LENGTH if end is None else min(time + _MARKER_LENGTH, end), label)
        for (time, label), end in zip(labels.items(), ends, strict=False)
    ]
    if annotations:
        yield _Tier("markers", "", annotations)


def _slots(tiers: Iterable[_Tier]) -> dict[int, str]:
    """Returns the name of the time slot of each time, in milliseconds, in their order."""
    times = {time for tier in tiers for *ends, _ in tier.annotations for time in ends}
    return {time: f"ts{number}" for number, time in enumerate(sorted(times), 1)}


def _milliseconds(seconds: float) -> int:
    return round(1000 * seconds)
