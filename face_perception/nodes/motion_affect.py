"""The motion_affect node: publishes valence and arousal, from how faces look and move."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from face_perception import inference, motion
from face_perception.person_ids import PersonIds
from face_perception.ros import messages, result_kinds
from face_perception.ros.driver import PerceptionNode
from face_perception.ros.network_loading import NetworkLoader, network_diagnostics
from face_perception.ros.result_kinds import Result
from face_perception.settings import setting, with_default
from face_perception.types import FaceCrop, ValenceArousal

# Images that may wait while the network for appearance runs: a third of a second at 30 Hz.
_WAITING = 10


@dataclass(frozen=True)
class _Network(inference.NetworkSettings):
    model: str = setting(
        "mimamo",
        "Model card: `mimamo` (recurrence over time) or `mimamo_released` (recurrence over clips, "
        "as the published weights were trained). `face-perception import mimamo` makes both.",
    )


@dataclass(frozen=True)
class MotionAffectParameters(motion.MimamoSettings, _Network):
    """Parameters of the motion_affect node."""

    appearance_every: int = with_default(motion.MimamoSettings, "appearance_every", 0)


class MotionAffectNode(PerceptionNode[MotionAffectParameters]):
    """Reads ``face_crops``, publishes ``motion_affect``.

    An estimate comes ``look_ahead`` images late and has the stamp of the image that it is about.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__("motion_affect", MotionAffectParameters, **kwargs)
        self._count = 0
        self._last_stamp = 0.0

    def setup(self) -> None:
        self._networks = motion.load_mimamo(self.values.model, NetworkLoader(self).load)
        self._mimamo = motion.Mimamo[Any](self._networks, self.values)
        self._affects = self.publisher(result_kinds.VALENCE_AROUSAL, "motion_affect")

    def start(self) -> None:
        self._mimamo.reset()
        self._persons = PersonIds()
        self._worker = self.worker(
            self._estimate,
            waiting=_WAITING,
            on_idle=lambda: self._publish_estimates(self._mimamo.finish()),
        )
        self._crops = self.subscribe(
            result_kinds.FACE_CROPS,
            "face_crops",
            self._on_crops,
            depth=_WAITING,
            wanted=lambda: self.has_subscribers(self._affects),
        )

    def diagnostics(self) -> tuple[str, dict[str, str]]:
        fallback, models = network_diagnostics(self._networks.models)
        problems = [problem for problem in (self._crops.status, fallback) if problem]
        window = self._mimamo.window if self._networks.over_time else motion.PHASE_WINDOW
        return "; ".join(problems), {
            "faces": str(self._count),
            "delay (s)": f"{self.values.look_ahead / motion.TICK_RATE:.3f}",
            "window (s)": f"{window / motion.TICK_RATE:.3f}",
            "appearance rate (Hz)": f"{self.statistics.rate('appearance', time.monotonic()):.2f}",
            **models,
        }

    def _on_crops(self, crops: Result[FaceCrop]) -> None:
        self.count("input")
        if self._worker.put(crops):
            self.count("dropped")
            self.warn_throttled(
                "images arrive faster than the networks run, and dropped images look like motion: "
                f"increase threads (now {self.values.threads}) or appearance_every "
                f"(now {self.values.appearance_every}), or set appearance_every to 0",
                key="slow",
            )

    def _estimate(self, crops: Result[FaceCrop]) -> None:
        stamp = messages.seconds(crops.header.stamp)
        if stamp < self._last_stamp:
            self.warn_throttled(
                f"stamps went back by {self._last_stamp - stamp:.2f} s (a bag that loops, two "
                "cameras, a changed clock?): restarting the estimates of all faces",
                key="stamps",
            )
        self._last_stamp = stamp
        self._count = len(crops.values)
        self._persons.note(crops.values)
        appearance_runs = self._mimamo.appearance_runs
        busy = self._worker.has_backlog
        found = self._mimamo.estimate(crops.header, stamp, crops.values, busy=busy)
        if self._mimamo.appearance_runs > appearance_runs:
            self.count("appearance")
        self._publish_estimates(found)

    def _publish_estimates(self, found: Sequence[tuple[Any, Sequence[ValenceArousal]]]) -> None:
        for header, affects in found:
            self.publish(self._affects, Result(header, self._persons.named(affects)), header)
