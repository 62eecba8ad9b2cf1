"""MuseTalk's networks give the published answers with the same weights."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from generated_weights import older_names, parameter_shapes, weights
from goldens import KEPT_STATES, Golden, golden

from face_perception.speech import log_mel
from face_perception.speech.mel_spectrogram import mel_filters

torch = pytest.importorskip("torch")

from face_perception.learning.musetalk import autoencoder as musetalk_vae
from face_perception.learning.musetalk import unet as musetalk_unet
from face_perception.learning.musetalk import whisper_encoder

State = dict[str, Any]


@pytest.fixture(scope="module")
def published() -> Golden:
    return golden("musetalk")


def state_of(network: str) -> State:
    """Returns the generated tensors of a network such as ``musetalk_unet``."""
    return {name: torch.from_numpy(value) for name, value in weights(network).items()}


@pytest.fixture(autouse=True)
def inference_only() -> Any:
    with torch.no_grad():
        yield


def test_log_mel(published: Golden) -> None:
    """Version 1.5 pads the samples with silence, version 1.0 the spectrogram."""
    mel = log_mel(published["wav"], 3000)
    assert mel.shape == (80, 3000)
    np.testing.assert_allclose(mel[:, :240:4], published["mel_hf"][0], atol=1e-4)
    np.testing.assert_allclose(mel[:, -10:], published["mel_hf_tail"][0], atol=1e-4)
    np.testing.assert_allclose(log_mel(published["wav"])[:, ::4], published["v10_mel"], atol=1e-4)


@pytest.mark.parametrize("count", [32000, 31999, 31980, 31920, 31841, 4000])
def test_log_mel_of_any_length(published: Golden, count: int) -> None:
    """Equals whisper's own code, which also uses the samples behind the last whole frame."""
    speech = published["wav"][5000 : 5000 + count] if count < 5000 else published["wav"][:count]
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
    published: Golden,
    normed: bool,
    wanted: str,
) -> None:
    network = whisper_encoder.WhisperEncoder(normed=normed).eval()
    network.load_state_dict(state_of("musetalk_whisper_encoder"))
    mel = np.zeros((1, 80, 3000), np.float32)
    made = log_mel(published["wav"], 3000 if normed else None)
    mel[0, :, : made.shape[1]] = made
    states = network(torch.from_numpy(mel)).numpy()
    assert states.shape == (1, 1500, 5, 384)
    want = published[wanted].reshape(1, -1, 5, 24)
    found = states[:, : want.shape[1]][KEPT_STATES]
    np.testing.assert_allclose(found, want, atol=1e-4)


@pytest.fixture(scope="module")
def autoencoder() -> Any:
    with torch.device("meta"):
        return musetalk_vae.Autoencoder()


def test_older_names_of_the_autoencoder(autoencoder: Any) -> None:
    """Each older name is converted to the name in the network."""
    assert older_names()
    for today, before in older_names().items():
        assert today in autoencoder.state_dict()
        for old, new in musetalk_vae.RENAMED.items():
            before = before.replace(old, new)
        assert before == today


@pytest.mark.slow
def test_unet(published: Golden) -> None:
    """Making 850 million parameters takes 45 s."""
    with torch.device("meta"):
        network = musetalk_unet.UNet()
    network = network.to_empty(device="cpu").eval()
    network.positions = musetalk_unet.positions()
    network.load_state_dict(state_of("musetalk_unet"))
    given = [torch.from_numpy(published[name]) for name in ("unet_latents", "unet_audio")]
    np.testing.assert_allclose(network(*given).numpy(), published["unet_out"], atol=1e-4)
    network.fold_time()
    np.testing.assert_allclose(network(*given).numpy(), published["unet_out"], atol=1e-4)


def test_unet_has_the_published_parameters() -> None:
    with torch.device("meta"):
        network = musetalk_unet.UNet()
    found = {name: list(value.shape) for name, value in network.state_dict().items()}
    assert found == parameter_shapes("musetalk_unet")


def test_positions_of_the_tokens(published: Golden) -> None:
    found = published["unet_audio"] + musetalk_unet.positions().numpy()
    np.testing.assert_allclose(found[..., ::8], published["unet_audio_pe"], atol=1e-6)
