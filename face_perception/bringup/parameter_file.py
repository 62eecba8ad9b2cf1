"""Checks a parameter file against the graph before anything starts, with file and line.

ROS reads such a file in each node. A section that fits no node, and a name that no node has, are
ignored there without a word, and a file that ROS cannot read ends the node each time it starts.
This module knows the parameters from ``config/*.yaml``; a node checks the ranges itself.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from face_perception import paths
from face_perception.bringup.ros_names import NAME_PART, NAME_RULE
from face_perception.errors import InputError, one_line, shortened
from face_perception.files import read_regular
from face_perception.outside_files import one_error, refuse_stand_in
from face_perception.settings import did_you_mean

_KEY = "ros__parameters"
# Parameters that ROS and the driver of the nodes declare.
_ROS_PARAMETERS = {"use_sim_time": False, "autostart": True, "events_executor": True}
_FOREIGN = ("qos_overrides.", "start_type_description_service")
_LONGEST = 1 << 18  # bytes
_DEEPEST = 20  # levels; PyYAML takes minutes for thousands
_BOOLEANS = {"y", "yes", "true", "on", "n", "no", "false", "off"}
_PART = rf"({NAME_PART}|\*\*?)"  # of a pattern of nodes
_SECTION = re.compile(rf"/?{_PART}(/{_PART})*")
_SIMILAR = 0.75  # of two names, so that one is taken for a misspelling of the other


@dataclass(frozen=True)
class Section:
    """The parameters of one ``ros__parameters``: the pattern of its nodes, and where it stands."""

    pattern: str  # such as /**/gaze
    line: int
    parameters: tuple[tuple[str, Any, int], ...]  # name, value, line

    @property
    def node(self) -> str:
        """The last part of the pattern: the name of a node, or a wildcard."""
        return self.pattern.rsplit("/", 1)[-1]

    def matches(self, full_name: str) -> bool:
        """Returns whether ROS gives the parameters to a node, such as /head/gaze."""
        expression = re.escape(self.pattern)
        expression = expression.replace(r"/\*\*", r"(/\w+)*").replace(r"/\*", r"/\w+")
        return re.fullmatch(expression, full_name) is not None


def check_parameter_file(file: str, running: Sequence[str], known: Iterable[str]) -> list[str]:
    """Checks a file for the nodes ``running`` (full names, such as /head/gaze).

    ``known`` are the names of all nodes of the package. Raises InputError, which names file and
    line of each problem. Returns warnings about sections of nodes that are not of this package.
    """
    sections = list(_sections(file, _read(file)))
    problems, warnings = [], []
    for section in sections:
        where = f"{file}, line {section.line}"
        problem, warning = _section_problem(section, sections, running, tuple(known))
        if problem:
            problems.append(f"{where}: {problem}")
        elif warning:
            warnings.append(f"{where}: {warning}")
        else:
            problems += [
                f"{file}, line {line}: {text}"
                for line, text in _parameter_problems(section, running, tuple(known))
            ]
    if problems:
        raise InputError("; ".join(problems))
    return warnings


def _read(file: str) -> yaml.Node | None:
    with one_error(f"parameter file {file}", "give a YAML file, as in config"):
        data = read_regular(file, _LONGEST)
        refuse_stand_in(data[:100])
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise InputError(f"{file} is not a text in UTF-8: save it as such") from error
    try:
        depth = 0
        for event in yaml.parse(text, yaml.SafeLoader):
            depth += isinstance(event, yaml.CollectionStartEvent)
            depth -= isinstance(event, yaml.CollectionEndEvent)
            if depth > _DEEPEST:
                raise InputError(f"{file}, line {_line(event)}: the values are nested too deeply")
            if isinstance(event, yaml.DocumentStartEvent) and event.version not in (None, (1, 1)):
                raise InputError(
                    f"{file}, line {_line(event)}: ROS reads only YAML 1.1: remove this line"
                )
            if isinstance(event, yaml.ScalarEvent):
                _check_characters(file, event)
            if isinstance(event, yaml.AliasEvent):
                raise InputError(
                    f"{file}, line {_line(event)}: ROS cannot read the alias "
                    f"*{event.anchor}: write the value again"
                )
        found: yaml.Node | None = yaml.compose(text, yaml.SafeLoader)
    except (ArithmeticError, LookupError) as error:  # such as "\U99999999"
        raise InputError(f"{file}: this is not YAML: {one_line(error)}") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{file}, line {mark.line + 1}" if mark is not None else file
        problem = getattr(error, "problem", None) or "unreadable"
        raise InputError(f"{where}: this is not YAML: {problem}") from error
    return found


def _check_characters(file: str, event: yaml.ScalarEvent) -> None:
    """Raises InputError for a text with half a character, such as "\\ud800"."""
    try:
        event.value.encode()
    except UnicodeEncodeError as error:
        raise InputError(
            f"{file}, line {_line(event)}: {shortened(event.value)} is not UTF-8 text, which ROS "
            "needs: write the character itself"
        ) from error


def _sections(file: str, root: yaml.Node | None, prefix: str = "") -> Iterator[Section]:
    """Yields the sections of a file. Raises InputError if there is something else in it."""
    if root is None:
        return
    for key, value in _items(file, root, "a section for each node, such as /**/gaze:"):
        line = _line(key)
        if key.value == _KEY:
            raise InputError(f"{file}, line {line}: {_KEY} must stand below the name of a node")
        if not _SECTION.fullmatch(key.value):
            raise InputError(
                f"{file}, line {line}: {shortened(key.value)} is no name of nodes, and ROS reads "
                f"nothing of a file with such a name: {NAME_RULE}; * and ** stand for any names"
            )
        pattern = f"{prefix}/{key.value.removeprefix('/')}"
        inner = _items(file, value, f"{_KEY}: below {key.value}", line)
        if any(k.value == _KEY for k, _ in inner):
            for k, v in inner:
                if k.value != _KEY:
                    raise InputError(
                        f"{file}, line {_line(k)}: {k.value!r} must stand below {_KEY}, indented "
                        "further"
                    )
                yield Section(pattern, line, tuple(_parameters(file, v)))
        elif all(isinstance(v, yaml.MappingNode) for _, v in inner) and inner:
            misspelt = [k for k, _ in inner if _similar(k.value, [_KEY])]
            if misspelt:
                raise InputError(
                    f"{file}, line {_line(misspelt[0])}: {misspelt[0].value!r} is not {_KEY}"
                )
            yield from _sections(file, value, pattern)
        else:
            raise InputError(f"{file}, line {line}: there is no {_KEY}: below {key.value}")


def _parameters(file: str, node: yaml.Node, prefix: str = "") -> Iterator[tuple[str, Any, int]]:
    seen = set()
    for key, value in _items(file, node, "parameters, such as max_faces: 4"):
        name = f"{prefix}{key.value}"
        if name in seen:
            raise InputError(f"{file}, line {_line(key)}: {name} is given twice")
        seen.add(name)
        if isinstance(value, yaml.MappingNode):
            yield from _parameters(file, value, f"{name}.")
        else:
            yield name, _value(file, name, value), _line(key)


def _items(
    file: str, node: yaml.Node, expected: str, line: int = 0
) -> list[tuple[yaml.ScalarNode, yaml.Node]]:
    if not isinstance(node, yaml.MappingNode):
        raise InputError(f"{file}, line {line or _line(node)}: write {expected}")
    for key, _ in node.value:
        if not isinstance(key, yaml.ScalarNode):
            raise InputError(f"{file}, line {_line(key)}: a name is expected, not a list")
    return list(node.value)


def _value(file: str, name: str, node: yaml.Node) -> Any:
    """Returns a value as ROS reads it. Raises InputError if ROS would not read it."""
    if isinstance(node, yaml.ScalarNode):
        return _scalar(node)
    values = []
    for item in node.value:
        if not isinstance(item, yaml.ScalarNode):
            raise InputError(
                f"{file}, line {_line(item)}: {name}: ROS cannot read a list in a list"
            )
        values.append(_scalar(item))
    kinds = {type(value) for value in values}
    if kinds == {int, float}:
        whole = next(value for value in values if type(value) is int)
        raise InputError(
            f"{file}, line {_line(node)}: {name}: ROS cannot read a list of integers and "
            f"other numbers: write {whole}.0 instead of {whole}"
        )
    if len(kinds) > 1:
        raise InputError(
            f"{file}, line {_line(node)}: {name}: ROS reads only lists whose values have one type"
        )
    return values


def _scalar(node: yaml.ScalarNode) -> bool | int | float | str:
    text: str = node.value
    if node.style in ("'", '"'):
        return text
    if text.lower() in _BOOLEANS:
        return text.lower() in ("y", "yes", "true", "on")
    for kind in (lambda t: int(t, 0), float):
        try:
            return kind(text)
        except ValueError:
            continue
    if re.fullmatch(r"[+-]?\.(inf|nan)", text.lower()):
        return float(text.lower().replace(".", ""))
    return text


def _section_problem(
    section: Section, sections: Sequence[Section], running: Sequence[str], known: Sequence[str]
) -> tuple[str, str]:
    """Returns a problem and a warning about the pattern of a section; each may be empty."""
    if any(section.matches(name) for name in running):
        return "", ""
    name, pattern = section.node, section.pattern
    if "*" in name:
        # One file may hold the parameters of several graphs.
        if any("*" in s.node and any(map(s.matches, running)) for s in sections):
            return "", ""
        return f"no node of this graph fits {pattern}: they are {', '.join(running)}", ""
    if name not in known:
        if _similar(name, known):
            return f"there is no node {name}{did_you_mean(name, known)}", ""
        return "", f"no node of face_perception is called {name}: its parameters are not used"
    started = [full for full in running if full.rsplit("/", 1)[-1] == name]
    served = any(other.matches(full) for other in sections for full in started)
    if started and not served:
        return f"{pattern} is not the node {started[0]}: write /**/{name}, or {started[0]}", ""
    return "", ""  # a node that is not started now, or one of another graph


def _parameter_problems(
    section: Section, running: Sequence[str], known: Sequence[str]
) -> Iterator[tuple[int, str]]:
    """Yields line and text of each parameter that no node of a section has, or of a wrong type."""
    names = [section.node]
    if section.node not in known:
        names = [full.rsplit("/", 1)[-1] for full in running if section.matches(full)]
    declared = [known_parameters(name) for name in names if name in known]
    for name, value, line in section.parameters:
        if name.startswith(_FOREIGN) or not declared:
            continue
        having = [parameters[name] for parameters in declared if name in parameters]
        if not having:
            owner = section.node if section.node in known else "none of the nodes"
            hint = did_you_mean(name, sorted({p for parameters in declared for p in parameters}))
            verb = "has" if owner == "none of the nodes" else "has no"
            yield line, f"{owner} {verb} parameter {name}{hint}"
        elif problem := _type_problem(value, having[0]):
            yield line, f"{name}: {problem}"


def known_parameters(node: str) -> dict[str, Any]:
    """Returns the parameters of a node with their defaults."""
    text = paths.resource(f"config/{node}.yaml").read_text(encoding="utf-8")
    (section,) = yaml.safe_load(text).values()
    found: Mapping[str, Any] = section[_KEY]
    return {**found, **_ROS_PARAMETERS}


def is_known_parameter(node: str, name: str) -> bool:
    """Returns whether a node has the parameter, or ROS has it for each node."""
    return name.startswith(_FOREIGN) or name in known_parameters(node)


def _type_problem(value: Any, default: Any) -> str:
    """Returns why a value does not have the type of the default, or ""."""
    kinds = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}
    if isinstance(default, list):
        numbers = isinstance(value, list) and all(type(v) in (int, float) for v in value)
        return "" if numbers else f"{value!r:.60} is not a list of numbers"
    allowed = {float: (float, int), str: (str, int)}.get(type(default), (type(default),))
    if type(value) in allowed:
        return ""
    hint = f": write '{value}' in quotes" if type(default) is str else ""
    return f"{value!r:.60} is not {kinds[type(default)]}{hint}"


def _similar(name: str, known: Iterable[str]) -> bool:
    return bool(difflib.get_close_matches(name, list(known), 1, _SIMILAR))


def _line(node: Any) -> int:
    return int(node.start_mark.line) + 1
