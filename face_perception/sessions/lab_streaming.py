"""Exchanges numbers and markers with Lab Streaming Layer (pylsl, an optional package).

https://labstreaminglayer.org: recorders of EEG, eye trackers and stimulus programs find each
other on the network, and share a clock.
"""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

from face_perception.optional_modules import extra

_CONNECT = 2.0  # seconds
_MOST_MARKERS = 100  # that are taken at once from a stream
_NUMBER = re.compile(r"(\d+)$")


@dataclass(frozen=True)
class StreamedFace:
    """The numbers of one face in one image, in the order of the channels. NaN: unknown.

    - ``face``: the number at the end of the face's id.
    - ``gaze_yaw``, ``gaze_pitch``: radians. ``looks_at_robot``: 0 or 1.
    """

    face: float
    gaze_yaw: float
    gaze_pitch: float
    gaze_valid: float
    eye_contact: float
    looks_at_robot: float
    valence: float
    arousal: float

    @staticmethod
    def number(face_id: str) -> float:
        """Returns the number at the end of an id, NaN if it has none.

        >>> StreamedFace.number("left_face_12")
        12.0
        """
        found = _NUMBER.search(face_id)
        return float(found[1]) if found else float("nan")


CHANNELS = tuple(field.name for field in fields(StreamedFace))


@dataclass(frozen=True)
class StreamedMarker:
    """A marker of another program: how many seconds ago it was set, its label, and its stream."""

    age: float
    label: str
    stream: str


class LabStreams:
    """Offers the streams ``name`` (numbers, one sample a face an image) and ``name markers``.

    ``find`` connects to streams of the type Markers, other than this one, and ``markers`` returns
    what they have sent since. Their times are corrected for the difference of the clocks, which
    liblsl measures all the time. ``refused`` counts those whose text is not UTF-8, or whose time is
    not a number.

    Raises MissingDependencyError without pylsl, and RuntimeError if liblsl is not installed.
    """

    def __init__(self, name: str) -> None:
        with extra("Lab Streaming Layer", "pip install pylsl"):
            import pylsl
        self._lsl: Any = pylsl
        self.refused = 0
        # Looks for streams in the background.
        self._resolver: Any = pylsl.ContinuousResolver(prop="type", value="Markers")
        self._inlets: dict[str, tuple[str, Any]] = {}  # by uid: name and inlet
        info = pylsl.StreamInfo(
            name, "Face", len(CHANNELS), pylsl.IRREGULAR_RATE, pylsl.cf_float32, f"{name} faces"
        )
        channels = info.desc().append_child("channels")
        for label in CHANNELS:
            channels.append_child("channel").append_child_value("label", label)
        self._faces: Any = pylsl.StreamOutlet(info)
        self._marker_name = f"{name} markers"
        self._markers: Any = pylsl.StreamOutlet(
            pylsl.StreamInfo(
                self._marker_name,
                "Markers",
                1,
                pylsl.IRREGULAR_RATE,
                pylsl.cf_string,
                self._marker_name,
            )
        )

    def send_faces(self, faces: Sequence[StreamedFace], age: float) -> None:
        """Sends the numbers of an image that was taken ``age`` seconds ago."""
        at = self._lsl.local_clock() - age
        for face in faces:
            self._faces.push_sample([getattr(face, name) for name in CHANNELS], at)

    def send_marker(self, label: str, age: float) -> None:
        """Sends a marker of our own that was set ``age`` seconds ago."""
        self._markers.push_sample([label], self._lsl.local_clock() - age)

    def find(self) -> list[str]:
        """Connects to the marker streams that are new, and returns their names.

        Waits up to two seconds for each.
        """
        new = []
        for info in self._resolver.results():
            if info.name() == self._marker_name or info.uid() in self._inlets:
                continue
            # Our clock, and times that never go back.
            flags = self._lsl.proc_clocksync | self._lsl.proc_monotonize
            inlet = self._lsl.StreamInlet(info, processing_flags=flags, recover=False)
            try:
                inlet.open_stream(_CONNECT)  # from here on, no marker is missed
            except RuntimeError:
                continue  # it is gone, or tried again next time
            self._inlets[info.uid()] = (info.name(), inlet)
            new.append(info.name())
        return new

    def markers(self) -> list[StreamedMarker]:
        """Returns the markers that have arrived. A stream that is lost is left out from then on."""
        found = []
        for uid, (name, inlet) in list(self._inlets.items()):
            for _ in range(_MOST_MARKERS):
                try:
                    sample, at = inlet.pull_sample(timeout=0.0)
                except RuntimeError:  # pylsl.util.LostError
                    del self._inlets[uid]
                    break
                except UnicodeDecodeError:  # pylsl knows only UTF-8
                    self.refused += 1
                    continue
                if sample is None:
                    break
                if math.isfinite(age := self._lsl.local_clock() - at):
                    found.append(StreamedMarker(age, str(sample[0]), name))
                else:
                    self.refused += 1
        return found

    def close(self) -> None:
        """Ends all streams."""
        for _, inlet in self._inlets.values():
            with contextlib.suppress(Exception):
                inlet.close_stream()
        self._inlets.clear()
        # pylsl ends these with their objects.
        self._faces = self._markers = self._resolver = None
