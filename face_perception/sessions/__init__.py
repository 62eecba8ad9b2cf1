"""Recorded sessions: one folder with the messages, the markers, and what they were made with."""

from typing import TYPE_CHECKING

from face_perception.lazy_names import lazy_names

if TYPE_CHECKING:
    from face_perception.sessions.bag_writer import TopicQos
    from face_perception.sessions.clock_offsets import ClockOffset, header_stamp
    from face_perception.sessions.folder import (
        RECORD,
        VIDEO,
        SessionFolder,
        SessionSettings,
        check_label,
        check_marker,
        free_space,
        sessions_dir,
    )
    from face_perception.sessions.lab_streaming import (
        CHANNELS,
        LabStreams,
        StreamedFace,
        StreamedMarker,
    )
    from face_perception.sessions.pixelation import Cover, FacePixelation, highest_rate, pixelate
    from face_perception.sessions.recorder import SessionRecorder
else:
    __getattr__ = lazy_names(__name__)

__all__ = [
    "CHANNELS",
    "RECORD",
    "VIDEO",
    "ClockOffset",
    "Cover",
    "FacePixelation",
    "LabStreams",
    "SessionFolder",
    "SessionRecorder",
    "SessionSettings",
    "StreamedFace",
    "StreamedMarker",
    "TopicQos",
    "check_label",
    "check_marker",
    "free_space",
    "header_stamp",
    "highest_rate",
    "pixelate",
    "sessions_dir",
]
