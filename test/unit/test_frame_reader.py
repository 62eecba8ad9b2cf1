"""Tests reading frames from files: stamps, orientation, calibration, and errors of bad files."""

from __future__ import annotations

import re
import struct
from pathlib import Path

import cv2
import numpy as np
import pytest

from face_perception.errors import InputError
from face_perception.media import FrameReader, FrameWriter, load_camera
from face_perception.types import Camera

CALIBRATION = """
image_width: 64
image_height: 48
camera_matrix: {rows: 3, cols: 3, data: [60, 0, 31.5, 0, 61, 23.5, 0, 0, 1]}
distortion_model: plumb_bob
distortion_coefficients: {rows: 1, cols: 5, data: [0.1, -0.2, 0, 0, 0]}
"""


def picture(width: int = 64, height: int = 48) -> np.ndarray:
    """Returns a BGR picture, red at the left and blue at the right, brighter towards the top."""
    image = np.zeros((height, width, 3), np.uint8)
    image[:, : width // 2, 2] = 200
    image[:, width // 2 :, 0] = 200
    image[: height // 2, :, 1] = 90
    return image


def video(path: Path, frames: int = 12, rate: float = 25.0) -> Path:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), rate, (64, 48))
    assert writer.isOpened()
    for _ in range(frames):
        writer.write(picture())
    writer.release()
    return path


def jpeg(path: Path, **size: int) -> Path:
    assert cv2.imwrite(str(path), picture(**size))
    return path


def test_a_picture_is_one_frame(tmp_path: Path) -> None:
    with FrameReader(jpeg(tmp_path / "a.jpg")) as clip:
        (frame,) = clip
    assert clip.still
    assert (clip.count, frame.stamp) == (1, 0.0)
    assert frame.image.shape == (48, 64, 3)
    assert frame.camera == Camera.assume(64, 48)
    red, _, blue = frame.image[40, 10].astype(int)
    assert red > 150 > 50 > blue, "RGB"


def test_grey_and_16_bit_pictures_are_rgb_8_bit(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "gray.png"), picture()[..., 0])
    cv2.imwrite(str(tmp_path / "deep.png"), picture().astype(np.uint16) * 256)
    for name in ("gray.png", "deep.png"):
        (frame,) = FrameReader(tmp_path / name)
        assert frame.image.shape == (48, 64, 3)
        assert frame.image.dtype == np.uint8
        assert frame.image.max() == 200


def test_a_video_has_its_own_stamps(tmp_path: Path) -> None:
    with FrameReader(video(tmp_path / "a.mp4", 12, 20.0)) as clip:
        assert not clip.still
        assert (clip.count, clip.rate) == (12, 20.0)
        frames = list(clip)
    assert [frame.stamp for frame in frames] == pytest.approx(np.arange(12) / 20)
    red, _, blue = frames[-1].image[40, 10].astype(int)
    assert red > 150 > 50 > blue, "RGB"


def test_rotation_of_a_video_is_applied(tmp_path: Path) -> None:
    path = video(tmp_path / "a.mp4")
    data = path.read_bytes()
    fixed = [v << 16 for v in (1, 0, 0, 0, 1, 0, 0, 0)]
    upright = struct.pack(">9i", *fixed, 1 << 30)
    quarter = struct.pack(">9i", 0, 1 << 16, 0, -(1 << 16), 0, 0, 0, 0, 1 << 30)
    header = data.index(b"tkhd")
    at = data.index(upright, header)
    path.write_bytes(data[:at] + quarter + data[at + len(quarter) :])
    frame = next(iter(FrameReader(path)))
    assert frame.image.shape == (64, 48, 3), "64x48, turned clockwise"
    assert frame.image[10, 24, 0] > 150, "left became top"
    assert frame.image[50, 24, 2] > 150


def test_orientation_of_a_picture_is_applied(tmp_path: Path) -> None:
    path = jpeg(tmp_path / "a.jpg")
    tiff = b"II*\0" + struct.pack("<IHHHIHHI", 8, 1, 0x0112, 3, 1, 6, 0, 0)
    exif = b"Exif\0\0" + tiff
    data = path.read_bytes()
    path.write_bytes(data[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + data[2:])
    (frame,) = FrameReader(path)
    assert frame.image.shape == (64, 48, 3)
    assert frame.image[10, 24, 0] > 150, "left became top"


def test_a_camera_must_fit(tmp_path: Path) -> None:
    (tmp_path / "camera.yaml").write_text(CALIBRATION)
    camera = load_camera(tmp_path / "camera.yaml")
    assert camera == Camera(
        64, 48, 60, 61, 31.5, 23.5, (0.1, -0.2, 0.0, 0.0, 0.0), "plumb_bob"
    )  # fmt: skip
    (frame,) = FrameReader(jpeg(tmp_path / "a.jpg"), camera)
    assert frame.camera is camera
    with pytest.raises(ValueError, match=r"b\.jpg is 32x48.*calibrated for 64x48"):
        FrameReader(jpeg(tmp_path / "b.jpg", width=32), camera)


COLUMNS_FIRST = re.sub(r"\[60, .*? 1\]", "[60, 0, 0, 0, 61, 0, 31.5, 23.5, 1]", CALIBRATION)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (CALIBRATION.replace("camera_matrix", "other"), "'camera_matrix' is missing"),
        (CALIBRATION.replace("[60,", "[0,"), "focal lengths must be positive"),
        (CALIBRATION.replace("[60,", "[.nan,"), "NaN"),
        (CALIBRATION.replace("0, 0, 1]", "0]"), "has 7 numbers, not 9"),
        (CALIBRATION.replace("64", "wide"), "image_width is 'wide'"),
        (CALIBRATION.replace("plumb_bob", "''"), "unknown distortion model ''"),
        (CALIBRATION.replace("plumb_bob", "equidistant"), "equidistant has 4 coefficients, not 5"),
        (f"%YAML:1.0\n---\n{CALIBRATION}", "the format of OpenCV's FileStorage"),
        ("# oST version 5.0 parameters\n\n[image]\n\nwidth\n640\n", "use its ost.yaml"),
        ("cam0:\n  camera_model: pinhole\n  intrinsics: [6, 6, 3, 2]\n", "format of Kalibr"),
        ("height: 48\nwidth: 64\nk: [60.0, 0.0, 31.5]\n", "a printed CameraInfo message"),
        ("height: 48\nwidth: 64\nk:\n- 60.0\n", "a printed CameraInfo message"),
        (COLUMNS_FIRST, "is not fx 0 cx, 0 fy cy, 0 0 1, row by row"),
        (CALIBRATION.replace("[60, 0, 31.5", "[60, 3, 31.5"), "is not fx 0 cx, 0 fy cy, 0 0 1"),
        (CALIBRATION.replace("31.5", "62"), "cx=62, cy=23.5 is at the edge of the 64x48 image"),
        (CALIBRATION.replace("0.1, -0.2", "-9.5, 0"), "bend the image over"),
        ("- a list", "not a mapping"),
        ("a: [", "it is not YAML"),
        ("", "it is empty"),
    ],
)
def test_calibrations_that_are_none(text: str, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "camera.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=r"camera calibration .*camera\.yaml cannot") as error:
        load_camera(path)
    assert reason in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("coefficients", ["", "{rows: 1, cols: 0, data: }", "{data: []}"])
def test_a_calibration_without_distortion(coefficients: str, tmp_path: Path) -> None:
    path = tmp_path / "camera.yaml"
    text = CALIBRATION[: CALIBRATION.index("distortion_coefficients")]
    path.write_text(f"{text}distortion_coefficients: {coefficients}\n")
    assert load_camera(path).distortion == ()


def test_a_calibration_that_cannot_be_read(tmp_path: Path) -> None:
    for name, reason in (("none.yaml", "No such file"), (".", "it is a folder")):
        with pytest.raises(InputError, match=rf"{reason}.*: give the YAML file") as error:
            load_camera(tmp_path / name)
        assert str(error.value).startswith(f"camera calibration {tmp_path / name} ")


def test_files_that_are_no_good(tmp_path: Path) -> None:
    whole = jpeg(tmp_path / "whole.jpg", width=640, height=480).read_bytes()
    cv2.imwrite(str(tmp_path / "whole.png"), np.random.default_rng(0).integers(
        0, 255, (48, 64, 3), np.uint8))  # fmt: skip
    movie = video(tmp_path / "whole.mp4").read_bytes()
    cases = {
        "empty.jpg": (b"", "is empty"),
        "text.mp4": (b"this is no video, whatever its name says", "is not a picture or film"),
        "cut.jpg": (whole[: len(whole) // 2], "is cut off"),
        "head.jpg": (whole[:40], "is damaged or cut off"),
        "cut.png": ((tmp_path / "whole.png").read_bytes()[:5000], "is damaged or cut off"),
        "cut.mp4": (movie[: len(movie) // 2], "is cut off: it lacks"),
        "bad.jpg": (b"\xff\xd8\xff\xda\x00\x02\xff\xd9", "is damaged"),
    }
    for name, (data, reason) in cases.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(ValueError, match=reason) as error:
            FrameReader(tmp_path / name)
        assert name in str(error.value)
    with pytest.raises(ValueError, match="is a folder"):
        FrameReader(tmp_path)
    with pytest.raises(FileNotFoundError):
        FrameReader(tmp_path / "nothing.jpg")


def test_what_follows_a_picture_does_not_matter(tmp_path: Path) -> None:
    """Phones append a film to a JPEG, and its bytes may look like markers."""
    data = jpeg(tmp_path / "a.jpg").read_bytes() + b"\xff\xd8\xff\xda\x00\x02" * 9
    (tmp_path / "b.jpg").write_bytes(data)
    assert len(list(FrameReader(tmp_path / "b.jpg"))) == 1


@pytest.mark.parametrize("suffix", [".mp4", ".avi"])
def test_a_drawn_video_can_be_read_again(suffix: str, tmp_path: Path) -> None:
    clip = FrameReader(video(tmp_path / "a.mp4"))
    path = tmp_path / f"drawn{suffix}"
    with FrameWriter(path, clip) as drawing:
        for frame in clip:
            # An odd size, which the codecs cannot store.
            drawing.write(np.ascontiguousarray(frame.image[:47, :63]), frame.stamp)
        assert not path.exists(), "only when it is whole"
    again = FrameReader(path)
    frames = list(again)
    assert (len(frames), again.rate) == (12, 25.0)
    assert frames[0].image.shape == (46, 62, 3)
    assert sorted(tmp_path.iterdir()) == [tmp_path / "a.mp4", path]


def test_a_drawn_picture(tmp_path: Path) -> None:
    clip = FrameReader(jpeg(tmp_path / "a.jpg"))
    (frame,) = clip
    with FrameWriter(tmp_path / "b.png", clip) as drawing:
        drawing.write(frame.image, frame.stamp)
    (again,) = FrameReader(tmp_path / "b.png")
    assert (again.image == frame.image).all()


def test_drawings_that_cannot_be(tmp_path: Path) -> None:
    still, movie = FrameReader(jpeg(tmp_path / "a.jpg")), FrameReader(video(tmp_path / "a.mp4"))
    for clip, name, reason in (
        (still, "b.mp4", r"of a picture must end in \.png"),
        (movie, "b.png", r"of a film must end in \.mp4"),
        (still, "a.jpg", "is the input"),
    ):
        with pytest.raises(ValueError, match=reason):
            FrameWriter(tmp_path / name, clip)
    with pytest.raises(FileNotFoundError, match=r"no/b\.jpg cannot be written .*No such file"):
        FrameWriter(tmp_path / "no" / "b.jpg", still)
    with FrameWriter(tmp_path / "never.mp4", movie):
        pass
    assert not (tmp_path / "never.mp4").exists(), "no frame, no file"
