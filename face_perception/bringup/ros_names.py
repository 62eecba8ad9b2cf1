"""Checks names and texts for ROS before anything starts.

The messages of rcl name neither the name nor the fix.
The rules are those of rcl's ``rmw_validate_full_topic_name`` and of its namespaces.
"""

from __future__ import annotations

import re

from face_perception.errors import InputError

NAME_PART = r"[A-Za-z_][A-Za-z0-9_]*"  # a regular expression
NAME_RULE = "use letters (a to z), digits and _, and start no part with a digit"
_LONGEST = 200  # characters; DDS allows 255 with ROS's prefixes


def check_namespace(namespace: str) -> None:
    """Raises InputError for an invalid ROS namespace. Empty and / stand for none."""
    if namespace in ("", "/"):
        return
    # One / at the end does no harm: the graph removes it.
    _check(f"namespace {namespace!r}", namespace.removeprefix("/").removesuffix("/"))


def check_topic(what: str, topic: str) -> None:
    """Raises InputError if ``topic`` is not a topic's name; ``what`` names the option."""
    if topic.endswith("/"):
        raise InputError(f"{what} {topic!r} is not a ROS name: remove the / at its end")
    _check(f"{what} {topic!r}", topic.removeprefix("~/").removeprefix("/"))


def check_text(what: str, text: str, fix: str = "rename the file, or give a link to it") -> None:
    """Raises InputError if ``text`` cannot be given to ROS, which knows only UTF-8.

    Names of files, and what is typed, may have any bytes. ``what`` names the option.
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InputError(f"{what} {text!r} is not UTF-8 text, which ROS needs: {fix}") from error


def _check(what: str, name: str) -> None:
    if len(name) > _LONGEST:
        raise InputError(f"{what[:60]}… is too long for a ROS name: use at most {_LONGEST} letters")
    for part in name.split("/"):
        if not re.fullmatch(NAME_PART, part):
            problem = f"{part!r} is not allowed" if part else "a part between two / is empty"
            raise InputError(f"{what} is not a ROS name, because {problem}: {NAME_RULE}")
    if "__" in name:
        raise InputError(f"{what} is not a ROS name: two _ must not follow each other")
