"""Made on purpose, with the truth known: the demo's sample camera, people who are calibrated, faces
with known gaze, and with known action units, expression, valence and arousal;
speech with its phonemes and what the mouth does.
"""

from face_perception.synthesis.acting import (
    PRESENT,
    Act,
    act,
)
from face_perception.synthesis.actor import (
    Actor,
)
from face_perception.synthesis.affect_set import (
    AffectSet,
    write_affect_set,
)
from face_perception.synthesis.gaze_faces import (
    GazeFaces,
    gaze_faces,
)
from face_perception.synthesis.gaze_pictures import (
    GazePicture,
    drawn_pictures,
    photographs,
    turned_photographs,
)
from face_perception.synthesis.gaze_samples import (
    GazePeople,
    GazePerson,
    GazeSamples,
    gaze_samples,
)
from face_perception.synthesis.people import (
    person,
)
from face_perception.synthesis.room import (
    noise,
    recorded,
)
from face_perception.synthesis.sample import (
    LOOP,
    PHOTOS,
    SampleScene,
    Sighting,
)
from face_perception.synthesis.sentences import (
    HELD_OUT_LANGUAGES,
    HELD_OUT_VARIANTS,
    SENTENCES,
    TRAINED_LANGUAGES,
    TRAINED_VARIANTS,
)
from face_perception.synthesis.speech import (
    SPEECH_RATE,
    Phone,
    Request,
    SpeechError,
    Spoken,
    speak,
)
from face_perception.synthesis.visemes import (
    BILABIALS,
    FRAME_RATE,
    VOWELS,
    articulation,
    letters,
    loudness,
    with_effort,
)

__all__ = [
    "BILABIALS",
    "FRAME_RATE",
    "HELD_OUT_LANGUAGES",
    "HELD_OUT_VARIANTS",
    "LOOP",
    "PHOTOS",
    "PRESENT",
    "SENTENCES",
    "SPEECH_RATE",
    "TRAINED_LANGUAGES",
    "TRAINED_VARIANTS",
    "VOWELS",
    "Act",
    "Actor",
    "AffectSet",
    "GazeFaces",
    "GazePeople",
    "GazePerson",
    "GazePicture",
    "GazeSamples",
    "Phone",
    "Request",
    "SampleScene",
    "Sighting",
    "SpeechError",
    "Spoken",
    "act",
    "articulation",
    "drawn_pictures",
    "gaze_faces",
    "gaze_samples",
    "letters",
    "loudness",
    "noise",
    "person",
    "photographs",
    "recorded",
    "speak",
    "turned_photographs",
    "with_effort",
    "write_affect_set",
]
