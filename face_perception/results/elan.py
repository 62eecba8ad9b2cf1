"""Writes the events of a clip as an ELAN file (.eaf, format 3.0).

The structure is that of the EAF 3.0 schema (MPI, "The EAF Annotation Format"): header with the
linked medium, time slots in milliseconds, one tier for each person and kind of event.
"""

from __future__ import annotations

import contextlib
import datetime
import itertools
import mimetypes
import os
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from pathlib import Path

from face_perception.files import write_atomically
from face_perception.results.clip import Clip
from face_perception.results.event_labels import target_label
from face_perception.results.events import Event

_SCHEMA = "http://www.mpi.nl/tools/elan/EAFv3.0.xsd"
_XSI = "http://www.w3.org/2001/XMLSchema-instance"
_TYPE = "event"  # the only linguistic type


def write_elan(
    path: Path,
    clip: Clip,
    events: Sequence[Event],
    media: str = "",
    made: datetime.datetime | None = None,
) -> None:
    """Writes the events of a clip to ``path``. Raises OSError.

    A tier is named ``KIND@PERSON``; the annotations of looks and mutual gaze say whom or what, all
    others the kind. Times count from the first frame. ``media`` is the path of the film, which is
    linked by its absolute path and by its path relative to the file. ``made`` is the date that the
    file states; None: now.
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
    begin = clip.begin
    slots = _slots(events, begin)
    for time, name in slots.items():
        ET.SubElement(order, "TIME_SLOT", TIME_SLOT_ID=name, TIME_VALUE=str(time))
    number = 0
    for (person, kind), group in itertools.groupby(
        sorted(events, key=lambda e: (e.person, e.kind.value, e.onset)),
        lambda e: (e.person, e.kind.value),
    ):
        tier = ET.SubElement(
            document,
            "TIER",
            LINGUISTIC_TYPE_REF=_TYPE,
            PARTICIPANT=person,
            TIER_ID=f"{kind}@{person}",
        )
        for event in group:
            first, last = _milliseconds(event.onset - begin), _milliseconds(event.offset - begin)
            if first == last:  # of a picture; ELAN refuses annotations without a length
                continue
            number += 1
            annotation = ET.SubElement(
                ET.SubElement(tier, "ANNOTATION"),
                "ALIGNABLE_ANNOTATION",
                ANNOTATION_ID=f"a{number}",
                TIME_SLOT_REF1=slots[first],
                TIME_SLOT_REF2=slots[last],
            )
            ET.SubElement(annotation, "ANNOTATION_VALUE").text = target_label(event) or kind
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


def _slots(events: Sequence[Event], begin: float) -> dict[int, str]:
    """Returns the name of the time slot of each time, in milliseconds, in their order."""
    ends = itertools.chain.from_iterable((event.onset, event.offset) for event in events)
    times = sorted({_milliseconds(end - begin) for end in ends})
    return {time: f"ts{number}" for number, time in enumerate(times, 1)}


def _milliseconds(seconds: float) -> int:
    return round(1000 * seconds)
