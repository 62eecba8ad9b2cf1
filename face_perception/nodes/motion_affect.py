"""motion_affect node: aligned crops to valence and arousal, from how faces look and move."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from face_perception import inference, motion, msg
from face_perception.ros import messages
from face_perception.ros import network_parameters as networks
from face_perception.ros.driver import PerceptionNode
from face_perception.ros.process import run
from face_perception.ros.qos import SensorSubscription
from face_perception.ros.worker import LatestWorker
from face_perception.settings import setting, with_default
from face_perception.types import ValenceArousal

# Images that may wait while the network for appearance runs: a third of a second.
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
    """Reads ``face_crops``, publishes ``motion_affect``: late, with the stamp that it is about."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__("motion_affect", MotionAffectParameters, **kwargs)
        self._count = 0
        self._last_stamp = 0.0
        self._crops: SensorSubscription | None = None
        self._worker: LatestWorker[Any] | None = None

    def setup(self) -> None:
        self._networks = motion.load_mimamo(self.values.model, networks.Loading(self).load)
        self._mimamo = motion.Mimamo[Any](self._networks, self.values)
        self._affects = self.publisher(msg.ValenceArousalArray, "motion_affect")

    def start(self) -> None:
        self._mimamo.reset()
        self._worker = LatestWorker(
            "motion_affect",
            self._estimate,
            self.failed,
            waiting=_WAITING,
            on_idle=lambda: self._send(self._mimamo.finish()),
        )
        self._crops = SensorSubscription(
            self,
            msg.FaceCrops,
            "face_crops",
            self._received,
            depth=_WAITING,
            hint="start face_tracker, or remap the topic to its `face_crops`",
            wanted=lambda: self.heard(self._affects),
        )

    def stop(self) -> None:
        if self._crops is not None:
            self._crops.destroy()
            self._crops = None
        if self._worker is not None:
            self._worker.stop()
            self._worker = None

    def report(self) -> tuple[str, dict[str, str]]:
        fallen, models = networks.report(self._networks.models)
        problems = [p for p in (self._crops.status if self._crops else "", fallen) if p]
        seen = self._mimamo.window if self._networks.over_time else motion.PHASE_WINDOW
        return "; ".join(problems), {
            "faces": str(self._count),
            "delay (s)": f"{self.values.look_ahead / motion.TICK_RATE:.3f}",
            "window (s)": f"{seen / motion.TICK_RATE:.3f}",
            "appearance rate (Hz)": f"{self.statistics.rate('appearance', time.monotonic()):.2f}",
            **models,
        }

    def _received(self, message: Any) -> None:
        self.count("input")
        if self._worker is not None and self._worker.put(message):
            self.count("dropped")
            self.complain(
                "images come faster than they are worked on, and some are left out, which looks "
                f"like motion: set threads (now {self.values.threads}) higher, or appearance_every "
                f"(now {self.values.appearance_every}) to 0 or higher",
                key="slow",
            )

    def _estimate(self, message: Any) -> None:
        stamp = messages.seconds(message.header.stamp)
        if stamp < self._last_stamp:
            self.complain(
                f"stamps went back by {self._last_stamp - stamp:.2f} s (a bag that loops, two "
                "cameras, a changed clock?): every face begins anew",
                key="stamps",
            )
        self._last_stamp = stamp
        crops = messages.crops_from_msg(message)
        self._count = len(crops)
        appearance_runs = self._mimamo.appearance_runs
        busy = self._worker is not None and self._worker.behind
        found = self._mimamo.estimate(message.header, stamp, crops, busy=busy)
        if self._mimamo.appearance_runs > appearance_runs:
            self.count("appearance")
        self._send(found)

    def _send(self, found: Sequence[tuple[Any, Sequence[ValenceArousal]]]) -> None:
        for header, affects in found:
            out = msg.ValenceArousalArray(
                header=header, values=[messages.valence_arousal_to_msg(a) for a in affects]
            )
            self.publish(self._affects, out, header)


def main(args: list[str] | None = None) -> int:
    return run(MotionAffectNode, args)
