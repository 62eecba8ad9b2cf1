"""Stand-ins for the public labelled data sets of ``bench/people.py``.

They have the same folders and file names. Their images are made of the two sample photographs and
of synthetic ones, with known labels.
"""

from __future__ import annotations

import csv
import json
import math
import wave
from pathlib import Path

import cv2
import numpy as np
import scipy.io

from bench.accuracy import product
from face_perception import geometry, paths
from face_perception.avatar import FaceState, PortraitRenderer
from face_perception.faces import LEFT_OUTER_CANTHUS, RIGHT_OUTER_CANTHUS
from face_perception.inference import sample_photo
from face_perception.types import Camera, Frame, Image

# Degrees up and to the side: the lens, four outer targets, and one that is only tested.
PLACES = ((0, 0), (10, 15), (10, -15), (-10, 15), (-10, -15), (0, 10))
# Width and height of a band, and the midpoint of the eyes in it, in units of the distance of the
# outer canthi.
BAND, BAND_MIDDLE = (1.6, 0.75), (0.8, 0.38)
BLINKING_CLIP = "swiz3n"  # a clip in which no blink is labelled
SILENCE = 1.0  # seconds before and after the sentence


def make_all(data: Path) -> None:
    make_bands(data)
    make_tablet(data)
    make_press(data)
    make_lens(data)
    make_fitted(data)
    make_peaks(data)
    make_empty(data)
    make_clip(data)
    make_speech(data)


def photo(name: str) -> Image:
    return np.ascontiguousarray(cv2.imread(str(sample_photo(name)))[..., ::-1])


def save(path: Path, image: Image) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), image[..., ::-1] if image.ndim == 3 else image)


def make_bands(data: Path) -> None:
    """Writes the astronaut's eyes, turned by the talking face, in bands 300 pixels wide."""
    tracker = product.tracker()
    portrait = PortraitRenderer.from_file(sample_photo("astronaut"), tracker=tracker)
    folder = data / "deepgaze" / "data" / "dataset"
    for up, side in PLACES:
        state = FaceState(gaze_yaw=math.radians(side), gaze_pitch=math.radians(up))
        image = portrait.render(state)
        height, width = image.shape[:2]
        (face,) = tracker.detect(Frame(image, 0.0, Camera.assume(width, height)))
        right, left = face.landmarks[[RIGHT_OUTER_CANTHUS, LEFT_OUTER_CANTHUS], :2]
        middle, apart = (right + left) / 2, float(np.linalg.norm(left - right))
        left_end, top = (middle - np.array(BAND_MIDDLE) * apart).round().astype(int)
        wide, high = (np.array(BAND) * apart).round().astype(int)
        band = image[top : top + high, left_end : left_end + wide]
        gray = cv2.cvtColor(band, cv2.COLOR_RGB2GRAY)
        scale = 300 / gray.shape[1]
        gray = cv2.resize(gray, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
        save(folder / "center" / f"0002_2m_0P_{up}V_{side}H.jpg", gray)
        if (up, side) == (0, 0):  # one of the people who are also tested with small images
            save(folder / "center" / "0001_2m_0P_0V_0H.jpg", gray)


def make_tablet(data: Path) -> None:
    """Writes the astronaut 0.4 m from a tablet, labelled as looking at its middle or corners."""
    folder = data / "Geometric-Gaze-Estimation" / "data" / "exp"
    (folder / "camera").mkdir(parents=True)
    lens = {"fx": 600.0, "fy": 600.0, "cx": 240.0, "cy": 320.0}
    (folder / "camera" / "intrinsics.json").write_text(json.dumps(lens))
    screen = {"width_px": 2048, "height_px": 2732, "ppi": 264, "camera_to_screen_distance_mm": 5}
    (folder / "camera" / "display.json").write_text(json.dumps(screen))
    picture = np.full((640, 480, 3), 110, np.uint8)
    picture[60:540] = cv2.resize(photo("astronaut"), (480, 480))
    depth = np.full((640, 480), 400, np.uint16)
    for split, targets in (("training", ((0.5, 0.5), (0.1, 0.1))), ("test", ((0.9, 0.9),))):
        with_rows = [{"frame": k, "x": x, "y": y} for k, (x, y) in enumerate(targets)]
        for row in with_rows:
            save(folder / split / "rgb" / f"{row['frame']:03d}.png", picture)
            (folder / split / "depth").mkdir(exist_ok=True)
            np.savez(folder / split / "depth" / f"{row['frame']:03d}.npz", depth=depth)
        with (folder / split / "pog.csv").open("w", newline="") as file:
            table = csv.DictWriter(file, ["frame", "x", "y"])
            table.writeheader()
            table.writerows(with_rows)


def make_press(data: Path) -> None:
    """Crops of both photographs, and entries that must be skipped.

    Those are a name that is kept aside, a missing file, and two labels for one picture.
    """
    folder = data / "facial_expressions"
    smile, calm = photo("astronaut")[40:220, 130:330], photo("grace_hopper")[90:370, 110:410]
    save(folder / "images" / "Astro_Naut_0001.jpg", smile)
    save(folder / "images" / "Grace_Hopper_0001.jpg", calm)
    save(folder / "images" / "Both_Ways_0001.jpg", smile)
    save(folder / "images" / "Zoe_Naut_0001.jpg", smile)
    (folder / "data").mkdir()
    (folder / "data" / "legend.csv").write_text(
        "user.id,image,emotion\n1,Astro_Naut_0001.jpg,happiness\n1,Grace_Hopper_0001.jpg,NEUTRAL\n"
        "1,Both_Ways_0001.jpg,anger\n2,Both_Ways_0001.jpg,fear\n1,Zoe_Naut_0001.jpg,happiness\n1,Gone_0001.jpg,fear\n"
    )


def write_looks(path: Path) -> None:
    """Labels of the looks in ``make_press``."""
    path.write_text("image,look\nAstro_Naut_0001.jpg,lens\nGrace_Hopper_0001.jpg,elsewhere\n")


def make_lens(data: Path) -> None:
    """Writes two calm pictures and a smile of the astronaut, as a person who faces the lens."""
    for number, name in enumerate(("NE1", "NE2", "HA1")):
        face = cv2.resize(photo("astronaut")[number:300, 90:380], (256, 256))
        save(data / "jaffe" / f"AA.{name}.{number}.tiff", face)


def make_fitted(data: Path) -> None:
    """Writes the astronaut, labelled with a head that is turned by 0.2 rad to the image's right."""
    folder = data / "PRNet" / "TestImages" / "AFLW2000"
    save(folder / "image00001.jpg", photo("astronaut")[40:260, 110:340])
    scipy.io.savemat(folder / "image00001.mat", {"Pose_Para": np.array([[0.0, -0.2, 0.0]])})


def make_peaks(data: Path) -> None:
    """Writes a sequence of 48x48 pixels: an image of noise, then the astronaut."""
    folder = data / "Facial-Expression-Recognition.Pytorch" / "CK+48" / "happy"
    face = cv2.resize(photo("astronaut")[60:200, 155:295], (48, 48), interpolation=cv2.INTER_AREA)
    save(folder / "S001_001_00000002.png", noise(48, 48))
    save(folder / "S001_001_00000003.png", cv2.cvtColor(face, cv2.COLOR_RGB2GRAY))


def noise(width: int, height: int) -> Image:
    random = np.random.default_rng(0)
    return random.integers(0, 255, (height, width, 3), np.uint8)


def make_empty(data: Path) -> None:
    for number in range(3):
        save(data / "t-top" / "images" / f"part_{number}.jpg", noise(200, 150))


def make_clip(data: Path) -> None:
    """Writes a still of the astronaut for half a second, without sound."""
    folder = data / "LipNet" / "evaluation" / "samples" / "GRID"
    folder.mkdir(parents=True)
    path = str(folder / f"{BLINKING_CLIP}.mpg")
    writer = cv2.VideoWriter(path, cv2.VideoWriter.fourcc(*"PIM1"), 25, (512, 512))
    assert writer.isOpened()
    for _ in range(13):
        writer.write(np.ascontiguousarray(photo("astronaut")[..., ::-1]))
    writer.release()


def make_speech(data: Path) -> None:
    """Writes the package's recorded sentence between silences, with labels."""
    folder = data / "ten-vad" / "testset"
    folder.mkdir(parents=True)
    with wave.open(str(paths.resource("resources/speech/hello.wav"))) as file:
        rate = file.getframerate()
        sentence = file.readframes(file.getnframes())
    quiet = np.zeros(int(SILENCE * rate), np.int16).tobytes()
    with wave.open(str(folder / "testset-audio-01.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(quiet + sentence + quiet)
    end = SILENCE + len(sentence) / 2 / rate
    (folder / "testset-audio-01.scv").write_text(
        f"testset-audio-01,0.000,{SILENCE:.3f},0,{SILENCE:.3f},{end:.3f},1,"
        f"{end:.3f},{end + SILENCE:.3f},0"
    )


def direction(up: float, side: float) -> np.ndarray:
    """Returns the direction for angles up and to the right of the image, degrees, in the optical
    frame.
    """
    return geometry.from_yaw_pitch(math.radians(side), math.radians(up))
