"""What draws the talking face: the portrait, or MuseTalk where it is asked for and keeps up."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from face_perception import inference
from face_perception.avatar import (
    DECODERS,
    Avatar,
    ImageCost,
    LipSync,
    MuseTalk,
    PortraitRenderer,
    Renderer,
    check_imported,
    installed_autoencoder_hash,
    installed_unet_version,
    load_avatar,
    load_portrait,
    make_whisper_stream,
)
from face_perception.errors import InputError
from face_perception.inference import ModelError, choose_batch_size
from face_perception.ros.network_parameters import Loading
from face_perception.settings import setting

if TYPE_CHECKING:
    from face_perception.ros.driver import PerceptionNode

RENDERERS = ("auto", "portrait", "musetalk")
_HEARS = "whisper_encoder"
_PREPARE = "face-perception avatar prepare PORTRAIT"
_BATCHES = (1, 2, 4, 8)
_ROOM = 0.2  # seconds that images may take more than the speech that must be known
_MEMORY = 1.3  # of the weights' size, that must be free


@dataclass(frozen=True)
class RendererParameters(inference.NetworkSettings):
    """Parameters of the renderer of the talking face."""

    renderer: str = setting(
        "auto",
        "Renderer of the face. portrait: warps one picture. musetalk: a network for the lips, "
        "which needs `avatar` and imported networks. auto: musetalk if `avatar` is set and this "
        "computer reaches `rate` with it, else portrait.",
        choices=RENDERERS,
    )
    avatar: str = setting(
        "",
        "Path of the face for MuseTalk, a file that `face-perception avatar prepare` has written.",
    )
    decoder: str = setting(
        "exact",
        "Decoder of MuseTalk. exact: as published. lower: computes the lower half of the face "
        "only, faster and not exactly the same. tiny: a smaller network, the fastest. `import "
        "musetalk --lower` and `--tiny FILE` make the last two.",
        choices=tuple(DECODERS),
    )
    batch: int = setting(
        0,
        "Number of images that MuseTalk computes at once. A larger value gives more images per "
        "second and delays the speech. 0: as many as keep a batch within 0.2 s.",
        minimum=0,
        maximum=8,
    )


class RendererChoice:
    """The renderer that a node's parameters ask for; made in its ``setup``.

    ``start_renderer`` gives it and what hears the speech for it, None for the
    portrait. ``note`` says in a sentence which one it is and why, ``behind`` what is wrong where it
    cannot keep up.

    Raises as ``load_portrait``; for ``musetalk`` also ModelError where networks are missing, naming
    the import, and AvatarError for a bad file. ``auto`` falls back instead, and says why.
    """

    def __init__(self, node: PerceptionNode[Any]) -> None:
        self._node = node
        values = node.values
        self.note, self.behind = "portrait", ""
        self._avatar: Avatar | None = None
        self._networks: MuseTalk | None = None
        self._hears: inference.Model | None = None
        self._lips: LipSync | None = None
        wanted = values.renderer
        if wanted == "musetalk" or (wanted == "auto" and values.avatar):
            try:
                self._load(wanted == "auto")
            except (ValueError, ModelError, MemoryError) as error:
                if wanted == "musetalk":
                    raise
                self._fall_back(str(error) or "not enough memory")
        self._portrait = None if self._networks else self._load_portrait()
        node.get_logger().info(f"renderer: {self.note}")

    def start_renderer(self, fps: float) -> tuple[Renderer, LipSync | None]:
        """The renderer, and what is to hear the speech; ``stop_renderer`` ends its thread."""
        if self._networks is None or self._avatar is None or self._hears is None:
            assert self._portrait is not None
            return self._portrait, None
        self._lips = LipSync(
            self._avatar,
            self._networks,
            make_whisper_stream(self._hears),
            fps=fps,
            failed=self._node.failed,
        )
        return self._lips, self._lips

    def stop_renderer(self) -> None:
        if self._lips is not None:
            self._lips.close()
            self._lips = None

    @property
    def delay(self) -> float:
        """Seconds that the sound must wait for the lips."""
        if self._networks is None or self._hears is None:
            return 0.0
        batch = self._networks.batch
        call: float = self._networks.seconds_per_image() * batch
        # Where a call takes longer than that, lips are late whatever the delay.
        wait = min(call, _ROOM) + (batch - 1) / self._node.values.rate
        return make_whisper_stream(self._hears).look_ahead + float(wait)

    def report(self) -> dict[str, str]:
        """For the diagnostics."""
        values = {"renderer": self.note}
        if self._lips is not None and self._networks is not None:
            found = self._lips.report()
            values |= {
                "lips, shown": str(found.shown),
                "lips, missed": str(found.missed),
                "lips, late": str(found.late),
                "lips (frames/s)": "" if math.isnan(found.seconds) else f"{1 / found.seconds:.2f}",
                "lips, batch": str(self._networks.batch),
                "lips by": "; ".join(self._networks.why),
            }
        return values

    def _load(self, fits: bool) -> None:
        """Loads all that MuseTalk is; with ``fits`` raises InputError where it is too much."""
        values = self._node.values
        if not values.avatar:
            raise InputError(f"renderer is musetalk, but avatar names no file: {_PREPARE}")
        if values.rate != int(values.rate):
            raise InputError(f"rate is {values.rate:g}: musetalk needs a whole number, e.g. 25")
        _check_models(values.decoder, fits)
        self._avatar = load_avatar(
            values.avatar,
            autoencoder=installed_autoencoder_hash(),
            version=installed_unet_version(),
        )
        loading = Loading(self._node)
        networks = MuseTalk.load(decoder=values.decoder, **loading.settings())
        hears = loading.with_precision("fp32").load(_HEARS)
        self._node.doing("musetalk: measuring how long an image takes")
        # What is left of the time beside whisper, which may run on the same device.
        left = 1 - make_whisper_stream(hears).measure_load()
        costs = self._batched(networks)
        speed = (
            f"musetalk: {1 / costs.total:.2f} frames/s here (UNet {costs.unet:.3f} s, "
            f"decoder {values.decoder} {costs.decoder:.3f} s a frame in batches of {costs.batch}, "
            f"median of {costs.calls} after one that does not count; whisper takes "
            f"{1 - left:.0%} of the time beside it); needs {values.rate:g} frames/s"
        )
        if left / costs.total < values.rate:
            if values.decoder == "exact":
                speed += " (the decoders lower and tiny are faster)"
            if fits:
                raise InputError(speed)
            self.behind = f"{speed}: most frames have no lips; renderer auto takes the portrait"
            self._node.complain(self.behind, key="musetalk is slow")
        self._hears, self._networks = hears, networks
        self.note = f"{speed}; taken because " + ("it keeps up" if fits else "it was asked for")

    def _batched(self, networks: MuseTalk) -> ImageCost:
        """Sets the batch that the parameters ask for, or that fits best; what it takes."""
        values = self._node.values
        if values.batch:
            networks.batch = values.batch
            return networks.measure_cost()
        batches = {1: networks.measure_cost(1).total}
        if batches[1] <= _ROOM:
            for batch in _BATCHES[1:]:
                batches[batch] = networks.measure_cost(batch).total * batch
                if batches[batch] > _ROOM:
                    break
        networks.batch = choose_batch_size(_ROOM, batches, period=1 / values.rate)
        return networks.measure_cost()

    def _fall_back(self, why: str) -> None:
        self._networks = self._hears = None
        self.note = f"portrait, for {why}"
        self._node.complain(f"the portrait is drawn instead of MuseTalk: {why}", key="musetalk")

    def _load_portrait(self) -> PortraitRenderer:
        values = self._node.values
        size = (values.width, values.height)
        if self._avatar is not None and not values.portrait:
            # The same face.
            return PortraitRenderer(self._avatar.pictures[0], size=size, whole=values.whole)
        return load_portrait(values.portrait, size=size, whole=values.whole)


def _check_models(decoder: str, fits: bool) -> None:
    """Raises ModelError where a network is not installed; with ``fits`` InputError where their
    weights do not fit into what is free of the memory.
    """
    names = ("musetalk_unet", DECODERS[decoder], _HEARS)
    check_imported(*names, decoder=decoder)
    if not fits:
        return
    cards = inference.catalogue()
    files = [
        path for name in names for path in (cards[name].path, *cards[name].extra_paths.values())
    ]
    size = sum(path.stat().st_size for path in files if path.exists())
    free = _free_memory()
    if size * _MEMORY > free:
        raise InputError(
            f"musetalk: its weights are {size / 1e9:.1f} GB, {free / 1e9:.1f} GB of memory are free"
        )


def _free_memory(read: Callable[[], str] = Path("/proc/meminfo").read_text) -> float:
    """Bytes; infinite where the system does not say."""
    try:
        for line in read().splitlines():
            if line.startswith("MemAvailable:"):
                return float(line.split()[1]) * 1024
    except OSError:
        pass
    return math.inf
