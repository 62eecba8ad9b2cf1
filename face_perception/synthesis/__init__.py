"""Made on purpose, with the truth known: the demo's sample camera, people who are calibrated."""

from face_perception.synthesis.gaze_faces import GazeFaces, gaze_faces
from face_perception.synthesis.gaze_samples import GazeSamples, gaze_samples
from face_perception.synthesis.sample import LOOP, PHOTOS, SampleScene, Sighting

__all__ = [
    "LOOP",
    "PHOTOS",
    "GazeFaces",
    "GazeSamples",
    "SampleScene",
    "Sighting",
    "gaze_faces",
    "gaze_samples",
]
