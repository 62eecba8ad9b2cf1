"""Pictures made on purpose, with their truth known: the demo's sample camera."""

from face_perception.synthesis.sample import LOOP, PHOTOS, SampleScene, Sighting

__all__ = ["LOOP", "PHOTOS", "SampleScene", "Sighting"]
