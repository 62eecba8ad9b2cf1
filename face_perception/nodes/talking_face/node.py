"""The talking_face node: plays speech on an animated face, on a screen and a loudspeaker."""

from __future__ import annotations

import gc
import math
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from std_msgs.msg import Header
from std_srvs.srv import Trigger

from face_perception import msg
from face_perception.avatar import (
    AUDIO_OUTPUTS,
    AudioOutput,
    IdleMotionAnimator,
    Performer,
    PerformerSettings,
    PerformerState,
    Screen,
    WebScreen,
    WindowScreen,
    head_files,
    three_files,
)
from face_perception.inference import ModelError, load
from face_perception.nodes.talking_face.renderer_choice import (
    DRAWS_NOTHING,
    RendererChoice,
    RendererParameters,
)
from face_perception.nodes.talking_face.speech_warnings import SpeechWarnings
from face_perception.nodes.talking_face.steering import FOLLOWED, Steering
from face_perception.nodes.talking_face.topic_screen import TopicScreen
from face_perception.ros import messages
from face_perception.ros.audio_input import AudioInput, AudioInputSettings
from face_perception.ros.driver import PerceptionNode
from face_perception.ros.phoneme_messages import phonemes_from_msg
from face_perception.ros.qos import SensorSubscription
from face_perception.settings import setting
from face_perception.speech import (
    MOUTH_NETWORKS,
    AudioChunk,
    BandMouth,
    BargeIn,
    BargeInSettings,
    Mouth,
    NeuralMouth,
)
from face_perception.web import WebSettings, ice_servers

_PREPARED = 0.1  # seconds of delay that the mouth needs: 76 ms of speech, and most of a frame
_DUCKED = 0.25  # volume while a person talks over the robot: -12 dB
_NO_VOICES = 1.0  # seconds without voice activity after which nobody counts as talking
# Seconds of the robot's speech without knowing whether a person talks, after which the diagnostics
# say so. In the simulated rooms of bench/barge_in.py the room is learnt after 6 s at most.
_DEAF = 20.0
_AT_ONCE = 1e-3  # seconds between two clock readings that count as simultaneous


@dataclass(frozen=True)
class TalkingFaceParameters(
    WebSettings, AudioInputSettings, BargeInSettings, PerformerSettings, RendererParameters
):
    """Parameters of the talking_face node."""

    portrait: str = setting(
        "",
        "Picture of one face to animate: a path, or a sample photograph (astronaut, "
        "grace_hopper). Empty: a synthetic face.",
    )
    whole: bool = setting(False, "Show the whole picture instead of the face and shoulders.")
    width: int = setting(512, "Width of the frames.", minimum=128, maximum=2048, unit="pixels")
    height: int = setting(512, "Height of the frames.", minimum=128, maximum=2048, unit="pixels")
    seed: int = setting(
        0,
        "Random seed for blinks and idle motion; the same seed reproduces the same motion.",
        minimum=0,
    )
    prosody: bool = setting(
        True,
        "Move head, brows and lids with the speech: nods at stressed syllables and at the ends of "
        "phrases, where speakers also blink. A sad face does less, a lively one more. false: only "
        "the lips follow the speech.",
    )
    mouth: str = setting(
        "trained",
        "Model that moves the lips. trained: a network trained on generated speech, which closes "
        "them for p, b and m. bands: the levels of frequency bands. Any other value: the name of a "
        "model made with `face-perception train mouth`.",
    )
    audio_out: str = setting(
        "auto",
        "Where the speech is played. device: on a loudspeaker of this computer. auto: on a "
        "loudspeaker if there is one. none: by another program, which subscribes to avatar/audio.",
        choices=AUDIO_OUTPUTS,
    )
    audio_device: str = setting(
        "",
        "Loudspeaker: a number or a part of a name, as `python3 -m sounddevice` lists them. "
        "Empty: the default device.",
    )
    window: str = setting(
        "none",
        "How the display of this computer shows the face. window: in a window. full: on the whole "
        "display. none: nowhere.",
        choices=("none", "window", "full"),
    )
    web_port: int = setting(
        0,
        "Port of the web page that shows the face. 0: no web page.",
        minimum=0,
        maximum=65_535,
    )
    web_calls: bool = setting(
        False,
        "Offer the page as video and sound by WebRTC to browsers that open it with ?via=webrtc. "
        "It suits browsers far away: it needs less bandwidth, and more computing time for each "
        "browser. Needs the Python package aiortc, and a renderer that draws pictures (not head).",
    )
    web_ice: str = setting(
        "",
        "Servers that help browsers behind routers to reach the robot with web_calls, separated by "
        "commas: stun:HOST:PORT, turn:USER:PASSWORD@HOST:PORT. Empty: browsers must reach the "
        "address of this computer directly, as in one network or VPN. Every program of the ROS "
        "domain can read a parameter, and so the password: give the robot a user of its own there.",
    )
    eyes: tuple[float, ...] = setting(
        (0.0, 0.0, 0.0),
        "Position of the displayed eyes in the camera's optical frame. It is needed to look at "
        "people whom the camera sees.",
        length=3,
        unit="m",
        dynamic=True,
    )
    camera_frame: str = setting(
        "camera_optical_frame",
        "Name of the camera's optical frame. Points on avatar/look_at without a frame are taken to "
        "be in it; points in another frame are transformed with tf2.",
    )
    follow: str = setting(
        "none",
        "Whom the face looks at by itself. speaker: at the person who speaks (the topic speaker of "
        "attention). look_at: at the person whom look_at_policy chooses (look_at_id). none: at "
        "nobody. The topics avatar/look_at and avatar/look_at_face have priority until the "
        "followed topic changes.",
        choices=("none", *FOLLOWED),
    )
    look_time: float = setting(
        2.0,
        "Time after the last message about a point or face during which the face still looks "
        "there. Then it looks at the viewer again.",
        minimum=0.1,
        maximum=3600.0,
        unit="s",
        dynamic=True,
    )
    frame_id: str = setting("avatar", "Name of the frame in the message headers.")


class TalkingFaceNode(PerceptionNode[TalkingFaceParameters]):
    """Reads ``speech``; publishes ``avatar/image``, ``avatar/audio`` and ``avatar/state``."""

    computes_for_subscribers = False

    def __init__(self, **kwargs: Any) -> None:
        super().__init__("talking_face", TalkingFaceParameters, **kwargs)
        self._screens: list[Screen] = []
        self._web: WebScreen | None = None
        self._missing = ""  # what the web page lacks, and the fix

    # Lifecycle.

    def setup(self) -> None:
        values = self.values
        self._renderer_choice = RendererChoice(self)
        draws = values.renderer not in DRAWS_NOTHING
        self._topics = TopicScreen(self, values.frame_id, self.stamp_of, draws=draws)
        self._states = self.publisher(msg.AvatarState, "avatar/state", depth=1, latched=True)
        self.serve(Trigger, "~/interrupt", self._on_interrupt)

    def change_values(self, values: TalkingFaceParameters) -> None:
        if self.active:
            self._steering.eyes = values.eyes
            self._barge_in.change_settings(values)

    def without_effect(self, values: TalkingFaceParameters) -> Iterable[tuple[str, Iterable[str]]]:
        yield self._renderer_choice.without_effect()
        if values.barge_in == "off":
            yield "barge_in is off", ("barge_in_time",)
        if not values.web_port:
            yield (
                "web_port is 0",
                ("web_host", "web_token", "web_token_file", "web_origins", "web_calls", "web_ice"),
            )
        elif not values.web_calls and values.renderer != "head":
            yield "web_calls is false", ("web_ice",)
        if values.audio_out == "none":
            yield "audio_out is none", ("audio_device",)

    def release(self) -> None:
        # MuseTalk's networks are large and must be freed before they are loaded again. Only the
        # garbage collector frees the performer, which has reference cycles.
        for name in ("performer", "_sound", "_steering", "_renderer_choice"):
            self.__dict__.pop(name, None)
        gc.collect()

    def start(self) -> None:
        # A client that waits for the end of the speech must see IDLE.
        self.publish_at_end(
            self._states, lambda: self._state_message(PerformerState.IDLE, time.monotonic())
        )
        values = self.values
        renderer, listener = self._renderer_choice.start_renderer(values.rate)
        self.on_end(self._renderer_choice.stop_renderer)
        # MuseTalk generates lips for speech that has arrived, so the sound must wait for them.
        delay = max(values.delay, self._renderer_choice.delay)
        self.performer = performer = Performer(
            _mouth(values.mouth, delay - _PREPARED),
            IdleMotionAnimator(values.seed, prosody=values.prosody),
            renderer,
            replace(values, delay=delay),
            listener=listener,
        )
        self._topics.start_timeline(values.audio_rate, performer.clock.time_of)
        performer.on_mouth = self._topics.show_mouth
        self._open_screens()
        self._sound = AudioOutput(
            performer.playback_queue,
            performer.clock,
            values.audio_out,
            values.audio_device,
            inform=lambda text: self.get_logger().info(text),
            warn=lambda text: self.warn_throttled(text, key="no sound"),
        )
        self.on_end(self._sound.close)
        self._input = speech = AudioInput(self, "speech", self._on_speech, values, expected=False)
        self.subscribe(
            msg.Phonemes, "speech_phonemes", self._on_phonemes, depth=100, expected=False
        )
        self._speech_warnings = SpeechWarnings(
            speech.topic,
            lambda: self.count_publishers(speech.topic),
            warn=self.warn_throttled,
            inform=lambda text: self.get_logger().info(text),
        )
        self._steering = Steering(self, performer, values.eyes, values.camera_frame, values.follow)
        self._barge_in, self._voice_at = BargeIn(values), time.monotonic()
        self._voices: SensorSubscription | None = None
        if values.barge_in != "off":
            self._voices = self.subscribe(
                msg.VoiceActivity,
                "voice_activity",
                self._on_voice,
                depth=50,
                hint="start the node voice_activity with echo_cancellation, or set barge_in to off",
            )
        self.timer(0.2, self._check_regularly)
        self.thread(self._perform)

    def _open_screens(self) -> None:
        values = self.values
        self._screens, self._web, self._missing = [self._topics], None, ""
        if values.window != "none":
            self._screens.append(WindowScreen(full=values.window == "full"))
        if values.web_port:
            self._web = WebScreen(
                values.web_host,
                values.web_port,
                rate=values.audio_rate,
                origins=values.origins,
                token=values.token(),
                files=self._page_files(),
                calls=call_servers(values),
            )
            self._screens.append(self._web)
            self.get_logger().info(f"the face is shown on {self._web.shown_link}")
        for screen in self._screens:
            self.on_end(screen.close)
        self.performer.screens = tuple(self._screens)

    def _page_files(self) -> dict[str, tuple[str, bytes]]:
        """Returns the files of the head in three dimensions, if the page shows it."""
        if self.values.renderer != "head":
            return {}
        try:
            return head_files() | three_files()
        except ModelError as error:
            self._missing = (
                f"the web page cannot show the head: {error}, then start this node again"
            )
            self.warn_throttled(self._missing, key="three")
            return head_files()

    def diagnostics(self) -> tuple[str, dict[str, str]]:
        found = self.performer.report()
        problems = [screen.problem for screen in self._screens if screen.problem]
        for source in (self._input, self._voices):
            if source is not None and source.status:
                problems.append(source.status)
        if self._barge_in.deaf > _DEAF:
            problems.append(
                f"nobody could interrupt the last {self._barge_in.deaf:.0f} s of speech: "
                "voice_activity ignores its microphone while the robot speaks. Set its parameter "
                "echo_cancellation; if it is set, its diagnostics say why it does not listen"
            )
        if found.too_much_speech:
            problems.append(
                f"more than {self.values.longest_speech:g} s of speech wait to be played: what "
                "arrives now is dropped"
            )
        if self._missing:
            problems.append(self._missing)
        if self._renderer_choice.behind:
            problems.append(self._renderer_choice.behind)
        sound = self._sound
        if sound.problem:
            problems.append(sound.problem)
        values = {
            "avatar": self.performer.state[0].name.lower(),
            "rendered (fps)": f"{found.rendered:.1f}",
            "delivered (fps)": f"{found.delivered:.1f}",
            "render time (ms)": f"{found.render_time * 1e3:.1f}",
            "frames dropped": str(found.dropped),
            "A/V offset (ms)": f"{found.offset * 1e3:.1f}",
            "A/V offset, worst (ms)": f"{found.worst_offset * 1e3:.1f}",
            "A/V offset, worst of 1000 frames (ms)": f"{found.recent_worst_offset * 1e3:.1f}",
            "first frame (ms)": f"{found.first_frame * 1e3:.0f}",
            "first frame, worst (ms)": f"{found.worst_first_frame * 1e3:.0f}",
            "audio clock (ppm)": f"{(found.clock_rate - 1) * 1e6:.0f}",
            "late chunks": str(found.late_chunks),
            "chunks of interrupted speech": str(found.cut_off_chunks),
            "chunks of another sender": str(found.other_chunks),
            "broken off": str(found.broken_off),
            "ran dry": str(found.ran_dry),
            "interrupted by persons": str(self.statistics.total("interrupted by persons")),
            "speech dropped (s)": f"{found.dropped_speech:.1f}",
            "loudspeaker": sound.description,
            "silent because": sound.silent_because,
        }
        values |= self._renderer_choice.diagnostics()
        if self._web is not None:
            values["page"] = self._web.address
            values["browsers"] = str(self._web.browser_count)
            values["page, delivered (fps)"] = f"{self._web.delivered_rate():.1f}"
            values["page, dropped"] = str(self._web.dropped)
            values["page, refused"] = str(self._web.refused)
        return "; ".join(problems), values

    # Runs on the performer's thread.

    def _perform(self, stop: threading.Event) -> None:
        performer = self.performer
        published: tuple[PerformerState, float] | None = None
        while not stop.is_set():
            try:
                if performer.step() is not None:
                    self.count("output frames")
                state = performer.state
                if state != published:
                    published = state
                    self.publish(self._states, self._state_message(*state))
            except Exception as error:
                self.log_exception(error)
                stop.wait(0.1)

    def _state_message(self, state: PerformerState, since: float) -> msg.AvatarState:
        message = msg.AvatarState(state=int(state), since=self.stamp_of(since))
        message.header.stamp = self.get_clock().now().to_msg()
        message.header.frame_id = self.values.frame_id
        return message

    def stamp_of(self, at: float) -> Any:
        """Converts seconds of the monotonic clock to a ROS time."""
        # Both clocks must be read at the same moment; tries again if the thread was interrupted.
        for _ in range(5):
            before = time.monotonic()
            now = self.ros_seconds()
            after = time.monotonic()
            if after - before < _AT_ONCE:
                break
        return messages.time(now + at - (before + after) / 2)

    # Timer, subscription and service callbacks.

    def _check_regularly(self) -> None:
        self._sound.follow_device()
        self._speech_warnings.warn_of_changes(
            self.performer.report(), self._web.browser_count if self._web else 0
        )
        self._steering.release_stale_target(self.values.look_time)
        if self._voices is not None and time.monotonic() - self._voice_at > _NO_VOICES:
            self._barge_in.reset()
            self.performer.set_volume(1.0)

    def _on_speech(self, chunk: AudioChunk, _: Header) -> None:
        self.performer.push_speech(chunk)

    def _on_phonemes(self, message: msg.Phonemes) -> None:
        self.performer.announce_phonemes(phonemes_from_msg(message))

    def _on_voice(self, message: msg.VoiceActivity) -> None:
        self._voice_at = time.monotonic()
        talks = self._barge_in.hear(
            messages.seconds(message.header.stamp),
            message.probability if message.valid else math.nan,
            self.performer.state[0] is PerformerState.SPEAKING,
        )
        if self.values.barge_in == "duck":
            self.performer.set_volume(_DUCKED if talks else 1.0)
        elif talks and self.performer.interrupt():
            self.count("interrupted by persons")
            self.get_logger().info("a person talks over the robot: its speech is interrupted")

    def _on_interrupt(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        response.success = True
        if not self.active:
            response.success, response.message = False, "the node is not active"
        elif self.performer.interrupt():
            response.message = "interrupted"
        else:
            response.message = "it was not speaking"
        return response


def _mouth(name: str, extra_look_ahead: float) -> Mouth:
    """Loads a mouth model. Raises ModelError if it does not exist or has another purpose."""
    if name == "bands":
        return BandMouth()
    network = load(name, MOUTH_NETWORKS, backend="onnxruntime")
    return NeuralMouth(network, extra_look_ahead=extra_look_ahead)


def call_servers(values: TalkingFaceParameters) -> list[dict[str, str]] | None:
    """Returns the servers of calls by WebRTC, None if the page offers no calls.

    A call carries pictures, and the browser draws the head in three dimensions itself. Raises
    InputError for a server that cannot be read.
    """
    wanted = values.web_calls and values.renderer not in DRAWS_NOTHING
    return ice_servers(values.web_ice) if wanted else None
