"""The one driver of all nodes: lifecycle, autostart, diagnostics.

A node says what it does in ``setup``, ``start``, ``stop`` and ``release``; everything about
transitions, retries and reporting is here, and about its process in ``process``.
"""

from __future__ import annotations

import math
import os
import time
import traceback
from collections.abc import Callable
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
from face_perception.ros import qos
from face_perception.ros.node_statistics import Statistics
from face_perception.ros.parameters import Parameters
from face_perception.ros.rclpy_compat import RCLError, SafeLifecycleNode

P = TypeVar("P")

_RETRY_PERIOD = 2.0
_REPEAT = 10.0
_AUTOSTART = ParameterDescriptor(
    description="Configure and activate by itself. Read when the node is started.",
    read_only=True,
    # Checked here: rclpy would end the process.
    dynamic_typing=True,
)


class PerceptionNode(SafeLifecycleNode, Generic[P]):
    """A lifecycle node that configures and activates itself, unless ``autostart`` is false.

    Configuring that fails (a missing model, a refused parameter) is logged with its reason and
    tried again, so that the node recovers when the cause is gone; it never ends the process.
    """

    def __init__(self, name: str, parameters: type[P], **kwargs: Any) -> None:
        super().__init__(name, **kwargs)
        self.statistics = Statistics()
        self._said: dict[str, float] = {}
        self._made: list[Any] = []
        self._state = "unconfigured"
        self._reason = ""
        self._doing = ""
        autostart = self.declare_parameter("autostart", True, _AUTOSTART).value
        # One that is neither is a problem, to be said when the node configures itself.
        self._autostart = autostart is not False
        self._declared = Parameters(self, parameters)
        if not isinstance(autostart, bool):
            self._declared.problems["autostart"] = f"autostart: {autostart!r} is not true or false"
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", 10)
        self.create_timer(1.0, self._publish_diagnostics)
        # Not in the constructor: configuring may take seconds, and who made the node may want to
        # spin it first.
        self.create_timer(_RETRY_PERIOD, self._start_by_itself)
        self._first = self.create_timer(0.0, self._start_first)

    # What a node says about itself.

    def setup(self) -> None:
        """Loads models and makes publishers. Raises with a reason where it cannot."""

    def start(self) -> None:
        """Makes subscriptions and threads."""

    def stop(self) -> None:
        """Undoes ``start``. Also called after a ``start`` that failed half-way."""

    def release(self) -> None:
        """Undoes ``setup``. Also called after a ``setup`` that failed half-way."""

    def report(self) -> tuple[str, dict[str, str]]:
        """What is wrong, empty where nothing is, and more key-values for the diagnostics."""
        return "", {}

    # What a node may use.

    @property
    def values(self) -> P:
        """The current parameters."""
        return self._declared.values

    @property
    def active(self) -> bool:
        return self._state == "active"

    def publisher(
        self, message_type: type[Any], topic: str, depth: int = 10, *, latched: bool = False
    ) -> Any:
        """A lifecycle publisher of results, to be made in ``setup``; destroyed by the driver.

        Who subscribes later (with durability transient local) gets the last message of a
        ``latched`` one. Its QoS can be overridden by parameters
        (``qos_overrides.<topic>.publisher.…``).
        """
        publisher = self.create_lifecycle_publisher(
            message_type,
            topic,
            qos.results(depth, latched=latched),
            qos_overriding_options=QoSOverridingOptions.with_default_policies(),
        )
        self._made.append(publisher)
        return publisher

    def heard(self, *publishers: Any) -> bool:
        """Whether anybody listens to any of these: what nobody hears is not computed."""
        try:
            return any(p.get_subscription_count() > 0 for p in publishers)
        except RCLError:  # on a thread, while the node shuts down
            return False

    def publish(self, publisher: Any, message: Any, header: Any = None) -> None:
        """Publishes; with the header of the input, counts it as an output and notes its latency."""
        if not self.active:
            return
        try:
            publisher.publish(message)
        except RCLError:
            # A reliable publisher raises while a reader of it stalls.
            self.count("not sent")
            self.complain(
                f"could not send on {publisher.topic_name}: one of its subscribers does not keep up"
            )
            return
        if header is not None:
            self.count(f"output {publisher.topic_name}")
            self.latency(header)

    def latency(self, header: Any) -> None:
        """Notes the time from a stamp to now, where the clock makes sense of it."""
        stamp = header.stamp.sec + header.stamp.nanosec * 1e-9
        now = self.get_clock().now().nanoseconds * 1e-9
        if 0 <= now - stamp < 60:
            self.statistics.latency(now - stamp, time.monotonic())

    def count(self, what: str) -> None:
        self.statistics.count(what, time.monotonic())

    def complain(self, text: str, key: str = "") -> None:
        """A warning, at most once in ten seconds for the same ``key`` (default: the text)."""
        if self.due(key or text):
            self.get_logger().warning(text)

    def doing(self, text: str) -> None:
        """Shows at once, while ``setup`` keeps the executor, what takes long; the log has it every
        ten seconds.
        """
        self._doing = text
        if self.due(text.split(",")[0]):
            self.get_logger().info(text)
        self._publish_diagnostics()

    def failed(self, error: Exception) -> None:
        """Logs an error of a callback or worker, at most once in a while.

        Logs the message alone if the error is meant for people, otherwise its traceback.
        """
        self.count("errors")
        place = traceback.extract_tb(error.__traceback__)
        where = f" at {os.path.basename(place[-1].filename)}:{place[-1].lineno}" if place else ""
        text = f"{type(error).__name__}: {error}{where}"
        if not isinstance(error, FacePerceptionError):
            text += "\n" + "".join(traceback.format_exception(error)).rstrip()
        self.complain(text, key=f"{type(error)}{where}")

    def guarded(self, work: Callable[[Any], None]) -> Callable[[Any], None]:
        """``work`` on a message, which is refused, counted and said where that raises."""

        def guarded(message: Any) -> None:
            try:
                work(message)
            except Exception as error:
                self.count("refused")
                self.failed(error)

        return guarded

    def close(self) -> None:
        """Stops threads before the node is destroyed; safe in every state."""
        if self._state == "active":
            self.stop()
        if self._state in ("active", "inactive"):
            self._release()
        self._state = "finalized"

    # Lifecycle.

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        try:
            if self._declared.problems:
                raise InputError(
                    "; ".join(self._declared.problems.values())
                    + ". Mend the parameter file, or: ros2 param set "
                    + f"{self.get_fully_qualified_name()} <name> <value>"
                )
            try:
                self.setup()
            finally:
                self._doing = ""
            result = super().on_configure(state)
        except Exception as error:
            self._fail("cannot be configured", error)
            self._clean(self._release)
            return TransitionCallbackReturn.FAILURE
        self._declared.configured = True
        self._state, self._reason = "inactive", ""
        return result

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        try:
            result = super().on_activate(state)
            self._state = "active"
            self.start()
        except Exception as error:
            self._state = "inactive"
            self._fail("cannot be activated", error)
            self._clean(self.stop)
            super().on_deactivate(state)
            return TransitionCallbackReturn.FAILURE
        self._reason = ""
        self._autostart = False
        self.get_logger().info("active")
        return result

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        self._state = "inactive"
        self._clean(self.stop)
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        self._state = "unconfigured"
        self._declared.configured = False
        self._clean(self._release)
        return super().on_cleanup(state)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        self.close()
        return super().on_shutdown(state)

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        self._state = "unconfigured"
        self._declared.configured = False
        self._clean(self.stop)
        self._clean(self._release)
        return TransitionCallbackReturn.SUCCESS

    def on_transition_request(self) -> None:
        # Somebody outside manages the node from here on.
        self._autostart = False

    def create_timer(
        self,
        timer_period_sec: float,
        callback: Callable[..., None],
        callback_group: CallbackGroup | None = None,
        clock: Clock | None = None,
        **kwargs: Any,
    ) -> Timer:
        """As rclpy's, but on the steady clock: diagnostics and retries go on while simulated time
        stands still.
        """
        clock = clock or Clock(clock_type=ClockType.STEADY_TIME)
        return super().create_timer(timer_period_sec, callback, callback_group, clock, **kwargs)

    def set_parameters_atomically(self, parameter_list: list[Parameter]) -> SetParametersResult:
        # Checked first here, because rclpy's own range check gives no range in its reason.
        result = self._declared.check(parameter_list)
        return super().set_parameters_atomically(parameter_list) if result.successful else result

    def _start_first(self) -> None:
        self.destroy_timer(self._first)
        self._start_by_itself()

    def _start_by_itself(self) -> None:
        if not self._autostart:
            return
        if self._state == "unconfigured":
            self.trigger_configure()
        if self._state == "inactive":
            self.trigger_activate()

    def _release(self) -> None:
        self.release()
        while self._made:
            self.destroy_lifecycle_publisher(self._made.pop())

    def _fail(self, what: str, error: Exception) -> None:
        self._reason = f"{what}: {error}"
        if isinstance(error, OSError | FacePerceptionError | ParameterException):
            text = self._reason
        else:
            text = f"{self._reason}\n{''.join(traceback.format_exception(error))}"
        if self.due(text):
            self.get_logger().error(text)

    def due(self, key: str) -> bool:
        """Whether something may be said again; if so it counts as said.

        Not while shutting down: then the context goes away under whoever still publishes.
        """
        if not self.context.ok():
            return False
        now = time.monotonic()
        due = now - self._said.get(key, -math.inf) >= _REPEAT
        if due:
            self._said[key] = now
        return due

    def _clean(self, step: Any) -> None:
        try:
            step()
        except Exception as error:
            self.failed(error)

    # Diagnostics (REP-107).

    def _publish_diagnostics(self) -> None:
        now = time.monotonic()
        problem = self._reason
        extra: dict[str, str] = {}
        if self.active:
            problem, extra = self.report()
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
            **extra,
        }
        level, message = DiagnosticStatus.OK, self._state
        if self._reason and not self._doing:
            level, message = DiagnosticStatus.ERROR, self._reason
        elif self._doing or problem:
            level, message = DiagnosticStatus.WARN, self._doing or problem
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
