"""Chooses the renderer of the talking face: the portrait, MuseTalk if it keeps up, or none."""

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
from face_perception.ros.network_loading import NetworkLoader
from face_perception.settings import setting

if TYPE_CHECKING:
    from face_perception.ros.driver import PerceptionNode

RENDERERS = ("auto", "portrait", "musetalk", "head", "none")
DRAWS_NOTHING = ("head", "none")
_OF_PORTRAIT = ("portrait", "whole", "width", "height")
_OF_MUSETALK = ("avatar", "decoder", "batch")
_OF_MOTION = ("seed", "prosody", "eyes", "camera_frame", "follow", "look_time")
# The parameters that each renderer does not use. MuseTalk has the size and motion of its avatar.
UNUSED = {
    "portrait": _OF_MUSETALK,
    "musetalk": (*_OF_PORTRAIT, *_OF_MOTION),
    "head": (*_OF_PORTRAIT, *_OF_MUSETALK, "web_calls", "web_ice"),
    "none": (*_OF_PORTRAIT, *_OF_MUSETALK, *_OF_MOTION),
}
_WHISPER = "whisper_encoder"
_PREPARE = "face-perception avatar prepare PORTRAIT"
_BATCHES = (1, 2, 4, 8)
_ROOM = 0.2  # longest time of a batch of images that the delay allows for, seconds
_MEMORY = 1.3  # memory that must be free, as a multiple of the size of the weights


@dataclass(frozen=True)
class RendererParameters(inference.NetworkSettings):
    """Parameters of the renderer."""

    renderer: str = setting(
        "auto",
        "Renderer of the face. portrait: warps one picture. musetalk: a network for the lips, "
        "which needs `avatar` and imported networks. auto: musetalk if `avatar` is set and this "
        "computer reaches `rate` with it, else portrait. head: the web page shows a head in "
        "three dimensions, which the browser draws. none: draws nothing; avatar/mouth and "
        "avatar/audio move a head of your own.",
        choices=RENDERERS,
    )
    avatar: str = setting(
        "", "Face for MuseTalk: a file written by `face-perception avatar prepare`."
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
        "Number of images that MuseTalk generates at once. A larger value gives more images per "
        "second and delays the speech. 0: the largest that takes at most 0.2 s.",
        minimum=0,
        maximum=8,
    )


class RendererChoice:
    """The renderer that a node's parameters ask for. A node creates it in ``setup``.

    ``note`` is a sentence on which renderer runs and why. ``behind`` is a sentence that says how
    much too slow MuseTalk is, "" if it is fast enough.

    Raises as ``load_portrait`` does. With renderer ``musetalk`` also ModelError if networks are
    missing, which gives the command to import them, and AvatarError if the file cannot be used.
    With ``auto`` the portrait replaces MuseTalk, and the log says why.
    """

    def __init__(self, node: PerceptionNode[Any]) -> None:
        self._node = node
        values = node.values
        self.note, self.behind = "portrait", ""
        self._avatar: Avatar | None = None
        self._networks: MuseTalk | None = None
        self._whisper: inference.Model | None = None
        self._lip_sync: LipSync | None = None
        wanted = values.renderer
        if wanted == "musetalk" or (wanted == "auto" and values.avatar):
            try:
                self._load_musetalk(wanted == "auto")
            except (ValueError, ModelError, MemoryError) as error:
                if wanted == "musetalk":
                    raise
                self._fall_back(str(error) or "not enough memory")
        self._portrait: PortraitRenderer | None = None
        if wanted in DRAWS_NOTHING:
            _check_screens(values)
            self.note = f"{wanted}: this computer draws no picture"
        elif not self._networks:
            self._portrait = self._load_portrait()
        node.get_logger().info(f"renderer: {self.note}")

    def without_effect(self) -> tuple[str, tuple[str, ...]]:
        """Returns the renderer that runs in words, and the parameters that it does not use.

        A portrait that replaces MuseTalk uses the avatar; what it lacks was already said.
        """
        wanted = self._node.values.renderer
        runs = wanted
        if wanted == "auto":
            runs = "musetalk" if self._networks is not None else "portrait"
            if runs == "portrait" and self._node.values.avatar:
                return wanted, ()
        said = f"renderer is {wanted}" if wanted == runs else f"renderer auto runs the {runs}"
        return said, UNUSED[runs]

    def start_renderer(self, fps: float) -> tuple[Renderer | None, LipSync | None]:
        """Returns the renderer, and the listener for the speech; None for what is not needed.

        ``stop_renderer`` stops its threads.
        """
        if self._networks is None or self._avatar is None or self._whisper is None:
            return self._portrait, None
        self._lip_sync = LipSync(
            self._avatar,
            self._networks,
            make_whisper_stream(self._whisper),
            fps=fps,
            failed=self._node.log_exception,
        )
        return self._lip_sync, self._lip_sync

    def stop_renderer(self) -> None:
        """Stops the threads of the renderer."""
        if self._lip_sync is not None:
            self._lip_sync.close()
            self._lip_sync = None

    @property
    def delay(self) -> float:
        """Returns how long the sound must wait for the lips, seconds."""
        if self._networks is None or self._whisper is None:
            return 0.0
        batch = self._networks.batch
        call: float = self._networks.seconds_per_image() * batch
        # If a call takes longer than _ROOM, the lips are late at any delay.
        wait = min(call, _ROOM) + (batch - 1) / self._node.values.rate
        return make_whisper_stream(self._whisper).look_ahead + float(wait)

    def diagnostics(self) -> dict[str, str]:
        """Returns values for the diagnostics."""
        values = {"renderer": self.note}
        if self._lip_sync is not None and self._networks is not None:
            found = self._lip_sync.report()
            values |= {
                "lips, shown": str(found.shown),
                "lips, missed": str(found.missed),
                "lips, late": str(found.late),
                "lips (frames/s)": "" if math.isnan(found.seconds) else f"{1 / found.seconds:.2f}",
                "lips, batch": str(self._networks.batch),
                "lips by": "; ".join(self._networks.why),
            }
        return values

    def _load_musetalk(self, fits: bool) -> None:
        """Loads MuseTalk; with ``fits`` raises InputError if it is too slow or too large."""
        values = self._node.values
        if not values.avatar:
            raise InputError(
                f"renderer is musetalk, but avatar is empty: create a file with {_PREPARE}"
            )
        if values.rate != int(values.rate):
            raise InputError(
                f"rate is {values.rate:g}: musetalk needs a whole number, for example 25"
            )
        _check_models(values.decoder, fits)
        self._avatar = load_avatar(
            values.avatar,
            autoencoder=installed_autoencoder_hash(),
            version=installed_unet_version(),
        )
        loader = NetworkLoader(self._node)
        networks = MuseTalk.load(decoder=values.decoder, **loader.arguments())
        whisper = loader.with_precision("fp32").load(_WHISPER)
        self._node.set_progress("musetalk: measuring how long an image takes")
        # The share of time that Whisper, which may run on the same device, leaves for the images.
        left = 1 - make_whisper_stream(whisper).measure_load()
        costs = self._set_batch(networks)
        speed = (
            f"musetalk: {1 / costs.total:.2f} frames/s on this computer (UNet {costs.unet:.3f} s, "
            f"decoder {values.decoder} {costs.decoder:.3f} s per frame in batches of "
            f"{costs.batch}, median of {costs.calls} after a warm-up; whisper takes "
            f"{1 - left:.0%} of the time); rate needs {values.rate:g} frames/s"
        )
        if left / costs.total < values.rate:
            if values.decoder == "exact":
                speed += " (decoder lower or tiny is faster)"
            if fits:
                raise InputError(speed)
            self.behind = (
                f"{speed}: most frames have no generated lips; renderer auto would use the portrait"
            )
            self._node.warn_throttled(self.behind, key="musetalk is slow")
        self._whisper, self._networks = whisper, networks
        self.note = f"{speed}; chosen because " + ("it keeps up" if fits else "it was asked for")

    def _set_batch(self, networks: MuseTalk) -> ImageCost:
        """Sets the batch size that the parameters ask for or that fits best. Returns its cost."""
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
        self._networks = self._whisper = None
        self.note = f"portrait, because {why}"
        self._node.warn_throttled(
            f"the portrait is shown instead of MuseTalk: {why}", key="musetalk"
        )

    def _load_portrait(self) -> PortraitRenderer:
        values = self._node.values
        size = (values.width, values.height)
        if self._avatar is not None and not values.portrait:
            # Shows the avatar's own face.
            portrait = PortraitRenderer(self._avatar.pictures[0], size=size, whole=values.whole)
        else:
            portrait = load_portrait(values.portrait, size=size, whole=values.whole)
        for text in portrait.warnings:
            self._node.warn_throttled(text)
        return portrait


def _check_screens(values: Any) -> None:
    """Raises InputError if a screen would stay empty, or if a head has no page that shows it."""
    if values.renderer == "head" and not values.web_port:
        raise InputError(
            "renderer is head, but web_port is 0, so no web page shows the head: set web_port, for "
            "example to 8080, or renderer to none"
        )
    screens = {"window": "none"} | ({"web_port": 0} if values.renderer == "none" else {})
    for name, off in screens.items():
        if getattr(values, name) != off:
            raise InputError(
                f"renderer is {values.renderer}, which draws no pictures for {name} "
                f"{getattr(values, name)}: set {name} to {off}, or renderer to portrait"
            )


def _check_models(decoder: str, fits: bool) -> None:
    """Raises ModelError if a network is missing; with ``fits`` InputError if memory is short."""
    names = ("musetalk_unet", DECODERS[decoder], _WHISPER)
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
            f"musetalk: its weights take {size / 1e9:.1f} GB, but only {free / 1e9:.1f} GB of "
            "memory are free"
        )


def _free_memory(read: Callable[[], str] = Path("/proc/meminfo").read_text) -> float:
    """Returns the free memory in bytes; infinite if the system does not report it."""
    try:
        for line in read().splitlines():
            if line.startswith("MemAvailable:"):
                return float(line.split()[1]) * 1024
    except OSError:
        pass
    return math.inf
