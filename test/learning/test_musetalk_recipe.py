"""The recipes of MuseTalk and SyncNet, from films to a face that is rendered in ONNX Runtime."""

from __future__ import annotations

import dataclasses
import math
import random
import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import yaml

from face_perception.errors import InputError

torch = pytest.importorskip("torch")

from talking_films import ABOUT, painted_videos, write_film

from face_perception import cli
from face_perception.avatar import MuseTalk
from face_perception.faces import FaceTracker
from face_perception.inference import find_card
from face_perception.learning import runs
from face_perception.learning.data.dataset import write_about
from face_perception.learning.mouth.data import SpeechClip
from face_perception.learning.musetalk import face_figures, syncnet_recipe, syncnet_runs
from face_perception.learning.musetalk import recipe as recipes
from face_perception.learning.musetalk import runs as musetalk_runs
from face_perception.learning.musetalk.autoencoder import Autoencoder
from face_perception.learning.musetalk.face_figures import ssim
from face_perception.learning.musetalk.frame_sampling import reference_frame
from face_perception.learning.musetalk.lip_sync_figures import sync_figures
from face_perception.learning.musetalk.perceptual_loss import (
    VGGFeatures,
    load_perceptual,
    perceptual_loss,
)
from face_perception.learning.musetalk.recipe import Frozen, MuseTalkRecipe
from face_perception.learning.musetalk.syncnet_recipe import SyncNetRecipe
from face_perception.learning.musetalk.talking_videos import (
    ROWS,
    TalkingVideos,
    face_image,
    read_videos,
)
from face_perception.learning.musetalk.training_samples import FaceSamples, SyncSamples
from face_perception.learning.recipe import read_settings, recipe_file
from face_perception.learning.synthesis import talking_clips
from face_perception.learning.synthesis.espeak import Request, Spoken
from face_perception.learning.training_loop import LAST, fit_module
from face_perception.speech import Phone

TINY = MuseTalkRecipe(
    seed=0,
    stage=1,
    epochs=2,
    samples=2,
    batch=2,
    frames=1,
    rate=3e-3,
    warm_up=0,
    channels=(8.0, 8.0, 8.0, 8.0),
    layers=1,
    vae_channels=(4.0, 4.0, 4.0, 4.0),
    vae_epochs=1,
    first_frames=8,
    evaluated_frames=2,
)
SYNC = SyncNetRecipe(seed=0, epochs=2, samples=2, batch=2, rate=1e-3, width=0.01)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """More threads slow down networks as small as these."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> TalkingVideos:
    return painted_videos(tmp_path_factory.mktemp("talking"))


@pytest.fixture(scope="module")
def states(videos: TalkingVideos) -> list[np.ndarray]:
    """Speech features of the training clip; random, because whisper takes seconds."""
    generator = np.random.default_rng(0)
    clip = videos.part("train")[0]
    return [generator.normal(size=(2 * len(clip), 5, 384)).astype(np.float32)]


class Enlarged(Autoencoder):
    """Latents are colours of blocks of 16 x 16 pixels: a random autoencoder cannot draw a face.

    They are half as wide as real ones, which makes the UNet's attention 16 times cheaper.
    """

    def encode(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        small = torch.nn.functional.avg_pool2d(images, 16)
        return torch.cat([small, small[:, :1]], 1) / recipes.SCALING, small

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.interpolate(latents[:, :3], scale_factor=16.0)


AUTOENCODER = Enlarged((4, 4, 4, 4)).requires_grad_(False)


def test_films_become_faces_and_sound(tmp_path: Path, tracker: FaceTracker) -> None:
    films = write_film(tmp_path / "films", tracker, 0.4)
    videos = read_videos(films, tmp_path / "faces")
    (clip,) = videos.part("train")
    assert (clip.name, len(clip)) == ("00000_000_film", 10)
    assert clip.faces.shape == (10, ROWS, 256, 3)
    assert clip.sound.shape == (6400,)
    assert np.abs(clip.sound).max() > 0.05
    # The points are on the face: the chin is at the lower edge, the jaw at the sides.
    points = clip.points[0]
    assert points[8, 1] == pytest.approx(256, abs=6)
    assert points[:, 0].min() == pytest.approx(0, abs=6)
    # A margin shows what is below the chin.
    wide = face_image(clip, 0, 20)
    assert np.abs(wide[-8:].astype(int) - face_image(clip, 0)[-8:]).mean() > 1
    said: list[str] = []
    again = read_videos(films, tmp_path / "faces", report=said.append)
    assert not said, "the second time, nothing is computed"
    assert np.array_equal(again.clips[0].faces, clip.faces)
    with pytest.raises(InputError, match="no film in test/ with 1 frames"):
        again.part("test")


def test_drawn_people_share_no_utterance_with_those_of_another_split(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tracker: FaceTracker
) -> None:
    def said(requests: list[Request]) -> list[Spoken]:
        silence = np.zeros(4000, np.float32)
        return [Spoken(r, silence, (Phone(f"{i}", 0.0, 0.25),)) for i, r in enumerate(requests)]

    heard: dict[str, set[str]] = {}

    def write(film: Path, _: object, clip: SpeechClip, *, seed: int) -> None:
        assert clip.phones, "all of them talk"
        heard.setdefault(film.parent.name, set()).update(p.name for p in clip.phones if p.name)

    monkeypatch.setattr(talking_clips, "speak", said)
    monkeypatch.setattr(talking_clips, "load_tracker", lambda: tracker)
    monkeypatch.setattr(talking_clips, "_next_portrait", lambda *_: None)
    monkeypatch.setattr(talking_clips, "write_talking_film", write)
    talking_clips.write_talking_clips(tmp_path / "films", talking_clips.TalkingClips(12, 3.0))
    train, validation, test = (heard[split] for split in ("train", "validation", "test"))
    assert (len(train), len(validation), len(test)) == (8, 2, 2)
    assert not train & validation | train & test | validation & test


def test_data_that_does_not_fit_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"dataset.yaml is missing: a data set has .* train"):
        read_videos(tmp_path, tmp_path / "faces")
    write_about(tmp_path, **ABOUT)
    with pytest.raises(InputError, match="has no films"):
        read_videos(tmp_path, tmp_path / "faces")
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / "a.mp4").write_text("no film")
    with pytest.raises(InputError, match=r"a\.mp4"):
        read_videos(tmp_path, tmp_path / "faces")
    assert list((tmp_path / "faces").iterdir()) == [], "nothing incomplete is left"


def test_settings_of_the_package() -> None:
    first, second = (
        read_settings(MuseTalkRecipe, recipe_file(name)) for name in ("musetalk", "musetalk_stage2")
    )
    assert (first.stage, second.stage) == (1, 2)
    assert (first.channels, first.layers) == (second.channels, second.layers)
    weights = (second.l1_weight, second.perceptual_weight, second.gan_weight, second.sync_weight)
    assert weights == (1.0, 0.01, 0.01, 0.05)
    assert read_settings(SyncNetRecipe, recipe_file("syncnet")).width == 1 / 16
    for changes, said in (
        ({"stage": 2}, "stage 2 starts from stage 1: give start"),
        ({"stage": 2, "start": "x", "syncnet": "y"}, "SyncNet sees 16 frames"),
        ({"channels": (8.0, 8.0, 8.0, 12.0)}, "channels has 12: give multiples of 8"),
        ({"frames": 16}, "first_frames is 8: give 0 for all, or at least frames"),
    ):
        with pytest.raises(InputError, match=re.escape(said)):
            dataclasses.replace(TINY, **changes)


def test_samples_depend_on_the_epoch_and_on_nothing_else(
    videos: TalkingVideos, states: list[np.ndarray]
) -> None:
    clips = videos.part("train")
    how = dataclasses.replace(TINY, frames=3, margin=10.0, margin_spread=10.0).sampling()
    one, same, later = (FaceSamples(clips, states, how, epoch)[0] for epoch in (0, 0, 1))
    assert all(torch.equal(one[key], same[key]) for key in one)
    assert not torch.equal(one["faces"], later["faces"])
    shapes = {key: tuple(value.shape) for key, value in one.items()}
    assert shapes == {
        "faces": (3, 3, 256, 256),
        "references": (3, 3, 256, 256),
        "audio": (3, 50, 384),
        "sound": (1, 80, 52),
        "mouths": (3, 4),
    }
    pairs = SyncSamples(clips, 0, 8)
    assert {float(pairs[i][2]) for i in range(8)} == {0.0, 1.0}


def test_it_overfits_eight_frames(videos: TalkingVideos, states: list[np.ndarray]) -> None:
    """The generated lower half comes near the film."""
    clip = videos.part("train")[0]
    count = TINY.first_frames
    short = dataclasses.replace(
        clip, faces=clip.faces[:count], points=clip.points[:count], sizes=clip.sizes[:count]
    )
    recipe = dataclasses.replace(
        TINY, epochs=1, samples=160, batch=4, rate=1e-2, channels=(16.0, 16.0, 16.0, 16.0)
    )
    used = Frozen(AUTOENCODER)
    network = recipes.train(recipe, [short], states, used, quiet=True)
    samples = FaceSamples([short], states, recipe.sampling(), 5)
    batch = {
        k: torch.stack([samples[i][k][0] for i in range(8)])
        for k in ("faces", "references", "audio")
    }
    with torch.inference_mode():
        wrong = [
            (recipes.generate(one, used.autoencoder, batch) - batch["faces"])[:, :, 128:]
            for one in (network, recipe.network())
        ]
    after, before = (float(one.abs().mean()) for one in wrong)
    assert after < before / 2


@pytest.mark.parametrize("stage", [1, 2])
def test_an_interrupted_run_ends_with_the_same_bits(
    videos: TalkingVideos, states: list[np.ndarray], tmp_path: Path, stage: int
) -> None:
    recipe, used = TINY, Frozen(AUTOENCODER)
    start = None
    if stage == 2:
        recipe = dataclasses.replace(
            TINY,
            stage=2,
            samples=1,
            batch=1,
            frames=16,
            first_frames=0,
            start="given",
            margin=10.0,
            margin_spread=5.0,
            gan_start=1,
            discriminator_width=2,
            discriminator_rate=1e-3,
        )
        syncnet = SYNC.network().eval().requires_grad_(False)
        used = Frozen(AUTOENCODER, syncnet=syncnet)
        start = TINY.network().state_dict()
    clips = videos.part("train")
    weights = []
    for folder, stops in (("a", (2,)), ("b", (1, 2))):
        for number, epochs in enumerate(stops):
            # The schedule is that of the whole run, as of a run that was killed.
            module = recipes.MuseTalkModule(recipe, clips, states, used, start)
            fit_module(
                module,
                epochs=epochs,
                seed=recipe.seed,
                out=tmp_path / folder,
                resume=number > 0,
                quiet=True,
            )
        weights.append(module.state_dict())
    assert any(name.startswith("discriminators.mouth") for name in weights[0]) == (stage == 2)
    assert int(weights[0]["done"]) == 2
    for name, value in weights[0].items():
        assert torch.equal(value, weights[1][name]), name
    before = recipe.network().state_dict()
    assert not torch.equal(before["conv_in.weight"], weights[0]["network.conv_in.weight"])


def test_frozen_networks_come_back_from_the_device(
    videos: TalkingVideos, states: list[np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A training moves them to the GPU; the figures after it are measured on the CPU."""
    moved: list[str] = []
    monkeypatch.setattr(recipes, "fit_module", lambda *_, **__: None)
    monkeypatch.setattr(AUTOENCODER, "cpu", lambda: moved.append("cpu"))
    recipes.train(TINY, videos.part("train"), states, Frozen(AUTOENCODER), quiet=True)
    assert moved == ["cpu"]


def test_perceptual_network_is_read_with_its_card(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = VGGFeatures((2, 2, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 6))
    file = tmp_path / "vgg19.pth"
    state = {**network.state_dict(), "classifier.0.weight": torch.zeros(2, 2)}
    torch.save(state, file)
    with pytest.raises(InputError, match=r"vgg19\.yaml is missing, the card of vgg19\.pth"):
        load_perceptual(file)
    (tmp_path / "vgg19.yaml").write_text("licence: research only\n")
    with pytest.raises(InputError, match="does not state licence and source"):
        load_perceptual(file)
    (tmp_path / "vgg19.yaml").write_text("licence: research only\nsource: a test\n")
    found = load_perceptual(file)
    assert (found.licence, found.origin[:6]) == ("research only", "a test")
    images = torch.rand(1, 3, 64, 64) * 2 - 1
    assert [x.shape[1] for x in found.network(images)] == [2, 3, 4, 5, 6]
    assert float(perceptual_loss(found.network, images, images)) == 0
    made = images.clone().requires_grad_(True)
    perceptual_loss(found.network, images, made * 0.5).backward()
    assert float(made.grad.abs().sum()) > 0
    torch.save({"features.0.weight": torch.zeros(2, 3, 3, 3)}, file)
    with pytest.raises(InputError, match=r"is not VGG-19: tensors features\.0\.weight"):
        load_perceptual(file)


def test_figures_of_generated_faces(videos: TalkingVideos, states: list[np.ndarray]) -> None:
    clips = videos.part("train")
    found = face_figures.evaluate(
        TINY.network().eval(),
        AUTOENCODER,
        clips,
        states,
        frames=18,
        margin=10.0,
        syncnet=SYNC.network().eval(),
    )
    assert {"l1", "ssim", "lip_distance", "sync_distance", "sync_offset_film"} < found.keys()
    assert 0 < found["l1"] < 1
    assert found["lips_found"] == 0, "nothing was learned"
    assert np.isnan(found["lip_distance"])


def test_the_sound_has_no_offset_if_its_distance_is_nan() -> None:
    """As that of a network whose training diverged."""
    network: Any = SimpleNamespace(
        visual_encoder=lambda lips: torch.full((len(lips), 8), math.nan),
        audio_encoder=lambda sound: torch.zeros(len(sound), 8),
    )
    found = sync_figures(network, torch.zeros(3, 48, 2, 2), range(3), torch.zeros(80, 200), 4)
    assert len(found) == 3
    assert all(map(math.isnan, found.values()))


def test_the_reference_of_a_figure_is_another_frame() -> None:
    """In training it may be the frame itself, which shows the mouth that is to be generated."""
    points = np.zeros((7, 68, 2))
    draws = [random.Random(seed) for seed in range(20)]
    drawn = {frame: [reference_frame(points, frame, 1, draw) for draw in draws] for frame in (0, 6)}
    assert 0 in drawn[0]
    assert 6 in drawn[6]
    for frame in range(7):
        assert frame not in [face_figures.other_frame(points, frame, draw) for draw in draws]


def test_similarity_of_pictures() -> None:
    generator = np.random.default_rng(0)
    picture = generator.integers(0, 255, (40, 40, 3)).astype(np.uint8)
    assert ssim(picture, picture) == pytest.approx(1)
    assert ssim(picture, 255 - picture) < 0
    assert 0 < ssim(picture, (picture * 0.5 + 60).astype(np.uint8)) < 1


def test_syncnet_learns_pairs(videos: TalkingVideos) -> None:
    """After a few steps, lips agree more with their own sound than with another."""
    clips = videos.part("train", 16)
    recipe = dataclasses.replace(SYNC, epochs=1, samples=48, batch=8, rate=5e-3)
    network = syncnet_recipe.train(recipe, clips, quiet=True)
    found = syncnet_recipe.evaluate(network, clips, seed=1, pairs=16)
    assert found["agreement_own"] > found["agreement_other"]
    assert {"accuracy", "sync_distance", "sync_confidence", "sync_offset"} < found.keys()


def test_from_clips_to_a_rendered_face(
    videos: TalkingVideos,
    tmp_path: Path,
    own_models: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """`train syncnet`, both stages of `train musetalk`, `import musetalk`, and one image."""
    said: list[str] = []
    for module in (musetalk_runs, syncnet_runs):
        monkeypatch.setattr(module, "read_videos", lambda *_, **__: videos)
    films = videos.source.folder

    def train(name: str, recipe: object) -> Path:
        file, out = tmp_path / f"{name}.yaml", tmp_path / name
        values = dataclasses.asdict(recipe)  # type: ignore[call-overload]
        plain = {k: list(v) if isinstance(v, tuple) else v for k, v in values.items()}
        file.write_text(yaml.safe_dump(plain))
        made = runs.train(str(file), films, out, resume=False, name=f"{name}_x", report=said.append)
        assert made.licence == "that of the data set three films: CC0-1.0"
        assert made.name == f"{name}_x"
        return out

    sync = train("syncnet", dataclasses.replace(SYNC, epochs=1))
    one = dataclasses.replace(TINY, epochs=1)
    first = train("one", one)
    assert any("no VGG-19 (setting perceptual): the loss is L1 alone" in line for line in said)
    assert any("no whisper" in line for line in said)
    second = train(
        "two",
        dataclasses.replace(
            one,
            stage=2,
            samples=1,
            batch=1,
            frames=16,
            first_frames=0,
            start=str(first),
            syncnet=str(sync),
            gan_start=0,
            discriminator_width=2,
        ),
    )
    assert (second / LAST).exists()
    (tmp_path / "one" / "weights").rename(tmp_path / "kept")
    figures = runs.evaluate(second, None, "validation", said.append)
    assert set(figures) == {"l1", "ssim", "lip_distance", "lips_found"}, "without its first stage"
    (tmp_path / "kept").rename(tmp_path / "one" / "weights")
    figures = runs.evaluate(first, None, "validation", said.append)
    assert set(figures) == {"l1", "ssim", "lip_distance", "lips_found"}
    command = next(line for line in reversed(said) if "import musetalk" in line)
    assert cli.main([*command.split("face-perception ")[1].split(), "--lower"]) == 0
    capsys.readouterr()
    assert find_card("musetalk_vae_decoder_lower").facts["first_row"] == 96
    card = find_card("musetalk_unet")
    assert card.licence == "that of the data set three films: CC0-1.0"
    assert "trained by face_perception on three films" in card.origin
    musetalk = MuseTalk.load(backend="onnxruntime")
    latents = np.zeros((1, 8, 32, 32), np.float32)
    image = musetalk.generate(latents, np.ones((1, 50, 384), np.float32))
    assert image.shape == (1, 256, 256, 3)
    network = one.network()
    state = torch.load(second / "weights" / "unet.pth", weights_only=True)["state_dict"]
    network.load_state_dict(state)
    with torch.inference_mode():
        predicted = network.eval()(torch.zeros(1, 8, 32, 32), torch.ones(1, 50, 384))
    assert np.abs(musetalk.decode(predicted.numpy()).astype(int) - image).max() <= 1
