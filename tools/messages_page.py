"""Writes docs/messages.md: every field of every message, service and action, from their files.

The comments of the files are the documentation. ``tools/generate.py`` calls ``messages_page``.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

Table = Callable[[Sequence[str], Iterable[Sequence[str]]], list[str]]

_HEAD = """\
# Messages, services and actions

Every field of every type. A field that a publisher leaves unset means *unknown*. [ROS
API](ros_api.md) says which node publishes what. In Python, `from face_perception.msg import Gaze`.
A face's id is `id` in `Face`, and `face_id` in all other types.
Generated from the comments of the files in `msg/`, `srv/` and `action/`.
"""
# The parts of a service and of an action, which --- separates.
_PARTS = {"srv": ("Request", "Response"), "action": ("Goal", "Result", "Feedback")}
_FIELD = re.compile(
    r"(?P<type>[\w/]+(?:\[[^\]]*\])?)\s+(?P<name>\w+)\s*(?:=\s*(?P<value>[^#]*?))?\s*$"
)


@dataclass
class Field:
    """A field, or a constant if it has a value."""

    type: str
    name: str
    value: str
    meaning: str


@dataclass
class Part:
    """A message, or a part of a service or action."""

    text: list[str] = field(default_factory=list)  # what stands above the fields
    fields: list[Field] = field(default_factory=list)


def parse(text: str) -> list[Part]:
    """Returns the parts of an interface file with the comments of the fields.

    A comment at the end of a line, and those below it that are indented, belong to its field. A
    comment of whole lines belongs to the next field, or to the part if it ends with an empty line
    before the first field.
    """
    parts, above = [Part()], list[str]()
    for line in text.splitlines():
        part = parts[-1]
        code, hash_, comment = line.partition("#")
        comment = comment.strip()
        if code.strip() == "---":
            parts.append(Part())
            above = []
        elif not code.strip() and hash_:
            if code and part.fields and not above:
                part.fields[-1].meaning += f" {comment}"
            else:
                above.append(comment)
        elif not code.strip():
            if not part.fields and above:
                part.text.append(" ".join(filter(None, above)))
                above = []
        else:
            found = _FIELD.match(code.strip())
            if found is None:
                raise ValueError(f"this is neither a field nor a constant: {line}")
            meaning = " ".join(filter(None, (*above, comment)))
            above = []
            value = (found["value"] or "").strip()
            part.fields.append(Field(found["type"], found["name"], value, meaning))
    return parts


def section(file: Path, table: Table) -> list[str]:
    """Returns the lines about one type."""
    lines = [f"## {file.stem}", ""]
    names = _PARTS.get(file.parent.name, ("",))
    parts = parse(file.read_text(encoding="utf-8"))
    for name, part in zip(names, parts, strict=True):
        if name:
            lines += [f"**{name}**", ""]
        for text in part.text:
            lines += [*wrap(text), ""]
        if not part.fields:
            lines += ["No fields.", ""]
            continue
        rows = [
            (
                f"`{f.name}`" + (f" = {f.value}" if f.value else ""),
                f"`{f.type}`",
                f.meaning,
            )
            for f in part.fields
        ]
        lines += [*table(("field", "type", "meaning"), rows), ""]
    return lines


def wrap(text: str) -> list[str]:
    return textwrap.wrap(text, 100, break_long_words=False, break_on_hyphens=False)


def messages_page(root: Path, table: Table) -> str:
    """Returns the text of docs/messages.md."""
    lines = [*_HEAD.splitlines(), ""]
    for kind, title in (("msg", "messages"), ("srv", "services"), ("action", "actions")):
        files = sorted((root / kind).glob(f"*.{kind}"))
        links = ", ".join(f"[{f.stem}](#{f.stem.lower()})" for f in files)
        lines += [*wrap(f"The {title}: {links}"), ""]
    for kind in ("msg", "srv", "action"):
        for file in sorted((root / kind).glob(f"*.{kind}")):
            lines += section(file, table)
    return "\n".join(lines).rstrip() + "\n"
