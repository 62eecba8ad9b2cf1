"""Runs the network that tells who speaks, on the crops of the faces and on the sound."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from face_perception.attention import SpeakerClips, SpeakerEstimates, SpeakerNetwork, WhoSpeaks
from face_perception.ros import messages, result_kinds
from face_perception.ros.driver import PerceptionNode
from face_perception.ros.network_loading import network_diagnostics
from face_perception.ros.result_kinds import Result
from face_perception.types import FaceCrop


class NetworkInput:
    """Passes ``face_crops`` to ``network``, and runs it on a thread of its own.

    ``who`` knows the delay of the sound. Make it in the ``start`` of the node.
    """

    def __init__(
        self,
        node: PerceptionNode[Any],
        network: SpeakerNetwork,
        who: WhoSpeaks,
        wanted: Callable[[], bool],
    ) -> None:
        self._node, self._network, self._who = node, network, who
        network.reset()
        self._estimates = SpeakerEstimates()
        self._stamp = self._ran = -math.inf
        self._worker = node.worker(self._run)
        self._crops = node.subscribe(
            result_kinds.FACE_CROPS,
            "face_crops",
            self._on_crops,
            depth=10,
            wanted=wanted,
        )

    @property
    def name(self) -> str:
        """The name of the model."""
        return self._network.model.name

    def estimates(self, stamp: float) -> Mapping[str, float]:
        """Returns the probability that each face speaks in the image of ``stamp``, by id.

        A face is missing while the network says nothing of it.
        """
        return self._estimates.at(stamp)

    def diagnostics(self) -> tuple[str, dict[str, str]]:
        """Returns the problem (empty: all is well) and the values for the diagnostics."""
        fallback, models = network_diagnostics([self._network.model])
        problem = self._crops.status
        if not problem and self._stamp - self._ran > 2.0 and self._who.source:
            problem = (
                f"{self.name} does not run, so `speaking` is not known: publish `audio`, with the "
                "stamps of the camera's clock"
            )
        return "; ".join(filter(None, (problem, fallback))), {
            "speaking is estimated by": self.name,
            **models,
        }

    def _on_crops(self, crops: Result[FaceCrop]) -> None:
        stamp = messages.seconds(crops.header.stamp)
        self._network.see(stamp, crops.values)
        if stamp < self._stamp:  # a bag that starts again
            self._ran = -math.inf
        if not crops.values:
            self._ran = stamp  # there is nothing to run on
        self._stamp = stamp
        if stamp - self._ran < self._node.values.speaker_model_period - 1e-3:
            return
        delay = self._who.delay
        clips = self._network.clips(0.0 if math.isnan(delay) else delay)
        if clips is not None:
            self._ran = stamp
            if self._worker.put(clips):
                self._node.count("dropped")  # the network is slower than speaker_model_period

    def _run(self, clips: SpeakerClips) -> None:
        self._estimates.set(clips.stamp, self._network.estimate(clips))
