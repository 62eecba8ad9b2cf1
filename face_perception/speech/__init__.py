"""Speech -> what the mouth does. numpy only: no audio device, no topic, no picture."""

from face_perception.speech.interfaces import MOUTH_RATE, REST, Mouth, MouthShape, Samples
from face_perception.speech.mouth import BandMouth

__all__ = ["MOUTH_RATE", "REST", "BandMouth", "Mouth", "MouthShape", "Samples"]
