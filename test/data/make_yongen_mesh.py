"""Makes yongen_mesh.npz: landmarks of MediaPipe's FaceMesh on every eighth image of yongen.mp4.

Not run by the tests. In an environment of its own:

    python3.11 -m venv /tmp/mediapipe && /tmp/mediapipe/bin/pip install mediapipe==0.10.14 'numpy<2'
    /tmp/mediapipe/bin/python test/data/make_yongen_mesh.py
"""

from pathlib import Path

import cv2
import mediapipe as mp
import numpy as np

EVERY = 8
STEPS_PER_PIXEL = 16

here = Path(__file__).parent
clip = cv2.VideoCapture(str(here / "yongen.mp4"))
mesh = mp.solutions.face_mesh.FaceMesh(
    static_image_mode=False, max_num_faces=1, refine_landmarks=True
)
frames, landmarks = [], []
number = 0
while True:
    read, bgr = clip.read()
    if not read:
        break
    height, width = bgr.shape[:2]
    found = mesh.process(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)).multi_face_landmarks
    if number % EVERY == 0:
        points = [(p.x * width, p.y * height) for p in found[0].landmark]
        frames.append(number)
        landmarks.append(np.round(np.array(points) * STEPS_PER_PIXEL))
    number += 1
np.savez_compressed(
    here / "yongen_mesh.npz",
    frames=np.array(frames, np.int16),
    landmarks=np.array(landmarks, np.int16),
    steps_per_pixel=STEPS_PER_PIXEL,
)
