"""A simulated clock for tests of the avatar, and a face and screen that record their inputs."""

from __future__ import annotations

import dataclasses
import heapq
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from face_perception.avatar import FaceState
from face_perception.avatar.screens.screen import ScreenFrame
from face_perception.speech import MouthShape

RATE = 16_000


class World:
    """Time passes only while somebody waits; scheduled events then happen."""

    def __init__(self) -> None:
        self.now = 100.0
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0

    def at(self, when: float, event: Callable[[], None]) -> None:
        self._count += 1
        heapq.heappush(self._events, (when, self._count, event))

    def wait(self, seconds: float) -> None:
        end = self.now + seconds
        while self._events and self._events[0][0] <= end:
            when, _, event = heapq.heappop(self._events)
            self.now = max(self.now, when)
            event()
        self.now = max(self.now, end)


class Keeps:
    """Animator, renderer and screen that record their inputs."""

    size = (8, 8)
    wanted = True
    problem = ""

    def __init__(self) -> None:
        self.states: list[FaceState] = []
        self.shown: list[tuple[ScreenFrame, float]] = []
        self.world = World()
        self.cost = 0.012
        self.probability: object = None

    def set_expression(self, probability: object) -> None:
        self.probability = probability

    def set_valence_arousal(self, valence: float, arousal: float) -> None: ...

    def look_at(self, yaw: float, pitch: float) -> None: ...

    def state_at(self, time: float, mouth: MouthShape, speaking: bool) -> FaceState:
        return dataclasses.replace(FaceState(), mouth=mouth)

    def render(self, state: FaceState) -> npt.NDArray[np.uint8]:
        self.states.append(state)
        self.world.wait(self.cost)
        return np.full((8, 8, 3), round(255 * state.mouth.jaw), np.uint8)

    def show_frame(self, frame: ScreenFrame) -> None:
        self.shown.append((frame, self.world.now))

    def play_audio(self, position: float, samples: npt.NDArray[np.float32]) -> None: ...

    def close(self) -> None: ...
