"""Tests the text of message, service and action files: units, ranges, names of constants."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from face_perception import results

ROOT = Path(__file__).parents[2]
FILES = sorted(path for kind in ("msg", "srv", "action") for path in ROOT.glob(f"{kind}/*.{kind}"))
# A field or constant: type, name, and perhaps a value and a comment.
_ENTRY = re.compile(
    r"(?P<type>[\w/]+)(?P<array>\[.*?\])?\s+(?P<name>\w+)(?P<value>\s*=[^#]*)?\s*(#(?P<comment>.*))?"
)
# A number states its unit or its range.
_UNIT = re.compile(r"\b(rad|m|s|Hz|bytes|pixels|ratio|number|index|matrix|FACS)\b|\[-?\d+, \d+\]")
_NUMBERS = ("float32", "float64", "int16", "uint8", "uint16", "uint32")


def entries(text: str) -> list[re.Match[str]]:
    lines = (line.strip() for line in text.splitlines())
    found = [_ENTRY.fullmatch(line) for line in lines if line and line != "---" and line[0] != "#"]
    assert all(found), "a line is neither a field nor a constant"
    return [match for match in found if match]


def faults(text: str) -> list[str]:
    """Returns what an interface file does not tell its reader."""
    wrong = [] if text.startswith("# ") else ["the file does not say what it is for"]
    for entry in entries(text):
        name, comment = entry["name"], (entry["comment"] or "").strip()
        if not comment:
            wrong.append(f"{name} has no comment")
        elif entry["type"] in _NUMBERS and entry["value"] is None:
            states = re.search(r"\bone of\b", comment)
            if not (states or _UNIT.search(comment)):
                wrong.append(f"{name} has neither a unit nor a range")
    return wrong


def test_there_are_interfaces() -> None:
    assert len(FILES) > 20


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_field_says_what_it_means(path: Path) -> None:
    assert faults(path.read_text()) == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_constants_are_named_after_their_field_and_start_with_unknown(path: Path) -> None:
    """A field that nobody sets must not read as one of the states."""
    found = entries(path.read_text())
    fields = {entry["name"]: entry["type"] for entry in found if entry["value"] is None}
    for entry in found:
        if entry["value"] is None or entry["type"] == "string":
            continue
        field, _, state = entry["name"].lower().partition("_")
        assert fields.get(field) == entry["type"], entry["name"]
        zero = entry["value"].strip(" =") == "0"
        assert zero == (state in ("unknown", "unset")), entry["name"]


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("float32 yaw", "yaw has no comment"),
        ("float32 yaw  # positive to the right", "yaw has neither a unit nor a range"),
        ("uint8 EYES_OPEN=1", "EYES_OPEN has no comment"),
        ("string[] names", "names has no comment"),
    ],
)
def test_faults_are_found(line: str, fault: str) -> None:
    assert faults(f"# A message.\n{line}\n") == [fault]
    assert faults(f"{line}  # rad\n")[0] == "the file does not say what it is for"


# Only the message has these. The JSON line of a face needs no id for matching, has the stamp of its
# line, and leaves out what nothing estimates yet.
_ONLY_IN_THE_MESSAGE = {
    "gaze": {"face_id"},
    "attention": {
        *("face_id", "person_id", "engagement_since", "target_point"),
    },
}


@pytest.mark.parametrize("name", sorted(_ONLY_IN_THE_MESSAGE))
def test_json_lines_and_messages_use_the_same_names(name: str) -> None:
    text = (ROOT / "msg" / f"{name.title()}.msg").read_text()
    of_message = {entry["name"] for entry in entries(text) if entry["value"] is None}
    (of_line,) = (field for field in results.FACE_FIELDS if field.name == name)
    of_json = {part.name for part in of_line.parts}
    assert of_json == of_message - _ONLY_IN_THE_MESSAGE[name]
