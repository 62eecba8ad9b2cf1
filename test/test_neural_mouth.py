"""The trained mouth: streams, meets its look-ahead, closes on lips' sounds, is still in noise."""

from __future__ import annotations

import numpy as np
import pytest
from test_mouth import OWN, STEP, check_speech, envelope, noise, opening, pauses, read, shapes

from face_perception.inference import ModelError, load
from face_perception.speech import MOUTH_RATE, REST, Mouth, NeuralMouth, mouth_features
