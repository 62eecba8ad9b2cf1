"""The voice node: turns texts into speech, sentence by sentence, and sends it to the face."""

from __future__ import annotations

import math
import queue
import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import Any

from std_msgs.msg import String
from std_srvs.srv import Trigger

from face_perception.action import Say
from face_perception.errors import FacePerceptionError, one_line
from face_perception.nodes.voice.said_text import INACTIVE, SaidText, refused_goal, request_of
from face_perception.nodes.voice.speech_output import SpeechOutput
from face_perception.ros.driver import PerceptionNode
from face_perception.ros.goal_server import GoalServer
from face_perception.settings import setting
from face_perception.speech import DEFAULT_VOICE, SPEEDS, Voice, open_voice, speak_text

_PERIOD = 0.02  # seconds between two looks at what is to be sent
_FEEDBACK = 5  # periods between two feedbacks
_MOST_WAITING = 50  # texts
_MOST_VOICES = 4  # that are kept in memory


@dataclass(frozen=True)
class VoiceParameters:
    """Parameters of the voice node."""

    voice: str = setting(
        DEFAULT_VOICE,
        "Voice of texts that name none, as ENGINE or ENGINE:VOICE. hibari:heart: American English, "
        "with the times of the phonemes. espeak:NAME: a voice of espeak-ng, such as espeak:de. "
        "Installed packages may add engines.",
    )
    speed: float = setting(
        1.0,
        "Speed of texts that state none, relative to the usual one of the voice.",
        minimum=SPEEDS[0],
        maximum=SPEEDS[1],
        unit="ratio",
        dynamic=True,
    )
    when_busy: str = setting(
        "queue",
        "What happens to a text that comes while another one is said. queue: it is said after it. "
        "replace: it interrupts it.",
        choices=("queue", "replace"),
        dynamic=True,
    )


class VoiceNode(PerceptionNode[VoiceParameters]):
    """Serves the action ``say``, reads ``say_text``; publishes ``speech``, ``speech_phonemes``."""

    computes_for_subscribers = False

    def __init__(self, **kwargs: Any) -> None:
        super().__init__("voice", VoiceParameters, **kwargs)
        self._goals: GoalServer | None = None

    # Lifecycle.

    def setup(self) -> None:
        self._voices: dict[str, Voice] = {}
        self._default = self._opened(self.values.voice).name
        self._output = SpeechOutput(self)
        if self._goals is None:
            self._goals = GoalServer(self, Say, "say", refused_goal)
        self._goals.attach(self._on_goal)
        self.serve(Trigger, "~/interrupt", self._on_interrupt)

    def start(self) -> None:
        self._waiting: deque[SaidText] = deque()
        self._current: SaidText | None = None
        self._to_make: queue.SimpleQueue[SaidText] = queue.SimpleQueue()
        self._ticks = 0
        self._output.start(self._on_face_interrupted)
        self.on_end(self._end_all, "the voice node was deactivated")
        self.subscribe(String, "say_text", self._on_text, depth=10, expected=False)
        self._timer = self.timer(_PERIOD, self._advance)
        self._timer.cancel()  # until there is a text
        self.thread(self._make_speech)

    def diagnostics(self) -> tuple[str, dict[str, str]]:
        current = self._current
        return "", {
            "voice": self._default,
            "saying": "yes" if current is not None else "no",
            "texts waiting": str(len(self._waiting)),
            "texts said": str(self.statistics.total("texts said")),
            "texts not said": str(self.statistics.total("texts not said")),
        }

    # Inputs. All run on the executor's thread.

    def _on_goal(self, handle: Any) -> None:
        self._add(SaidText(request_of(handle.request), handle, self.ros_seconds()))

    def _on_text(self, message: String) -> None:
        self._add(SaidText(Say.Goal(text=message.data), received=self.ros_seconds()))

    def _add(self, text: SaidText) -> None:
        if not self.active:
            self._conclude(text, INACTIVE)
            return
        if problem := text.problem:
            self._conclude(text, problem)
            return
        if self.values.when_busy == "replace":
            self._end_all("another text replaced it")
        if len(self._waiting) >= _MOST_WAITING:
            self._conclude(text, f"{_MOST_WAITING} texts wait to be said already: say less at once")
            return
        self._waiting.append(text)
        self._timer.reset()
        self._advance()

    def _on_interrupt(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        response.success = self.active
        response.message = INACTIVE
        if self.active:
            count = self._end_all("the service interrupt was called")
            response.message = f"{count} texts were interrupted"
        return response

    def _on_face_interrupted(self, since: float) -> None:
        """Ends the texts of before ``since`` (ROS time, seconds), when the face was stopped.

        A person or another program stopped it.
        """
        # A text that came later, such as a reply to the person, is said.
        self._end_all("the talking face was interrupted", received_until=since, face_stopped=True)

    def _end_all(
        self, why: str, *, received_until: float = math.inf, face_stopped: bool = False
    ) -> int:
        """Ends the text that is said, and those that wait since ``received_until`` or longer.

        Returns how many there were.
        """
        texts = [text for text in self._waiting if text.received <= received_until]
        for text in texts:
            self._waiting.remove(text)
            self._conclude(text, why, interrupted=True)
        if self._current is None:
            return len(texts)
        self._interrupt(self._current, why, face_stopped=face_stopped)
        return len(texts) + 1

    # Speech. A timer calls ``_advance``; the sentences are made on a thread.

    def _advance(self) -> None:
        for text in [text for text in self._waiting if text.is_canceled]:
            self._waiting.remove(text)
            self._conclude(text, "canceled", interrupted=True)
        current = self._current
        if current is None:
            if self._waiting:
                self._begin_next()
            else:
                self._timer.cancel()
            return
        now = time.monotonic()
        if current.is_canceled:
            self._interrupt(current, "canceled")
            return
        lost = f"nobody subscribes to {self._output.topic} any more"
        if self._output.lost():
            self._interrupt(current, lost)
            return
        self._output.send(current.utterance.take(now))
        if current.utterance.finished(now):
            self._current = None
            self._output.end(current.request.expression)
            self._conclude(current, current.failure or ("" if self._output.heard else lost))
            return
        self._ticks += 1
        if self._ticks % _FEEDBACK == 0:
            current.send_feedback(now)

    def _begin_next(self) -> None:
        if not self._output.ready():
            return
        text = self._waiting.popleft()
        if not self._output.heard:
            topic = self._output.topic
            self._conclude(text, f"nobody subscribes to {topic}: start talking_face, or remap it")
            return
        self._current = text
        self._output.begin(text.request.expression)
        self._to_make.put(text)

    def _interrupt(self, text: SaidText, why: str, *, face_stopped: bool = False) -> None:
        """Stops what is being said: in this node and, unless ``face_stopped``, in the face."""
        text.stopped.set()
        self._current = None
        if face_stopped:
            self._output.abandon(text.request.expression)
        else:
            self._output.interrupt(text.request.expression)
        said = text.utterance.said_at(time.monotonic())
        self._conclude(text, f"{why}; said: {said}" if said else why, interrupted=True)

    def _conclude(self, text: SaidText, problem: str, *, interrupted: bool = False) -> None:
        self.count("texts not said" if problem else "texts said")
        if problem and text.handle is None and not interrupted:
            self.warn_throttled(f"say_text: {problem}", key="say_text")
        text.conclude(problem, interrupted=interrupted)

    def _make_speech(self, stop: threading.Event) -> None:
        while not stop.is_set():
            try:
                text = self._to_make.get(timeout=0.2)
            except queue.Empty:
                continue
            self._make(text, stop)

    def _make(self, text: SaidText, stop: threading.Event) -> None:
        request, utterance = text.request, text.utterance
        try:
            utterance.announce(len(request.text))
            voice = self._opened(request.voice or self.values.voice)
            speed = request.speed or self.values.speed
            for spoken, left in speak_text(voice, request.text, speed):
                if stop.is_set() or text.stopped.is_set():
                    return
                utterance.append(spoken, left)
        except FacePerceptionError as error:
            text.failure = str(error)
        except Exception as error:  # the thread must go on with the next text
            self.log_exception(error)
            text.failure = f"{type(error).__name__}: {one_line(error)}; see the log of the node"
        finally:
            utterance.end()

    def _opened(self, name: str) -> Voice:
        """Returns a voice, which is loaded once. Raises an error that names the fix."""
        if name not in self._voices:
            voice = open_voice(name)
            while len(self._voices) >= _MOST_VOICES:
                del self._voices[next(iter(self._voices))]
            self._voices[name] = voice
        return self._voices[name]
