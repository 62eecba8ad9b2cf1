"""Writes the events and markers of a clip as a spreadsheet that BORIS imports into an observation.

BORIS (Friard and Gamba, 2016) reads XLSX files whose first row is ``time``, ``subject``, ``code``,
``modifier``, ``comment``. A state has two rows: one for its start and one for its stop. A point
event has one.
"""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from xml.sax.saxutils import escape

from face_perception.files import write_atomically
from face_perception.results.clip import Clip
from face_perception.results.event_labels import target_label
from face_perception.results.events import Event
from face_perception.results.xml_text import xml_text

_COLUMNS = ("time", "subject", "code", "modifier", "comment")
_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_KINDS = "application/vnd.openxmlformats-officedocument.spreadsheetml"
_DATE = (1980, 1, 1, 0, 0, 0)  # of the parts of the file, so that equal events give equal files

# The parts of an XLSX file besides the sheet (ECMA-376, part 1).
_PARTS = {
    "[Content_Types].xml": f'<Types xmlns="{_PACKAGE}/content-types">'
    '<Default Extension="rels" '
    'ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
    f'<Override PartName="/xl/workbook.xml" ContentType="{_KINDS}.sheet.main+xml"/>'
    f'<Override PartName="/xl/worksheets/sheet1.xml" ContentType="{_KINDS}.worksheet+xml"/>'
    "</Types>",
    "_rels/.rels": f'<Relationships xmlns="{_PACKAGE}/relationships"><Relationship Id="r1" '
    f'Type="{_OFFICE}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
    "xl/workbook.xml": f'<workbook xmlns="{_MAIN}" xmlns:r="{_OFFICE}">'
    '<sheets><sheet name="events" sheetId="1" r:id="r1"/></sheets></workbook>',
    "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{_PACKAGE}/relationships">'
    f'<Relationship Id="r1" Type="{_OFFICE}/worksheet" Target="worksheets/sheet1.xml"/>'
    "</Relationships>",
}


def write_boris(path: Path, clip: Clip, events: Sequence[Event]) -> None:
    """Writes the events and markers of a clip to ``path``, an .xlsx file. Raises OSError.

    The subject is the person, the code the kind of event, and the modifier whom or what a look is
    directed at. A marker has the code ``marker``, no subject, and its label as the comment; markers
    before the first frame are left out. Times count from the first frame, in seconds.
    """
    begin = clip.begin
    rows: list[tuple[float, int, Sequence[str]]] = []
    for event in events:
        sure = "" if math.isnan(event.confidence) else f"confidence {event.confidence:.2f}"
        cells = (event.person, event.kind.value, target_label(event), sure)
        # At the same time, what stops comes before what starts.
        first, last = (round(end - begin, 3) for end in (event.onset, event.offset))
        if first < last:  # of a picture they are equal, and BORIS would read the stop first
            rows += [(first, 1, cells), (last, 0, cells)]
    for marker in clip.markers:
        if marker.stamp >= begin:
            rows.append((round(marker.stamp - begin, 3), 1, ("", "marker", "", marker.label)))
    rows.sort(key=lambda row: row[:2])
    sheet: list[Sequence[float | str]] = [_COLUMNS]
    sheet += [(time, *cells) for time, _, cells in rows]
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as parts:
        for name, text in {**_PARTS, "xl/worksheets/sheet1.xml": _sheet(sheet)}.items():
            head = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
            parts.writestr(zipfile.ZipInfo(name, _DATE), head + text)
    write_atomically(path, file.getvalue())


def _sheet(rows: Iterable[Sequence[float | str]]) -> str:
    lines = [
        f'<row r="{number}">'
        + "".join(_cell(f"{'ABCDE'[i]}{number}", value) for i, value in enumerate(row))
        + "</row>"
        for number, row in enumerate(rows, 1)
    ]
    return f'<worksheet xmlns="{_MAIN}"><sheetData>{"".join(lines)}</sheetData></worksheet>'


def _cell(place: str, value: float | str) -> str:
    if not isinstance(value, str):
        return f'<c r="{place}"><v>{value}</v></c>'
    return f'<c r="{place}" t="inlineStr"><is><t>{escape(xml_text(value))}</t></is></c>'
