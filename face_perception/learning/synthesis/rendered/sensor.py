"""What a camera does to light: exposure, white balance, blur, noise, tone and JPEG."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Sensor:
    """``level`` is the brightness of the median of the face after exposure, linear, 0 to 1.

    ``defocus`` and ``motion`` are pixels, ``electrons`` is the full well that sets the shot noise,
    ``jpeg`` a quality or 0 for none.
    """

    level: float = 0.3
    white_balance: tuple[float, float, float] = (1.0, 1.0, 1.0)
    contrast: float = 1.0
    saturation: float = 1.0
    defocus: float = 0.0
    motion: float = 0.0
    motion_angle: float = 0.0  # radians
    electrons: float = 20000.0
    read_noise: float = 3.0  # electrons
    sharpening: float = 0.0
    grey: bool = False
    jpeg: int = 0
    seed: int = 0


def draw_sensor(random: np.random.Generator, face_pixels: float) -> Sensor:
    """Draws a camera; blur grows with the size of the face, as focus and movement do."""
    dim = random.random() < 0.2
    blur = face_pixels / 150
    balance = random.normal(1.0, [0.05, 0.0, 0.07])
    return Sensor(
        level=float(np.exp(random.uniform(np.log(0.07 if dim else 0.14), np.log(0.42)))),
        white_balance=(float(balance[0]), 1.0, float(balance[2])),
        contrast=float(random.uniform(0.85, 1.2)),
        saturation=float(random.uniform(0.75, 1.15)),
        defocus=float(abs(random.normal(0, 0.5 * blur)) + 0.25),
        motion=float(random.exponential(1.5) * blur) if random.random() < 0.3 else 0.0,
        motion_angle=float(random.uniform(0, np.pi)),
        electrons=float(np.exp(random.uniform(*np.log([300, 3000] if dim else [1500, 30000])))),
        read_noise=float(random.uniform(1, 8)),
        sharpening=float(random.uniform(0, 0.8)) if random.random() < 0.5 else 0.0,
        grey=bool(random.random() < 0.08),
        jpeg=int(random.uniform(45, 97)) if random.random() < 0.85 else 0,
        seed=int(random.integers(1 << 31)),
    )


def take_picture(radiance: npt.NDArray[np.float64], sensor: Sensor, median: float) -> Image:
    """Returns a picture [H, W, 3] of linear radiance [H, W, 3].

    ``median`` is the median radiance of the face, which the exposure brings to ``sensor.level``.
    """
    random = np.random.default_rng(sensor.seed)
    light = np.maximum(radiance, 0) * (sensor.level / max(median, 1e-6))
    light = light * np.array(sensor.white_balance)
    if sensor.motion > 0.5:
        light = cv2.filter2D(light, -1, _motion_kernel(sensor.motion, sensor.motion_angle))
    if sensor.defocus > 0:
        light = cv2.GaussianBlur(light, (0, 0), sensor.defocus)
    electrons = np.clip(light, 0, 1.0) * sensor.electrons
    noise = random.normal(size=light.shape)
    electrons = electrons + np.sqrt(electrons + sensor.read_noise**2) * noise
    # The noise of neighbouring pixels is related: every camera interpolates its colours.
    light = cv2.GaussianBlur(electrons / sensor.electrons, (0, 0), 0.45)
    grey = light @ np.array([0.2126, 0.7152, 0.0722])
    light = grey[..., None] + (0 if sensor.grey else sensor.saturation) * (light - grey[..., None])
    shown = _srgb(np.clip(light, 0, None))
    shown = np.clip(0.5 + sensor.contrast * (shown - 0.5), 0, 1)
    if sensor.sharpening:
        soft = cv2.GaussianBlur(shown, (0, 0), 1.0)
        shown = np.clip(shown + sensor.sharpening * (shown - soft), 0, 1)
    image = (255 * shown + 0.5).astype(np.uint8)
    if not sensor.jpeg:
        return image
    _, data = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, sensor.jpeg])
    decoded = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)
    return np.ascontiguousarray(decoded[..., ::-1])


def _srgb(light: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Returns the sRGB curve, with a shoulder for what is brighter than white."""
    shoulder = np.where(light > 0.7, 0.7 + 0.3 * np.tanh((light - 0.7) / 0.3), light)
    low = 12.92 * shoulder
    return np.where(shoulder <= 0.0031308, low, 1.055 * shoulder ** (1 / 2.4) - 0.055)


def _motion_kernel(length: float, angle: float) -> npt.NDArray[np.float64]:
    size = 2 * int(np.ceil(length / 2)) + 3
    kernel = np.zeros((size, size))
    for share in np.linspace(-0.5, 0.5, 8 * size):
        x = size // 2 + share * length * np.cos(angle)
        y = size // 2 + share * length * np.sin(angle)
        kernel[round(y), round(x)] += 1
    return np.asarray(kernel / kernel.sum())
