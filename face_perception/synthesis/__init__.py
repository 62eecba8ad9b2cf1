"""Made on purpose, with the truth known: the demo's sample camera, people who are calibrated, faces
with known gaze, and with known action units, expression, valence and arousal.
"""

from face_perception.synthesis.acting import Act, act
from face_perception.synthesis.actor import Actor
from face_perception.synthesis.affect_set import AffectSet, write_affect_set
from face_perception.synthesis.gaze_faces import GazeFaces, gaze_faces
from face_perception.synthesis.gaze_samples import GazeSamples, gaze_samples
from face_perception.synthesis.people import person
from face_perception.synthesis.sample import LOOP, PHOTOS, SampleScene, Sighting

__all__ = [
    "LOOP",
    "PHOTOS",
    "Act",
    "Actor",
    "AffectSet",
    "GazeFaces",
    "GazeSamples",
    "SampleScene",
    "Sighting",
    "act",
    "gaze_faces",
    "gaze_samples",
    "person",
    "write_affect_set",
]
