"""Requests that no node should trip over: for the rows of bench/faults.py that send them.

Each function returns how many requests it made, and what went wrong in words.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from lifecycle_msgs.srv import ChangeState, GetState
from rcl_interfaces.msg import Parameter, ParameterValue
from rcl_interfaces.srv import SetParameters
from rclpy.node import Node
from rclpy.parameter import Parameter as RclpyParameter

from face_perception.nodes import parameters_class
from face_perception.settings import Setting, settings_of

LONGEST = 20.0  # seconds for one answer
_CONFIGURE, _CLEANUP, _ACTIVATE, _DEACTIVATE = 1, 2, 3, 4  # of lifecycle_msgs/Transition
_STEPS = {1: (_CONFIGURE, _ACTIVATE), 2: (_ACTIVATE,), 3: ()}  # to active, by state
_UNKNOWN = (0, 8, 42, 255)  # transitions that nobody may ask for
_STRANGE = (math.nan, math.inf, -math.inf, 1e300, -(2**63), 2**63 - 1, True, "", "\x00", "x" * 9999)
_STRANGE_LISTS = ([], [math.nan] * 3, [1e308] * 3, [0.0] * 999, ["a"], [b"\x00"])


class Caller:
    """Calls services of other nodes. ``spin(seconds)`` lets ``node`` work."""

    def __init__(self, node: Node, spin: Callable[[float], None]) -> None:
        self._node, self.spin = node, spin
        self._clients: dict[str, Any] = {}

    def call(self, kind: Any, name: str, request: Any) -> Any:
        """Returns the answer of a service, or None if there is none."""
        client = self._clients.get(name) or self._node.create_client(kind, name)
        self._clients[name] = client
        waited = 0.0
        while not client.service_is_ready() and waited < LONGEST:
            self.spin(0.05)
            waited += 0.05
        future = client.call_async(request)
        while not future.done() and waited < LONGEST:
            self.spin(0.002)
            waited += 0.002
        return future.result() if future.done() else None


def limits(setting: Setting) -> Iterator[Any]:
    """Yields allowed values at the ends of a range, and each choice."""
    yield from setting.choices
    if setting.type in (int, float):
        for limit in (setting.minimum, setting.maximum):
            if limit is not None:
                yield setting.type(limit)
        for limit, towards in ((setting.above, math.inf), (setting.below, -math.inf)):
            if limit is not None and setting.type is float:
                yield math.nextafter(limit, towards)
    elif setting.type is bool:
        yield from (True, False)


def beyond(setting: Setting) -> Iterator[Any]:
    """Yields values outside a range or of other types."""
    if setting.type in (int, float):
        for limit, step in ((setting.minimum, -1), (setting.maximum, 1)):
            if limit is not None:
                yield setting.type(limit + step)
        yield from (limit for limit in (setting.above, setting.below) if limit is not None)
    yield from _STRANGE
    yield from _STRANGE_LISTS


def set_every_parameter(caller: Caller, nodes: Iterable[str]) -> tuple[int, list[str]]:
    """Sets each parameter of active nodes to its limits, to values beyond, and back."""
    count, wrong = 0, []

    def give(node: str, name: str, value: ParameterValue) -> Any:
        request = SetParameters.Request(parameters=[Parameter(name=name, value=value)])
        answer = caller.call(SetParameters, f"/{node}/set_parameters", request)
        return answer.results[0] if answer is not None and answer.results else None

    for node in nodes:
        for setting in settings_of(parameters_class(node)):
            default = _value(setting.default)
            cases = [(_value(value), value) for value in (*limits(setting), *beyond(setting))]
            cases.append((ParameterValue(), "not set"))
            for value, shown in cases:
                result = give(node, setting.name, value)
                count += 1
                what = f"{node} {setting.name} = {shown!r:.40}"
                if result is None:
                    wrong.append(f"{what}: no answer")
                elif not result.successful:
                    if not result.reason:
                        wrong.append(f"{what}: refused without a reason")
                    continue
                elif not setting.dynamic:
                    wrong.append(f"{what}: accepted, but read only at the start")
                elif not is_allowed(setting, shown):
                    wrong.append(f"{what}: accepted")
                caller.spin(0.1)  # some images with this value
                give(node, setting.name, default)
    return count, wrong


def _value(value: Any) -> ParameterValue:
    if isinstance(value, tuple):
        value = list(value)
    found: ParameterValue = RclpyParameter("any", value=value).get_parameter_value()
    return found


def is_allowed(setting: Setting, value: Any) -> bool:
    try:
        setting.coerce(value)
    except ValueError:
        return False
    return True


def any_transitions(caller: Caller, nodes: Iterable[str], steps: int) -> tuple[int, list[str]]:
    """Asks each node for ``steps`` transitions in a random order, then makes all active again."""
    chance, count, wrong = random.Random(7), 0, []
    for node in nodes:
        for _ in range(steps):
            known = chance.choice((_CONFIGURE, _CLEANUP, _ACTIVATE, _DEACTIVATE))
            number = chance.choice((known, known, known, chance.choice(_UNKNOWN)))
            count += 1
            answer = _change(caller, node, number)
            if answer is None:
                wrong.append(f"{node}: no answer to transition {number}")
            elif answer.success and number in _UNKNOWN:
                wrong.append(f"{node}: transition {number} succeeded")
        state = caller.call(GetState, f"/{node}/get_state", GetState.Request())
        if state is None or state.current_state.id not in _STEPS:
            wrong.append(f"{node}: its state is {state and state.current_state.label}")
            continue
        for number in _STEPS[state.current_state.id]:
            _change(caller, node, number)
    return count, wrong


def _change(caller: Caller, node: str, number: int) -> Any:
    request = ChangeState.Request()
    request.transition.id = number
    return caller.call(ChangeState, f"/{node}/change_state", request)
