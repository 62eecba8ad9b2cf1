"""MuseTalk in use: cheaper decoders, batches, and streamed speech compared with the whole."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from generated_weights import weights
from goldens import KEPT_STATES, Golden, golden

from face_perception.avatar import MuseTalk
from face_perception.inference import (
    Disagreement,
    ModelError,
    build_tensorrt_engine,
    choose_batch_size,
    find_card,
    install_model,
    load,
    make_variant,
    read_variant,
)
from face_perception.speech import (
    WhisperWindowStream,
    image_count,
    image_windows,
    log_mel,
    whisper_states,
)

torch = pytest.importorskip("torch")

from face_perception.learning.musetalk import autoencoder as musetalk_vae
from face_perception.learning.musetalk import decoders as musetalk_decoders
from face_perception.learning.musetalk import export as musetalk_export
from face_perception.learning.musetalk import unet as musetalk_unet
from face_perception.learning.musetalk import whisper_encoder

RATE = 16000


@pytest.fixture(scope="module")
def published() -> Golden:
    return golden("musetalk")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path]:
    """The tiny decoder with random weights, and its file in the format of diffusers."""
    torch.manual_seed(0)
    network = musetalk_decoders.TinyDecoder().eval()
    state = {f"decoder.{k}": v for k, v in network.state_dict().items()}
    state["encoder.layers.0.weight"] = torch.zeros(3)
    path = tmp_path_factory.mktemp("published") / "taesd.pth"
    torch.save(state, path)
    return network, path


@pytest.fixture(scope="module")
def installed(empty_models: Path, tiny: tuple[Any, Path], published: Golden) -> Path:
    """Installs the tiny decoder, and a narrow UNet with few layers, but every kind of them."""
    (empty_models / "vae.bin").write_bytes(b"vae")
    latents = torch.from_numpy(published["latents_for_unet_mode"])
    install_model(musetalk_export.tiny_decoder_build(tiny[1], latents))
    torch.manual_seed(1)
    unet = musetalk_unet.UNet((32, 64, 64, 64), layers=1).eval()
    unet.fold_time()
    audio = torch.randn(1, 50, 384)
    vae = empty_models / "vae.bin"
    install_model(musetalk_export.unet_build(unet, latents, audio, vae, {}, empty_models))
    return empty_models


@pytest.fixture
def narrow(narrow_models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Puts the model cache with narrow networks in use. Other tests share it: only read it."""
    monkeypatch.setenv("FACE_PERCEPTION_MODELS", str(narrow_models))


def speech(count: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    latents = random.normal(size=(count, 8, 32, 32)).astype(np.float32)
    return latents, random.normal(size=(count, 50, 384)).astype(np.float32)


@pytest.mark.usefixtures("narrow")
def test_batches_change_nothing() -> None:
    latents, audio = speech(5)
    one = MuseTalk.load(backend="onnxruntime", decoder="tiny", threads=2)
    several = MuseTalk.load(backend="onnxruntime", decoder="tiny", threads=2, batch=3)
    measured = one.measure_cost()
    # The first call is not counted.
    assert 1 <= measured.calls == len(one._taken) <= 5
    found = one.generate(latents, audio)
    assert found.shape == (5, 256, 256, 3)
    assert found.dtype == np.uint8
    assert found.std() > 3
    assert np.abs(found[0].astype(int) - found[1]).max() > 3
    off = np.abs(found.astype(int) - several.generate(latents, audio))
    assert off.max() <= 1
    needs = several.measure_cost(2)
    assert needs.batch == 2
    assert needs.calls == 1  # the rest of five images in batches of three
    assert needs.unet > 0
    assert several.seconds_per_image(2) == needs.total > needs.decoder > 0
    assert [why.split(":")[0] for why in one.why] == ["musetalk_unet", "musetalk_tiny_decoder"]
    assert one.generate(latents[:0], audio[:0]).shape == (0, 256, 256, 3)


@pytest.mark.usefixtures("installed")
def test_bad_arguments_are_named() -> None:
    with pytest.raises(ValueError, match="no decoder 'best'"):
        MuseTalk.load(decoder="best")
    with pytest.raises(ValueError, match="batch must be from 1 to 8"):
        MuseTalk.load(batch=9)
    made = MuseTalk.load(backend="onnxruntime", decoder="tiny")
    latents, audio = speech(2)
    with pytest.raises(ValueError, match=r"latents must be float32 \[N, 8, 32, 32\]"):
        made.generate(latents.astype(np.float64), audio)
    with pytest.raises(ValueError, match="2 latents do not fit 1 windows"):
        made.generate(latents, audio[:1])
    with pytest.raises(ModelError, match="needs musetalk_vae_encoder"):
        made.encode(np.zeros((1, 256, 256, 3), np.uint8))


def test_missing_networks_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACE_PERCEPTION_MODELS", str(tmp_path))
    with pytest.raises(ModelError, match=r"musetalk_tiny_decoder, .*import.*--tiny FILE"):
        MuseTalk.load(decoder="tiny")


@pytest.mark.usefixtures("narrow")
def test_rows_above_the_lower_decoder_repeat_its_first_row() -> None:
    lower = load("musetalk_vae_decoder_lower", backend="onnxruntime")
    made = MuseTalk(load("musetalk_unet", backend="onnxruntime"), lower)
    assert lower.card.facts["first_row"] == made.first_row == 96
    image = made.generate(*speech(1))[0]
    assert (image[:96] == image[96]).all()
    assert image[128:].std() > 3


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_lower_decoder_cut_behind_all_levels_is_the_exact_one(
    seed: int,
) -> None:
    """With random weights, cut behind all levels it equals the exact decoder.

    Cut as early as it is used, its error is less than that of an image shifted by one row.
    """
    torch.manual_seed(seed)
    autoencoder = musetalk_vae.Autoencoder((8, 8, 16, 16)).eval()
    latents = torch.randn(2, 4, 32, 32)
    with torch.inference_mode():
        exact = musetalk_vae.ImageDecoder(autoencoder)(latents)[:, :, 96:]
        whole = musetalk_decoders.LowerImageDecoder(autoencoder, cut=4)(latents)
        lower = musetalk_decoders.LowerImageDecoder(autoencoder)(latents)[:, :, 32:]
    torch.testing.assert_close(whole, exact, atol=2e-3, rtol=0)
    exact = exact[:, :, 32:]
    error = (lower - exact).square().mean()
    assert 0 < error < (exact[:, :, 1:] - exact[:, :, :-1]).square().mean()
    assert error < (exact - exact.mean((2, 3), keepdim=True)).square().mean() / 4


@pytest.mark.usefixtures("installed")
def test_tiny_decoder(tiny: tuple[Any, Path]) -> None:
    network, _ = tiny
    latents = np.random.default_rng(2).normal(0, 2, (2, 4, 32, 32)).astype(np.float32)
    with torch.inference_mode():
        wanted = network(torch.from_numpy(latents)).numpy()
    found = load("musetalk_tiny_decoder", backend="onnxruntime").infer({"latents": latents})
    np.testing.assert_allclose(found["image"], wanted, atol=1e-3)
    assert wanted.std() > 1
    # The original file counts the layers from a clamp.
    state = network.state_dict()
    original = {f"{int(k.split('.')[1]) + 1}.{k.split('.', 2)[2]}": v for k, v in state.items()}
    assert "1.weight" in original
    assert "3.conv.0.weight" in original
    renamed = musetalk_decoders.rename_tiny_decoder(original)
    assert renamed.keys() == state.keys()
    assert sum(v.numel() for v in state.values()) == 1_222_531


@pytest.mark.parametrize("name", ["musetalk_unet", "musetalk_tiny_decoder"])
@pytest.mark.usefixtures("installed")
def test_tensorrt_builds_it(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Covers every kind of layer of the UNet, with external weights; all of it takes minutes."""
    pytest.importorskip("tensorrt_rtx")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert build_tensorrt_engine(name).stat().st_size > 1e6


@pytest.mark.parametrize(
    "name", ["musetalk_vae_encoder", "musetalk_vae_decoder", "musetalk_vae_decoder_lower"]
)
@pytest.mark.usefixtures("narrow")
def test_tensorrt_builds_the_narrow_autoencoder(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All its layers, which take TensorRT much longer in their true width."""
    pytest.importorskip("tensorrt_rtx")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert build_tensorrt_engine(name).stat().st_size > 1e5


@pytest.mark.usefixtures("installed")
def test_unet_in_fp16(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The FP16 variant of a network with external weights: half the size, near FP32, accepted by
    the gate, and built by TensorRT.
    """
    variant = make_variant("musetalk_unet", "fp16")
    assert variant.extra.keys() == {"musetalk_unet.fp16.onnx.data"}
    (found,) = variant.deviations
    assert found.within
    assert 0 < found.rms < 0.01
    folder = find_card("musetalk_unet").path.parent
    full, half = (
        sum(
            (folder / f"musetalk_unet{kind}.onnx{beside}").stat().st_size
            for beside in ("", ".data")
        )
        for kind in ("", ".fp16")
    )
    assert half < 0.6 * full
    latents, audio = speech(1)
    answers = [
        load("musetalk_unet", backend="onnxruntime", precision=precision).infer(
            {"latents": latents, "audio": audio}
        )["latents"]
        for precision in ("fp16", "fp32")
    ]
    assert 0 < np.abs(answers[0] - answers[1]).max() < 0.05
    if importlib.util.find_spec("tensorrt_rtx"):
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
        assert build_tensorrt_engine("musetalk_unet", "fp16").stat().st_size > 1e6


@pytest.mark.usefixtures("installed")
def test_unet_with_products_in_int8() -> None:
    """The INT8 variant keeps its weights in an external file, and records its deviation."""
    variant = make_variant("musetalk_unet", "int8-cpu")
    assert variant.extra.keys() == {"musetalk_unet.int8-cpu.onnx.data"}
    (found,) = variant.deviations
    assert 0 < found.rms < 0.1
    kept = read_variant("musetalk_unet", "int8-cpu")
    assert (kept.sha256, kept.extra) == (variant.sha256, variant.extra)
    folder = find_card("musetalk_unet").path.parent
    full = (folder / "musetalk_unet.onnx.data").stat().st_size
    beside = folder / "musetalk_unet.int8-cpu.onnx.data"
    assert beside.stat().st_size < 0.95 * full
    assert not list(folder.glob(".*variant*"))
    with pytest.raises(ModelError, match="int8-trt of musetalk_unet cannot be made"):
        make_variant("musetalk_unet", "int8-trt")
    if found.within:
        made = MuseTalk.load(backend="onnxruntime", decoder="tiny", precision="int8")
        assert "int8" in made.why[0]
        assert "fp32" in made.why[1]
    else:
        with pytest.raises(Disagreement, match="musetalk_unet"):
            MuseTalk.load(backend="onnxruntime", decoder="tiny", precision="int8")
    content = bytearray(beside.read_bytes())
    content[-100] ^= 1
    beside.write_bytes(content)
    with pytest.raises(ModelError, match="is damaged"):
        load("musetalk_unet", backend="onnxruntime", precision="int8")


def test_batch_for_a_latency_budget() -> None:
    seconds = {1: 0.030, 2: 0.040, 4: 0.060, 8: 0.160}
    assert choose_batch_size(0.03, seconds) == 1
    assert choose_batch_size(0.08, seconds) == 2
    assert choose_batch_size(0.18, seconds) == 4
    assert choose_batch_size(9.0, seconds) == 4  # a batch of 8 takes longer per image
    assert choose_batch_size(0.06, seconds, period=0) == 4  # all speech is available at once
    assert choose_batch_size(0.001, seconds) == 1
    with pytest.raises(ValueError, match="at least one batch size"):
        choose_batch_size(1.0, {})


class Whisper:
    """The real encoder with the golden's weights."""

    def __init__(self, *, normed: bool = True) -> None:
        self._network = whisper_encoder.WhisperEncoder(normed=normed).eval()
        state = weights("musetalk_whisper_encoder")
        self._network.load_state_dict({k: torch.from_numpy(v) for k, v in state.items()})

    def infer(self, inputs: Any) -> dict[str, Any]:
        with torch.inference_mode():
            return {"states": self._network(torch.from_numpy(inputs["mel"])).numpy()}


def test_windows_as_speech_comes(published: Golden) -> None:
    """Speech of 2 s in pieces of 0.1 s: the stated look-ahead and error bound hold."""
    encoder = Whisper()
    whole = image_windows(whisper_states(published["wav"], encoder), 50, 25).reshape(50, 10, 5, 384)
    stream = WhisperWindowStream(encoder, hold=0.4, every=0.2)
    assert stream.look_ahead == pytest.approx(0.72)
    found: list[np.ndarray] = []
    for start in range(0, 32000, 1600):
        end = start + 1600
        stream.append_speech(published["wav"][start:end], last=end == 32000)
        while len(found) < 50:
            window = stream.image_window(len(found), 25)
            if window is None:
                break
            found.append(window)
        if end < 32000:  # no window comes later than stated
            assert len(found) >= int((end / RATE - stream.look_ahead) * 25 + 1e-6)
            assert len(found) / 25 <= end / RATE
    assert len(found) == 50 == image_count(32000, 25)
    off = np.stack(found).reshape(whole.shape) - whole
    share = np.sqrt((off**2).mean((0, 1, 3)) / (whole**2).mean((0, 1, 3)))
    worst = np.sqrt((off**2).mean((1, 2, 3)) / (whole**2).mean((1, 2, 3))).max()
    print("RMS of the deviation by layer, worst image:", share, worst)
    assert share[0] < 0.001
    assert (share < 0.05).all(), share
    assert worst < 0.1
    np.testing.assert_array_equal(stream.image_window(60, 25), 0)


def test_speech_that_is_there_at_once_is_exact(published: Golden) -> None:
    encoder = Whisper()
    stream = WhisperWindowStream(encoder)
    stream.append_speech(published["wav"], last=True)
    found = np.stack([stream.image_window(k, 30) for k in range(60)])
    np.testing.assert_allclose(found[KEPT_STATES], published["chunks_fps30"], atol=1e-4)
    with pytest.raises(ValueError, match="has ended"):
        stream.append_speech(published["wav"])
    stream.reset()
    assert stream.image_window(0, 25) is None


class Constant:
    """A cheap encoder: each state is its own index in the block."""

    def infer(self, inputs: Any) -> dict[str, Any]:
        states = np.broadcast_to(np.arange(1500.0)[:, None, None] + 1, (1, 1500, 5, 384))
        return {"states": states.astype(np.float32)}


def test_speech_for_the_first_version(published: Golden) -> None:
    """MuseTalk 1.0 has its own spectrogram and windows: exact offline, close when streamed."""
    encoder = Whisper(normed=False)
    wanted = published["v10_chunks_fps25"]
    stream = WhisperWindowStream(encoder, original=True)
    stream.append_speech(published["wav"], last=True)
    found = np.stack([stream.image_window(k, 25) for k in range(len(wanted))])[KEPT_STATES]
    np.testing.assert_allclose(found, wanted, atol=1e-4)
    stream.reset()
    found = []
    for start in range(0, 32000, 3200):
        stream.append_speech(published["wav"][start : start + 3200], last=start + 3200 == 32000)
        while (
            len(found) < len(wanted) and (window := stream.image_window(len(found), 25)) is not None
        ):
            found.append(window)
    off = np.sqrt(((np.stack(found)[KEPT_STATES] - wanted) ** 2).mean() / (wanted**2).mean())
    print("RMS of the deviation:", off)
    assert off < 0.05


def test_speech_of_the_first_version_longer_than_a_block() -> None:
    """One spectrogram of all speech: a quiet first block stays quiet relative to the second."""
    rng = np.random.default_rng(0)
    speech = rng.normal(0, 0.1, 31 * RATE).astype(np.float32)
    speech[: 30 * RATE] *= 1e-5
    given: list[np.ndarray] = []

    class Kept(Constant):
        def infer(self, inputs: Any) -> dict[str, Any]:
            given.append(inputs["mel"][0])
            return super().infer(inputs)

    assert whisper_states(speech, Kept(), original=True).shape == (1550, 5, 384)
    mel = log_mel(speech)
    np.testing.assert_array_equal(given[0], mel[:, :3000])
    np.testing.assert_array_equal(given[1][:, :100], mel[:, 3000:])
    assert not given[1][:, 100:].any()


def test_long_speech_is_forgotten() -> None:
    stream = WhisperWindowStream(Constant(), every=1.0)
    silence = np.zeros(RATE, np.float32)
    for second in range(45):
        stream.append_speech(silence)
        window = stream.image_window(max(second - 3, 0) * 25, 25)
        assert window is not None or second < 2
    assert stream._states.nbytes < 25 * 50 * 5 * 384 * 4
    window = stream.image_window(41 * 25, 25)
    assert window is not None
    assert window.reshape(10, 5, 384)[:, 0, 0].tolist() == list(range(547, 557))
    with pytest.raises(ValueError, match="long past"):
        stream.image_window(0, 25)
    with pytest.raises(ValueError, match="counted from 0"):
        stream.image_window(-1, 25)
