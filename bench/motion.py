"""Measures the time of phase differences, and of MIMAMO-Net on aligned faces, for each frame.

    python3 bench/motion.py [--seconds 20] [--threads 2] [--frames 48]

All variants take turns in one process, on the face of test/data/yongen.mp4; ratios are those of the
fastest turn of each. "As published" is our own PyTorch implementation of the computations of the
published code: thirteen pyramids for every frame, with masks and the high-pass residual, and plain
forward passes. The weights are random, with normalisation statistics of these faces. That is enough
for speed; the effect of INT8, or of fewer appearance features, on estimates needs trained weights.
"""

from __future__ import annotations

import argparse
import math
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import nn

from face_perception import motion
from face_perception.faces import aligned_face, crop_face, load_tracker
from face_perception.inference import Model, ModelBuild, install_model
from face_perception.inference.conversion.precision import to_int8
from face_perception.inference.onnxruntime_backend import OnnxRuntime
from face_perception.inference.speed_measurement import CallTimes, time_in_turns
from face_perception.learning.mimamo.export import appearance_build, features_by, two_stream_build
from face_perception.learning.mimamo.network import TwoStream
from face_perception.learning.mimamo.stream_export import stream_builds
from face_perception.learning.resnet50_ferplus import CLASSES, ResNet50FERPlus, SubtractMean
from face_perception.motion.network_images import appearance_image, gray_image
from face_perception.types import Camera, FaceCrop, Frame

CLIP = Path(__file__).resolve().parent.parent / "test" / "data" / "yongen.mp4"


def crops(count: int) -> list[FaceCrop]:
    """Returns the aligned faces of the clip."""
    clip, tracker, found = cv2.VideoCapture(str(CLIP)), load_tracker(), []
    while len(found) < count:
        read, bgr = clip.read()
        if not read:
            break
        image = cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)
        frame = Frame(image, len(found) / 25, Camera.assume(image.shape[1], image.shape[0]))
        found += [crop_face(image, face) for face in tracker.track(frame)[:1]]
    return found


def _table(at: torch.Tensor, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Interpolates linearly in a table with even steps."""
    place = ((at - x[0]) / (x[1] - x[0])).clamp(0, len(x) - 1)
    low = place.floor().long().clamp(max=len(x) - 2)
    return torch.lerp(y[low], y[low + 1], (place - low).to(y.dtype))


@torch.no_grad()
def as_published(images: torch.Tensor) -> list[torch.Tensor]:
    """Windows [B, 13, 48, 48] -> phase differences [B, 24, 48, 48], [B, 24, 24, 24]."""
    axis = torch.linspace(-1, 1 - 1 / 48, 96)
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    radius, angle = torch.hypot(x, y), torch.atan2(y, x)
    radius[48, 48] = radius[48, 47]
    octave = radius.log2()
    at = torch.arange(-257, 2) / 256
    high = torch.cos(math.pi * at / 2).abs()
    high[0], high[-1] = high[1], high[-2]
    low = (1 - high**2).clamp(min=0).sqrt()
    turn = math.pi * torch.arange(-2049, 1026) / 1024
    front = ((turn + math.pi) % (2 * math.pi) - math.pi).abs() < math.pi / 2
    wave = 2 * torch.cos(turn) * front
    wide = torch.cat([images, images.flip(3)], 3)
    wide = torch.cat([wide, wide.flip(2)], 2)
    spectrum = torch.fft.fftshift(torch.fft.fft2(wide), dim=(2, 3))
    residual = spectrum * _table(octave, at, high)
    torch.fft.ifft2(torch.fft.ifftshift(residual, dim=(2, 3)))
    spectrum = spectrum * _table(octave, at, low)
    reach = torch.arange(-5, 6)
    kernel = torch.exp(-(reach[:, None] ** 2 + reach**2) / 8)[None, None]

    def blur(values: torch.Tensor) -> torch.Tensor:
        flat = values.reshape(-1, 1, *values.shape[-2:])
        return nn.functional.conv2d(flat, kernel, padding=5).reshape(values.shape)

    found = []
    for level in range(2):
        radial = _table(octave, at - level - 1, high)
        masks = [radial * _table(angle - math.pi * b / 2, turn, wave) for b in range(2)]
        masked = -1j * torch.stack(masks)[:, None] * spectrum[:, None]
        size = masked.shape[-1] // 2
        band = torch.fft.ifft2(torch.fft.ifftshift(masked, dim=(3, 4)))[..., :size, :size]
        phase = torch.atan2(band.imag, band.real)
        weight = (band.real**2 + band.imag**2).sqrt() + 1e-10
        step = phase.diff(dim=2)
        wrapped = torch.fmod(step + math.pi, 2 * math.pi) - math.pi
        correction = torch.where(step.abs() < math.pi, torch.zeros_like(step), wrapped - step)
        phase[:, :, 1:] += correction.cumsum(2)
        moved = (blur(weight * phase) / blur(weight)).diff(dim=2)
        moved = moved - moved.mean((3, 4), keepdim=True)
        found.append(moved.clamp(-5 * math.pi, 5 * math.pi).flatten(1, 2))
        inner = slice(size // 2, 3 * size // 2)
        spectrum = (spectrum * _table(octave, at - level - 1, low))[:, :, inner, inner]
        octave, angle = octave[inner, inner], angle[inner, inner]
    return found


def report(times: dict[str, CallTimes], reference: str) -> None:
    base = times[reference].least
    for name, taken in times.items():
        print(
            f"  {name:44} {1e3 * taken.least:8.2f} ms  median {1e3 * taken.p50:8.2f}  "
            f"{reference} / it {base / taken.least:6.2f}"
        )


def phases(faces: list[FaceCrop], seconds: float) -> None:
    grays = np.stack([gray_image(aligned_face(face)) for face in faces])
    windows = [[max(0, i) for i in range(t - 12, t + 1)] for t in range(len(grays))]
    kept = motion.image_phases(grays)
    at = {"t": 12}

    def next_frame() -> int:
        at["t"] = 12 + (at["t"] - 11) % (len(grays) - 12)
        return at["t"]

    def incremental() -> None:
        t = next_frame()
        kept[t] = motion.image_phases(grays[t : t + 1])[0]
        motion.phase_differences([kept[i] for i in windows[t]])

    def recomputed() -> None:
        motion.phase_differences(motion.image_phases(grays[windows[next_frame()]]))

    def published() -> None:
        as_published(torch.from_numpy(grays[windows[next_frame()]])[None])

    clip = torch.from_numpy(np.stack([grays[w] for w in windows[12:28]]))
    ours = [motion.phase_differences([kept[i] for i in w]) for w in windows[12:28]]
    for level, theirs in enumerate(as_published(clip)):
        off = np.abs(np.stack([o[level] for o in ours]) - theirs.numpy())
        print(f"level {level}: ours and as published differ by {off.max():.1e} at most", end="; ")
    print("\nphase differences, a new frame")
    calls: dict[str, Callable[[], object]] = {
        "as published, alone": published,
        "ours, all thirteen images": recomputed,
        "ours, incremental": incremental,
        "as published, 16 frames at once": lambda: as_published(clip),
    }
    times = time_in_turns(calls, seconds=seconds)
    many = times.pop("as published, 16 frames at once")
    times["as published, a frame of 16"] = CallTimes(many.least / 16, many.p50 / 16, many.p95 / 16)
    report(times, "as published, alone")
    ratio = many.least / 16 / times["ours, incremental"].least
    print(f"  a frame of 16 as published / ours, incremental: {ratio:.2f}")


def with_statistics(network: nn.Module, example: Callable[[], object]) -> None:
    """Gives a network the normalisation statistics of what ``example()`` runs through it."""
    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.momentum = None
    network.train()
    for _ in range(2):
        example()
    network.eval()


def model(made: ModelBuild, threads: int, samples: dict[str, np.ndarray] | None = None) -> Model:
    """Returns a network as a node runs it, or its int8-cpu variant.

    The variant is not checked by the gate, which random weights would not pass.
    """
    card = install_model(made)
    data = made.onnx if samples is None else to_int8(made.onnx, "int8-cpu", samples)
    backend = OnnxRuntime(card, data, threads)
    return Model(card, backend, name="onnxruntime", precision="fp32", why="bench")


def end_to_end(faces: list[FaceCrop], seconds: float, threads: int) -> None:
    aligned = [aligned_face(face) for face in faces]
    grays = np.stack([gray_image(image) for image in aligned])
    large = np.stack([appearance_image(image) for image in aligned])
    trunk = ResNet50FERPlus(CLASSES)
    plain = SubtractMean(trunk)
    with_statistics(trunk, lambda: plain(torch.from_numpy(large[::3])))
    moved = motion.clip_phase_differences(grays)
    features = plain(torch.from_numpy(large)).numpy()
    streams = [torch.from_numpy(s) for s in (features, *moved)]
    over_time = TwoStream("time")
    with_statistics(over_time, lambda: over_time(*(s[None] for s in streams)))
    released = TwoStream("clips")
    released.load_state_dict(over_time.state_dict())
    released.eval()

    appearance = appearance_build("mimamo_appearance", trunk, "bench")
    whole = {
        name: two_stream_build(
            name, n, "bench", appearance="mimamo_appearance", trunk=features_by(trunk)
        )
        for name, n in (("mimamo", over_time), ("mimamo_released", released))
    }
    parts = {made.name: made for made in stream_builds(whole["mimamo"], over_time)}
    flat = dict(zip(motion.STREAM_INPUTS, (s.numpy() for s in streams), strict=True))
    one_clip = {name: value[None] for name, value in flat.items()}
    networks = {}
    for way, quantised in (("fp32", False), ("int8-cpu", True)):
        face = model(appearance, threads, {"face": large} if quantised else None)
        networks[f"released, {way}"] = motion.MimamoNetworks(
            "mimamo_released",
            False,
            face,
            fusion=model(whole["mimamo_released"], threads, one_clip if quantised else None),
        )
        networks[f"over time, {way}"] = motion.MimamoNetworks(
            "mimamo",
            True,
            face,
            frame=model(parts["mimamo_frame"], threads, flat if quantised else None),
            recurrence=model(parts["mimamo_over_time"], threads),
        )

    def stream(networks_: motion.Networks, **settings: Any) -> Callable[[], object]:
        """Returns a function that processes a new frame at each call."""
        mimamo = motion.Mimamo[int](networks_, **settings)
        frame = iter(range(10**9))

        def step() -> object:
            t = next(frame)
            return mimamo.estimate(t, t / 30, [faces[t % len(faces)]])

        for _ in range(64):  # fills the window
            step()
        return step

    turn = iter(range(10**9))

    @torch.no_grad()
    def published() -> None:
        t = next(turn) % len(aligned)
        window = [aligned[min(max(i, 0), len(aligned) - 1)] for i in range(t - 6, t + 7)]
        gray = torch.from_numpy(np.stack([gray_image(image) for image in window]))
        look = plain(torch.from_numpy(appearance_image(aligned[t]))[None])
        phase = as_published(gray[None])
        released(look[None], *(p[None] for p in phase))

    print(
        f"\nMIMAMO-Net from an aligned face to valence and arousal, a new frame, {threads} threads"
    )
    calls: dict[str, Callable[[], object]] = {"as published": published}
    for name, made in networks.items():
        calls[name] = stream(made)
    times = time_in_turns(calls, seconds=seconds)
    report(times, "as published")

    print("\nappearance on every k-th image, over time, fp32: time per frame, and deviation")
    found = {}
    for every in (1, 2, 3, 5, 8):
        mimamo = motion.Mimamo[int](
            networks["over time, fp32"], motion.MimamoSettings(appearance_every=every)
        )
        results = []
        for t, face in enumerate(faces):
            results += mimamo.estimate(t, t / 30, [face])
        values = np.array([[v[0].valence, v[0].arousal] for _, v in results if v])
        found[every] = values
        off = np.sqrt(np.mean((values - found[1]) ** 2, axis=0)) / found[1].std(axis=0)
        # In turns of whole rounds of k.
        step = stream(networks["over time, fp32"], motion.MimamoSettings(appearance_every=every))
        taken = time_in_turns({"": lambda s=step, k=every: [s() for _ in range(k)]}, seconds=2)[""]
        print(
            f"  k = {every}: {1e3 * taken.least / every:6.2f} ms; off by {off[0]:.3f} (valence), "
            f"{off[1]:.3f} (arousal) of how much they vary over the clip (rms)"
        )


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=20.0, help="for each comparison")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--frames", type=int, default=48)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    flags = set(Path("/proc/cpuinfo").read_text().split())
    vnni = sorted(flags & {"avx512_vnni", "avx_vnni"}) or "no VNNI"
    print(f"{options.threads} threads, torch {torch.__version__}, this processor has {vnni}")
    faces = crops(options.frames)
    phases(faces, options.seconds)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["FACE_PERCEPTION_MODELS"] = folder
        with torch.no_grad():
            end_to_end(faces, options.seconds, options.threads)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
