"""Estimates what each person looks at, who speaks, and their engagement; remembers who was here."""

from typing import TYPE_CHECKING

from face_perception.lazy_names import lazy_names

if TYPE_CHECKING:
    from face_perception.attention.attention_tracker import (
        HEAD_POSE,
        AttentionSettings,
        AttentionTracker,
        eyes_midpoint,
    )
    from face_perception.attention.departures import Departed, Departures
    from face_perception.attention.gaze_events import (
        JOINT_ATTENTION,
        MUTUAL_GAZE,
        GazeEvent,
        GazeEvents,
        Shared,
    )
    from face_perception.attention.look_at import (
        SPEAKER,
        LookAt,
        LookAtSettings,
        check_look_at,
    )
    from face_perception.attention.named_targets import (
        NamedTarget,
        Sphere,
        check_targets,
        merged_targets,
        parse_targets,
        spheres_in_image_frame,
    )
    from face_perception.attention.speaker_choice import SpeakerChoice, SpeakerSettings
    from face_perception.attention.speaker_network import (
        SPEAKER_NETWORKS,
        SpeakerClips,
        SpeakerEstimates,
        SpeakerNetwork,
    )
    from face_perception.attention.time_shares import TimeShares, looked_at_name, target_name
    from face_perception.attention.who_speaks import WARN_DELAY, WhoSpeaks, WhoSpeaksSettings
else:
    __getattr__ = lazy_names(__name__)

__all__ = [
    "HEAD_POSE",
    "JOINT_ATTENTION",
    "MUTUAL_GAZE",
    "SPEAKER",
    "SPEAKER_NETWORKS",
    "WARN_DELAY",
    "AttentionSettings",
    "AttentionTracker",
    "Departed",
    "Departures",
    "GazeEvent",
    "GazeEvents",
    "LookAt",
    "LookAtSettings",
    "NamedTarget",
    "Shared",
    "SpeakerChoice",
    "SpeakerClips",
    "SpeakerEstimates",
    "SpeakerNetwork",
    "SpeakerSettings",
    "Sphere",
    "TimeShares",
    "WhoSpeaks",
    "WhoSpeaksSettings",
    "check_look_at",
    "check_targets",
    "eyes_midpoint",
    "looked_at_name",
    "merged_targets",
    "parse_targets",
    "spheres_in_image_frame",
    "target_name",
]
