"""MuseTalk's networks answer what the published ones answer, for the same weights."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from musetalk_weights import published_weights

from face_perception.speech import log_mel
from face_perception.speech.mel_spectrogram import mel_filters

torch = pytest.importorskip("torch")

from face_perception.learning.musetalk import autoencoder as musetalk_vae
from face_perception.learning.musetalk import unet as musetalk_unet
from face_perception.learning.musetalk import whisper_encoder

State = dict[str, Any]


@pytest.fixture(scope="module")
def golden(shared: Path) -> dict[str, np.ndarray]:
    return dict(np.load(shared / "golden" / "musetalk" / "golden_seed1.npz"))


@pytest.fixture(scope="module")
def weights(shared: Path) -> Callable[[str], State]:
    """The state dict of ``unet``, ``vae`` or ``whisper_encoder``, for the golden's seed."""
    made = published_weights(shared)
    return lambda which: {k: torch.from_numpy(v) for k, v in getattr(made, which)(1).items()}


@pytest.fixture(autouse=True)
def inference_only() -> Any:
    with torch.no_grad():
        yield


def test_log_mel(golden: dict[str, np.ndarray]) -> None:
    """Silence after the samples, or after the spectrogram, as the two versions have it."""
    mel = log_mel(golden["wav"], 3000)
    assert mel.shape == (80, 3000)
    np.testing.assert_allclose(mel[:, :240], golden["mel_hf"][0], atol=1e-4)
    np.testing.assert_allclose(mel[:, -10:], golden["mel_hf_tail"][0], atol=1e-4)
    np.testing.assert_allclose(log_mel(golden["wav"]), golden["v10_mel"], atol=1e-4)


@pytest.mark.parametrize("count", [32000, 31999, 31980, 31920, 31841, 4000])
def test_log_mel_of_any_length(golden: dict[str, np.ndarray], count: int) -> None:
    """As whisper's own code has it: all samples are heard, also those behind the last frame."""
    speech = golden["wav"][5000 : 5000 + count] if count < 5000 else golden["wav"][:count]
    window = torch.hann_window(400)
    spectrum = torch.stft(torch.from_numpy(speech), 400, 160, window=window, return_complex=True)
    power = spectrum[:, :-1].abs() ** 2
    logarithm = (torch.from_numpy(mel_filters()).float() @ power).clamp(min=1e-10).log10()
    wanted = (torch.maximum(logarithm, logarithm.max() - 8.0) + 4.0) / 4.0
    np.testing.assert_allclose(log_mel(speech), wanted.numpy(), atol=1e-4)


def test_log_mel_of_nothing() -> None:
    assert log_mel(np.zeros(0, np.float32)).shape == (80, 0)
    silent = log_mel(np.zeros(1600, np.float32))
    assert silent.shape == (80, 10)
    assert len(np.unique(silent)) == 1


@pytest.mark.parametrize(("normed", "wanted"), [(True, "hidden_hf"), (False, "v10_features")])
def test_whisper(
    golden: dict[str, np.ndarray],
    weights: Callable[[str], State],
    normed: bool,
    wanted: str,
) -> None:
    network = whisper_encoder.WhisperEncoder(normed=normed).eval()
    network.load_state_dict(weights("whisper_encoder"))
    mel = np.zeros((1, 80, 3000), np.float32)
    made = log_mel(golden["wav"], 3000 if normed else None)
    mel[0, :, : made.shape[1]] = made
    states = network(torch.from_numpy(mel)).numpy()
    assert states.shape == (1, 1500, 5, 384)
    want = golden[wanted].reshape(1, -1, 5, 384)
    np.testing.assert_allclose(states[:, : want.shape[1]], want, atol=1e-4)


@pytest.fixture(scope="module")
def autoencoder() -> Any:
    with torch.device("meta"):
        return musetalk_vae.Autoencoder()


def test_older_names_of_the_autoencoder(shared: Path, autoencoder: Any) -> None:
    """Each is turned into the name that the network has."""
    import json

    table = json.loads((shared / "golden" / "musetalk" / "params_vae.json").read_text())
    assert table["file_names"]
    for today, before in table["file_names"].items():
        assert today in autoencoder.state_dict()
        for old, new in musetalk_vae.RENAMED.items():
            before = before.replace(old, new)
        assert before == today


@pytest.mark.slow
def test_unet(golden: dict[str, np.ndarray], weights: Callable[[str], State]) -> None:
    """850 million parameters: 45 s to make them."""
    with torch.device("meta"):
        network = musetalk_unet.UNet()
    network = network.to_empty(device="cpu").eval()
    network.positions = musetalk_unet.positions()
    network.load_state_dict(weights("unet"))
    given = [torch.from_numpy(golden[name]) for name in ("unet_latents", "unet_audio")]
    np.testing.assert_allclose(network(*given).numpy(), golden["unet_out"], atol=1e-4)
    network.fold_time()
    np.testing.assert_allclose(network(*given).numpy(), golden["unet_out"], atol=1e-4)


def test_unet_has_the_published_parameters(shared: Path) -> None:
    import json

    table = json.loads((shared / "golden" / "musetalk" / "params_unet.json").read_text())
    with torch.device("meta"):
        network = musetalk_unet.UNet()
    found = {name: list(value.shape) for name, value in network.state_dict().items()}
    assert found == {name: value["shape"] for name, value in table["tensors"].items()}


def test_positions_of_the_tokens(golden: dict[str, np.ndarray]) -> None:
    found = golden["unet_audio"] + musetalk_unet.positions().numpy()
    np.testing.assert_allclose(found, golden["unet_audio_pe"], atol=1e-6)
