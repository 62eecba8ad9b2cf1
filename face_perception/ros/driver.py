"""The base class of all nodes: lifecycle, autostart, resources, logging and diagnostics.

A node overrides ``setup`` and ``start``, and makes publishers, subscriptions, services, workers,
threads and timers by the methods here. The driver destroys them in the reverse order when the node
leaves the state in which they were made. ``process`` runs a node in a process.
"""

from __future__ import annotations

import os
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any, Generic, TypeVar

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rcl_interfaces.msg import ParameterDescriptor, SetParametersResult
from rclpy.callback_groups import CallbackGroup
from rclpy.clock import Clock, ClockType
from rclpy.exceptions import ParameterException
from rclpy.lifecycle import LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter
from rclpy.qos_overriding_options import QoSOverridingOptions
from rclpy.timer import Timer

from face_perception.errors import FacePerceptionError, InputError
from face_perception.ros import qos, waiting_times
from face_perception.ros.deaf_subscriptions import RECEIVED, SENT, Hearing
from face_perception.ros.log_limiter import LogLimiter
from face_perception.ros.newest_item_worker import NewestItemWorker
from face_perception.ros.node_host import NodeHost
from face_perception.ros.node_statistics import Statistics
from face_perception.ros.parameters import Parameters
from face_perception.ros.publishing import NodePublisher
from face_perception.ros.rclpy_compat import RCLError, SafeLifecycleNode
from face_perception.ros.result_kinds import Kind, Result, ResultKind, message_type_of
from face_perception.ros.watchdog import Activity, StopEvent
from face_perception.settings import changed_settings

P = TypeVar("P")
T = TypeVar("T")

# Errors whose message is enough; the log shows the traceback of all others.
_FOR_PEOPLE = (FacePerceptionError, OSError, ParameterException)
_JOIN_TIMEOUT = 1.5  # seconds
_SHARE_OF_TRIES = 0.1  # of the executor's time, for a node that cannot be configured
_LONGEST_LOG = 5000  # characters of a warning
_MOST_PROBLEMS = 20  # at once in the diagnostics
# Parameters that are read when the process starts. All are booleans, and true by default.
_START_PARAMETERS = {
    "autostart": "Configure and activate the node by itself.",
    "events_executor": "Wait for callbacks with rclpy's EventsExecutor, which needs less CPU. "
    "Before ROS 2 Kilted there is none. In a process of several nodes, false for one is false for "
    "all.",
}


class PerceptionNode(SafeLifecycleNode, Generic[P]):
    """A lifecycle node that configures and activates itself, unless ``autostart`` is false.

    If configuring fails (a missing model, a parameter that is not allowed), the reason is logged
    and the node tries again every ``RETRY_PERIOD`` (``waiting_times``), or less often if a try
    takes long. The process never ends because of it.
    """

    # Whether the node does nothing without subscribers; otherwise it works for a screen as well.
    computes_for_subscribers = True

    def __init__(
        self, name: str, parameters: type[P], *, host: NodeHost | None = None, **kwargs: Any
    ) -> None:
        super().__init__(name, **kwargs)
        self.statistics = Statistics()
        self.lifetime = ExitStack()  # closed when the node is destroyed
        self._host = host or NodeHost(self.get_name(), self.context.ok)
        self.watchdog = self._host.watchdog
        self._inputs: list[qos.SensorSubscription] = []
        self._hearing = Hearing(self)
        self._configured, self._activated = ExitStack(), ExitStack()
        self._resources = self._configured  # the stack that takes the next resource
        self._log_limiter = LogLimiter(waiting_times.LOG_PERIOD)
        self._problems: dict[str, tuple[float, str]] = {}  # by key: when it was noted, and its text
        self._result_publishers: list[NodePublisher] = []
        self._state = "unconfigured"
        self._failure = ""
        self._progress = ""
        at_start = {
            name: self.declare_parameter(name, True, _start_descriptor(description)).value
            for name, description in _START_PARAMETERS.items()
        }
        # A value that is not a boolean is reported when the node configures itself.
        self._autostart = at_start["autostart"] is not False
        self.wants_events_executor = at_start["events_executor"] is not False
        self._declared = Parameters(self, parameters, self._change_values)
        for parameter, value in at_start.items():
            if not isinstance(value, bool):
                self._declared.problems[parameter] = f"{parameter}: {value!r} is not true or false"
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", 10)
        self.create_timer(1.0, self._publish_diagnostics)
        # Not in the constructor: configuring may take seconds, and the caller may want to spin the
        # node first.
        self._next_try = 0.0  # monotonic, seconds
        self._retry = self.create_timer(waiting_times.RETRY_PERIOD, self._start_by_itself)
        self._first = self.create_timer(0.0, self._start_first)

    # What a node overrides.

    def setup(self) -> None:
        """Loads models and makes publishers and services. Raises an error if it cannot."""

    def start(self) -> None:
        """Makes subscriptions, workers and threads."""

    def stop(self) -> None:
        """Called when the node is deactivated, after what ``start`` made is destroyed.

        Also called after a ``start`` that raised an error.
        """

    def release(self) -> None:
        """Called when the node is cleaned up, before what ``setup`` made is destroyed.

        Also called after a ``setup`` that raised an error.
        """

    def change_values(self, values: P) -> None:
        """Called with new values before dynamic parameters change after ``setup``.

        Raises InputError to refuse them, for example because two contradict each other. A node that
        reads ``self.values`` each time need not do anything.
        """

    def without_effect(self, values: P) -> Iterable[tuple[str, Iterable[str]]]:
        """Yields reasons, such as "web_port is 0", and the parameters without effect for each.

        Called after ``setup``, and when dynamic parameters change. The log and the diagnostics name
        those of the parameters whose values are not their defaults.
        """
        return ()

    def diagnostics(self) -> tuple[str, dict[str, str]]:
        """Returns the current problem (empty if all is well) and values for the diagnostics."""
        return "", {}

    # Resources of a node. Those made in ``setup`` are destroyed on cleanup, those made in ``start``
    # on deactivation.

    def publisher(
        self,
        kind: Kind,
        topic: str,
        depth: int = 10,
        *,
        latched: bool = False,
    ) -> NodePublisher:
        """Returns a reliable publisher of a kind of results, or of a type of message.

        A ``latched`` publisher also sends its last message to later subscribers that ask for
        durability transient local. Parameters can override the QoS
        (``qos_overrides.<topic>.publisher.…``).
        """
        of_ros = self.create_lifecycle_publisher(
            message_type_of(kind),
            topic,
            qos.results(depth, latched=latched),
            qos_overriding_options=QoSOverridingOptions.with_default_policies(),
        )
        publisher = NodePublisher(of_ros, kind, self._host.in_process, latched=latched)
        self._result_publishers.append(publisher)
        self.on_end(self._result_publishers.remove, publisher)
        self.on_end(self.destroy_lifecycle_publisher, of_ros)
        self.on_end(publisher.close)
        return publisher

    def publish_at_end(self, publisher: NodePublisher, make_item: Callable[[], Any]) -> None:
        """Publishes what ``make_item`` returns when the node is deactivated.

        Call it in ``start`` for each latched topic whose last value no longer holds then.
        """

        def publish() -> None:
            with suppress(RCLError):  # the process ends
                publisher.publish(make_item())

        self.on_end(publish)

    def subscribe(
        self,
        kind: Kind,
        topic: str,
        callback: Callable[[Any], None],
        *,
        skip_invalid: bool = False,
        **options: Any,
    ) -> qos.SensorSubscription:
        """Returns a lazy subscription; ``options`` are those of ``SensorSubscription``.

        ``callback`` gets a ``Result`` if ``kind`` is a kind of results, else a message. Messages
        that are invalid, or for which ``callback`` raises an error, count as refused, and the error
        is logged. With ``skip_invalid`` only the invalid values of a result are refused.
        """

        def refuse(error: ValueError) -> None:
            self.count("refused")
            name = self.resolve_topic_name(topic)
            self.warn_throttled(f"{name}: {error}", key=f"{topic} refused")

        def received(item: Any) -> None:
            if isinstance(kind, ResultKind) and not isinstance(item, Result):
                item = kind.read(item, refuse if skip_invalid else None)
            callback(item)

        subscription = qos.SensorSubscription(
            self,
            kind,
            topic,
            self.guarded(received),
            in_process=self._host.in_process,
            **options,
        )
        if not self._inputs:
            # One timer for all: rclpy inspects the callback of a timer at each call.
            self.timer(qos.LAZY_PERIOD, self._tick_inputs)
        self._inputs.append(subscription)
        self.on_end(self._inputs.remove, subscription)
        self.on_end(subscription.destroy)
        return subscription

    def _tick_inputs(self) -> None:
        for subscription in tuple(self._inputs):
            subscription.tick()

    def subscribe_latched(
        self, message_type: type[Any], topic: str, callback: Callable[[Any], None]
    ) -> None:
        """Subscribes to a latched topic. Also receives the last message that was sent before.

        Errors of ``callback`` are handled as in ``subscribe``.
        """
        subscription = self.create_subscription(
            message_type, topic, self.guarded(callback), qos.results(1, latched=True)
        )
        self.on_end(self.destroy_subscription, subscription)

    def serve(
        self, service_type: type[Any], name: str, callback: Callable[[Any, Any], Any]
    ) -> None:
        """Offers a service; ``callback(request, response)`` returns the response."""
        self.on_end(self.destroy_service, self.create_service(service_type, name, callback))

    def worker(self, work: Callable[[T], None], **options: Any) -> NewestItemWorker[T]:
        """Returns a worker thread; ``options`` are those of ``NewestItemWorker``."""
        steps = self._watched("the worker")
        worker = NewestItemWorker(
            self.get_name(),
            work,
            self.log_exception,
            on_step=lambda working: steps.begin() if working else steps.end(),
            **options,
        )
        self.on_end(worker.stop, _JOIN_TIMEOUT)
        return worker

    def _watched(self, name: str) -> Activity:
        """Returns an activity of the node's current state that the watchdog watches."""
        activity = Activity(name, waiting_times.STUCK)
        self.watchdog.add(activity)
        self.on_end(self.watchdog.remove, activity)
        return activity

    def thread(self, target: Callable[[threading.Event], None]) -> None:
        """Runs ``target(stop)`` on a thread; ``target`` must return soon after ``stop`` is set.

        Each ``stop.is_set()`` and ``stop.wait()`` tells the watchdog that the thread goes on.
        """
        steps = self._watched("a thread")
        stop = StopEvent(steps)

        def run() -> None:
            steps.begin()
            try:
                target(stop)
            finally:
                steps.end()

        thread = threading.Thread(target=run, name=self.get_name(), daemon=True)
        thread.start()
        self.on_end(thread.join, _JOIN_TIMEOUT)
        self.on_end(stop.set)

    def timer(self, period: float, callback: Callable[[], None]) -> Timer:
        """Returns a timer on the steady clock; ``period`` is in seconds."""
        timer = self.create_timer(period, callback)
        self.on_end(self.destroy_timer, timer)
        return timer

    def on_end(self, function: Callable[..., object], *args: Any) -> None:
        """Calls ``function(*args)`` when the node leaves the state that it is in or entering."""
        self._resources.callback(function, *args)

    # What a node uses.

    @property
    def values(self) -> P:
        """The current parameters."""
        return self._declared.values

    def ros_seconds(self) -> float:
        """Returns the time of the ROS clock, seconds: simulated time with ``use_sim_time``."""
        clock = self.get_clock()
        # Without simulated time the ROS clock is the computer's, which Python reads far faster.
        return float(clock.now().nanoseconds) * 1e-9 if clock.ros_time_is_active else time.time()

    @property
    def told_to_end(self) -> bool:
        """Whether a signal has told the process to end."""
        return not self._host.running()

    @property
    def active(self) -> bool:
        """Whether the lifecycle state is active."""
        return self._state == "active"

    def has_subscribers(self, *publishers: NodePublisher) -> bool:
        """Returns whether any of the publishers has a subscriber.

        A node does not compute results without subscribers.
        """
        try:
            return any(publisher.is_heard() for publisher in publishers)
        except RCLError:  # on a thread, while the node shuts down
            return False

    def publish(self, publisher: NodePublisher, item: Any, header: Any = None) -> None:
        """Publishes a result or a message if the node is active.

        With the ``header`` of the input, the item counts as an output, and its latency is recorded.
        """
        if not self.active:
            return
        try:
            publisher.publish(item)
        except RCLError:
            # A reliable publisher raises while one of its readers stalls.
            self.count("not sent")
            self.warn_throttled(
                f"could not send on {publisher.topic_name}: one of its subscribers does not keep up"
            )
            return
        if header is not None:
            self.count(f"output {publisher.topic_name}")
            self._record_latency(header)

    def _record_latency(self, header: Any) -> None:
        """Records the time since a stamp, unless the two clocks do not fit together."""
        stamp = header.stamp.sec + header.stamp.nanosec * 1e-9
        now = self.ros_seconds()
        if 0 <= now - stamp < 60:
            self.statistics.record_latency(now - stamp, time.monotonic())

    def count(self, what: str) -> None:
        """Counts an event, such as "input" or "dropped", for the diagnostics."""
        self.statistics.count(what, time.monotonic())

    def warn_throttled(self, text: str, key: str = "") -> None:
        """Logs a warning at most every ``waiting_times.LOG_PERIOD`` for the same fault.

        Texts with one ``key`` that differ in more than numbers and quoted names report several
        faults (``LogLimiter.fault``). Without a key, each text is a fault. While it recurs, it is
        also the problem in the diagnostics.
        """
        fault = self._log_limiter.fault(key, text) if key else text
        self.note_problem(fault, text)
        if self.should_log(fault):
            # Names from the network in the text may be long.
            self.get_logger().warning(
                text if len(text) < _LONGEST_LOG else f"{text[:_LONGEST_LOG]}…"
            )

    def note_problem(self, key: str, text: str) -> None:
        """Shows a problem in the diagnostics for ``waiting_times.SILENCE``, without logging it."""
        if len(self._problems) < _MOST_PROBLEMS or key in self._problems:
            self._problems[key] = (time.monotonic(), text)

    def _noted_problems(self, now: float) -> str:
        """Returns the first lines of the problems that were noted recently."""
        recent = {
            key: noted
            for key, noted in dict(self._problems).items()
            if now - noted[0] < waiting_times.SILENCE
        }
        self._problems = recent
        return "; ".join(dict.fromkeys(t.partition("\n")[0][:300] for _, t in recent.values()))

    def set_progress(self, text: str) -> None:
        """Publishes at once what a long ``setup`` is doing, and logs it at the limited rate.

        Also tells the watchdog that the setup goes on.
        """
        self._host.executor_steps.begin()
        self._progress = text
        if self.should_log(text.split(",")[0]):
            self.get_logger().info(text)
        self._publish_diagnostics()

    def log_exception(self, error: Exception) -> None:
        """Logs an error of a callback or thread at the limited rate, and counts it.

        Logs the message alone if the error is meant for people, else its traceback.
        """
        self.count("errors")
        frames = traceback.extract_tb(error.__traceback__)
        place = f"{frames[-1].filename}:{frames[-1].lineno}" if frames else ""
        self.warn_throttled(_text_of(error), key=f"{type(error)} {place}")

    def guarded(self, work: Callable[[Any], None]) -> Callable[[Any], None]:
        """Returns ``work`` with its errors caught: they are logged, and the message is refused."""

        def guarded(message: Any) -> None:
            try:
                work(message)
            except Exception as error:
                self.count("refused")
                self.log_exception(error)

        return guarded

    def should_log(self, key: str) -> bool:
        """Returns whether a message may be logged now; if so, it counts as logged.

        False while the process ends: that something is cut off then is no news.
        """
        return not self.told_to_end and self._log_limiter.allows(key, time.monotonic())

    def close(self) -> None:
        """Stops threads before the node is destroyed. Allowed in every state."""
        if self._state == "active":
            self._deactivate()
        if self._state in ("active", "inactive"):
            self._clean_up()
        self._state = "finalized"

    def destroy_node(self) -> None:
        self.lifetime.close()
        super().destroy_node()

    # Lifecycle.

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        self._resources = self._configured
        with self._patient_watchdog():
            return self._configure(state)

    @contextmanager
    def _patient_watchdog(self) -> Iterator[None]:
        """Makes the watchdog wait longer for the executor inside the block."""
        self._host.executor_steps.begin()
        self._host.executor_steps.limit = waiting_times.STUCK_IN_SETUP
        self.watchdog.beat()
        try:
            yield
        finally:
            self._host.executor_steps.begin()
            self._host.executor_steps.limit = waiting_times.STUCK
            self.watchdog.beat()

    def _configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        try:
            if self._declared.problems:
                raise InputError(
                    "; ".join(self._declared.problems.values())
                    + ". Correct the parameter file, or run: ros2 param set "
                    + f"{self.get_fully_qualified_name()} <name> <value>"
                )
            try:
                self.setup()
            finally:
                self._progress = ""
            result = super().on_configure(state)
        except Exception as error:
            self._log_failure("cannot be configured", error)
            self._clean_up()
            return TransitionCallbackReturn.FAILURE
        self._declared.configured = True
        self._state, self._failure = "inactive", ""
        self._warn_of_unused(self.values)
        return result

    def _change_values(self, values: P) -> None:
        self.change_values(values)
        self._warn_of_unused(values)

    def _warn_of_unused(self, values: P) -> None:
        for reason, names in self.without_effect(values):
            if changed := changed_settings(values, names):
                has = "has" if len(changed) == 1 else "have"
                self.warn_throttled(f"{reason}, so {', '.join(changed)} {has} no effect")

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        self._resources = self._activated
        with self._patient_watchdog():
            return self._activate(state)

    def _activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        try:
            result = super().on_activate(state)
            self._state = "active"
            self.start()
        except Exception as error:
            self._state = "inactive"
            self._log_failure("cannot be activated", error)
            self._deactivate()
            super().on_deactivate(state)
            return TransitionCallbackReturn.FAILURE
        self._failure = ""
        self._autostart = False
        self.get_logger().info("active")
        return result

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        self._state = "inactive"
        self._deactivate()
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        self._state = "unconfigured"
        self._declared.configured = False
        self._clean_up()
        return super().on_cleanup(state)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        self.close()
        return super().on_shutdown(state)

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        self._state = "unconfigured"
        self._declared.configured = False
        self._deactivate()
        self._clean_up()
        return TransitionCallbackReturn.SUCCESS

    def on_transition_request(self) -> None:
        # From here on, another program manages the lifecycle of the node.
        self._autostart = False

    def create_timer(
        self,
        timer_period_sec: float,
        callback: Callable[..., None],
        callback_group: CallbackGroup | None = None,
        clock: Clock | None = None,
        **kwargs: Any,
    ) -> Timer:
        """Returns a timer as rclpy's method does, but on the steady clock.

        Diagnostics and retries then go on while simulated time stands still.
        """
        clock = clock or Clock(clock_type=ClockType.STEADY_TIME)
        return super().create_timer(timer_period_sec, callback, callback_group, clock, **kwargs)

    def set_parameters_atomically(self, parameter_list: list[Parameter]) -> SetParametersResult:
        # Checked here before rclpy does, whose reason does not state the range.
        result = self._declared.check(parameter_list)
        return super().set_parameters_atomically(parameter_list) if result.successful else result

    def _start_first(self) -> None:
        self.destroy_timer(self._first)
        self._start_by_itself()

    def _start_by_itself(self) -> None:
        if not self._autostart:
            self.destroy_timer(self._retry)
            return
        begin = time.monotonic()
        if begin < self._next_try:
            return
        if self._state == "unconfigured":
            self.trigger_configure()
        if self._state == "inactive":
            begin = time.monotonic()  # the next try repeats this step only
            self.trigger_activate()
        # A try may take seconds, in which no other node of the process is called back.
        end = time.monotonic()
        self._next_try = end + (end - begin) / _SHARE_OF_TRIES

    def _deactivate(self) -> None:
        self._end(self._activated.close)
        self._resources = self._configured
        self._end(self.stop)

    def _clean_up(self) -> None:
        self._end(self.release)
        self._end(self._configured.close)

    def _end(self, step: Callable[[], None]) -> None:
        try:
            step()
        except Exception as error:
            self.log_exception(error)

    def _log_failure(self, what: str, error: Exception) -> None:
        self._failure = f"{what}: {error}"
        if self.should_log(self._failure):
            self.get_logger().error(f"{what}: {_text_of(error)}")

    # Diagnostics (REP-107).

    def _publish_diagnostics(self) -> None:
        now = time.monotonic()
        if reason := self._hearing.deafness(self._inputs, now):
            self.watchdog.end_process(reason)
        problem = self._failure
        extra: dict[str, str] = {}
        state = self._state
        if self.active:
            problem, extra = self.diagnostics()
            noted = self._noted_problems(now)
            problem = "; ".join(filter(None, (problem, noted if noted not in problem else "")))
            if self.computes_for_subscribers and not self.has_subscribers(*self._result_publishers):
                state += ": nobody subscribes to its results, so it publishes none"
        p50, p95 = self.statistics.latency_percentiles(now)
        values = {
            "state": self._state,
            "input rate (Hz)": f"{self.statistics.rate('input', now):.2f}",
            "output rate (Hz)": f"{self.statistics.rate('output', now):.2f}",
            "latency p50 (ms)": f"{p50 * 1e3:.1f}",
            "latency p95 (ms)": f"{p95 * 1e3:.1f}",
            "dropped": str(self.statistics.total("dropped")),
            "refused": str(self.statistics.total("refused")),
            "not sent": str(self.statistics.total("not sent")),
            "errors": str(self.statistics.total("errors")),
            # Other nodes compare these with what they receive themselves (``hearing``).
            **{f"{RECEIVED}{s.topic}": str(s.received) for s in self._inputs},
            **{f"{SENT}{topic}": str(n) for topic, n in self.statistics.totals("output ").items()},
            **extra,
        }
        level, message = DiagnosticStatus.OK, state
        if self._failure and not self._progress:
            level, message = DiagnosticStatus.ERROR, self._failure
        elif self._progress or problem:
            level, message = DiagnosticStatus.WARN, self._progress or problem
        status = DiagnosticStatus(
            level=level,
            name=f"{self.get_fully_qualified_name().lstrip('/')}",
            message=message,
            hardware_id="face_perception",
            values=[KeyValue(key=k, value=v) for k, v in values.items()],
        )
        array = DiagnosticArray(status=[status])
        array.header.stamp = self.get_clock().now().to_msg()
        try:
            self._diagnostics.publish(array)
        except RCLError:
            self.count("not sent")


def _start_descriptor(description: str) -> ParameterDescriptor:
    """Returns the descriptor of a parameter that is read when the process starts."""
    return ParameterDescriptor(
        description=f"{description} Read when the node is started.",
        read_only=True,
        # The driver checks the type: rclpy would end the process.
        dynamic_typing=True,
    )


def _text_of(error: Exception) -> str:
    """Returns the message of an error meant for people, else its type, message and traceback."""
    if isinstance(error, _FOR_PEOPLE):
        return str(error)
    frames = traceback.extract_tb(error.__traceback__)
    where = f" at {os.path.basename(frames[-1].filename)}:{frames[-1].lineno}" if frames else ""
    trace = "".join(traceback.format_exception(error)).rstrip()
    return f"{type(error).__name__}: {error}{where}\n{trace}"
