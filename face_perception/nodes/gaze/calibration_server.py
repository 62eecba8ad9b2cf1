"""The calibration of people in the gaze node: an action, and services to link, list and delete.

This file translates between messages and ``PersonRegistry``. The executor has one thread, so no
callback may wait: the images that arrive drive a goal, and a timer checks it.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from face_perception import msg
from face_perception.action import CalibrateGaze
from face_perception.errors import InputError, one_line, shortened
from face_perception.people import (
    Calibration,
    CalibrationFit,
    CalibrationRefused,
    CalibrationSession,
    CalibrationTarget,
    Correction,
    PersonRegistry,
    camera_target,
    check_person_id,
    describe_fit,
    face_target,
    point_target,
)
from face_perception.ros import messages
from face_perception.ros.goal_server import conclude_goal, failure_of_goal
from face_perception.ros.requests import answering, check_face, send_feedback
from face_perception.ros.tf_frames import Frames
from face_perception.srv import DeleteCalibration, LinkFace, ListCalibrations
from face_perception.types import Camera, Face, FloatArray, Gaze

if TYPE_CHECKING:
    from face_perception.ros.driver import PerceptionNode

_CHECK_PERIOD = 0.1  # seconds between two checks of the goals
_REFRESH_PERIOD = 1.0  # seconds between two checks for changed calibration files
_INACTIVE = "the gaze node is not active: activate it"
_RECENT = 2.0  # seconds; the faces of an older image are no longer known


@dataclass(slots=True)
class _Goal:
    """One accepted goal. It is concluded at most once."""

    handle: Any
    session: CalibrationSession
    person_id: str
    since: float = field(default_factory=time.monotonic)


def refused_goal() -> CalibrateGaze.Result:
    """Returns the result of a goal that comes while the gaze node is not configured."""
    return CalibrateGaze.Result(success=False, message=_INACTIVE)


class GazeCalibration:
    """The goals and services of one configured gaze node; make it in the ``setup`` of the node.

    Call ``update`` for every image, on any thread, and everything else on the executor's thread.
    """

    def __init__(self, node: PerceptionNode[Any], people: PersonRegistry) -> None:
        self._node = node
        self._people = people
        self._frames = Frames(node)
        self._goals: list[_Goal] = []
        self._last_image = -np.inf  # monotonic
        self._frame_id = ""
        node.on_end(self._frames.destroy)
        node.serve(LinkFace, "~/link_face", answering(self._link))
        node.serve(ListCalibrations, "~/list_calibrations", answering(self._list))
        node.serve(DeleteCalibration, "~/delete_calibration", answering(self._delete))
        node.timer(_REFRESH_PERIOD, self._refresh_people)
        self._timer = node.timer(_CHECK_PERIOD, self._check_goals)
        self._timer.cancel()  # until there is a goal

    @property
    def busy(self) -> bool:
        """Whether images are needed: for a calibration, or to end a link when its face is lost."""
        return bool(self._goals) or self._people.follows_links

    def update(
        self, header: Any, camera: Camera, faces: Sequence[Face], gazes: Sequence[Gaze]
    ) -> list[Gaze]:
        """Returns the calibrated gazes of one image; see ``PersonRegistry.update``."""
        self._last_image = time.monotonic()
        self._frame_id = header.frame_id
        return self._people.update(messages.seconds(header.stamp), camera, faces, gazes)

    def cancel_goals(self) -> None:
        """Ends all goals, because no more images will arrive."""
        for goal in list(self._goals):
            self._finish(goal, "the gaze node was deactivated")

    # The action.

    def accept(self, handle: Any) -> None:
        """Starts a goal, or aborts it with the reason."""
        try:
            goal = self._begin(handle)
        except (ValueError, LookupError) as error:
            _conclude(handle, False, str(error.args[0]))
            return
        self._goals.append(goal)
        self._timer.reset()
        self._node.get_logger().info(
            f"calibrating {goal.session.face_id} as {goal.person_id}: "
            f"{', then '.join(target.name for target in goal.session.targets)}"
        )

    def _begin(self, handle: Any) -> _Goal:
        """Returns the goal. Raises InputError or LookupError if its request is not valid."""
        request = handle.request
        if not self._node.active:
            raise InputError(_INACTIVE)
        check_person_id(request.person_id)
        session = CalibrationSession(
            request.face_id,
            [self._target(target, request.face_id) for target in request.targets],
            samples=request.samples_per_target,
            seconds=request.seconds_per_target,
            head_range=request.head_range,
        )
        if any(goal.person_id == request.person_id for goal in self._goals):
            raise InputError(
                f"{one_line(request.person_id)} is already being calibrated: cancel that"
            )
        self._people.begin_session(session)
        return _Goal(handle, session, request.person_id)

    def _target(self, target: msg.CalibrationTarget, face_id: str) -> CalibrationTarget:
        if target.kind == msg.CalibrationTarget.KIND_CAMERA:
            return camera_target()
        if target.kind == msg.CalibrationTarget.KIND_FACE:
            if not target.face_id or target.face_id == face_id:
                raise InputError(
                    f"a target has face_id {shortened(target.face_id)}: give another face than "
                    f"{one_line(face_id, 80)}"
                )
            return face_target(target.face_id)
        if target.kind != msg.CalibrationTarget.KIND_POINT:
            raise InputError(
                f"a target is not valid, its kind is {target.kind}: use KIND_CAMERA (1), "
                "KIND_POINT (2) or KIND_FACE (3)"
            )
        p, frame = target.point.point, target.point.header.frame_id
        plain = point_target((p.x, p.y, p.z))
        if not frame:
            return plain
        if self._frame_id and frame != self._frame_id:
            self._frames.prepare(frame)

        def locate(eyes: Mapping[str, FloatArray]) -> FloatArray:
            return self._frames.transformed(plain.locate(eyes), frame, self._frame_id)

        return CalibrationTarget(f"{plain.name} of {frame}", locate)

    def _check_goals(self) -> None:
        for goal in list(self._goals):
            failure = failure_of_goal(
                goal.handle, max(goal.since, self._last_image), finished=goal.session.finished
            )
            if failure or goal.session.finished:
                self._finish(goal, failure)
            else:
                self._send_feedback(goal)
        if not self._goals:
            self._timer.cancel()

    def _send_feedback(self, goal: _Goal) -> None:
        progress = self._people.session_progress(goal.session)
        feedback = CalibrateGaze.Feedback(
            target_index=progress.target,
            samples_kept=progress.kept,
            samples_rejected=progress.rejected,
            rejection_reasons=list(progress.reasons),
            rejection_counts=list(progress.reasons.values()),
            progress=float(progress.done),
            hint=progress.hint,
        )
        send_feedback(goal.handle, feedback)

    def _finish(self, goal: _Goal, failure: str = "") -> None:
        """Concludes a goal: stores its calibration, or aborts it because of ``failure``."""
        self._goals.remove(goal)
        if failure:
            self._people.end_session(goal.session)
            _conclude(goal.handle, False, failure)
        else:
            self._send_feedback(goal)
            try:
                fit = self._people.finish_session(goal.session, goal.person_id)
            except (CalibrationRefused, OSError, ValueError) as error:
                failure = f"not calibrated: {error}"
                _conclude(goal.handle, False, failure)
            else:
                done = goal.session
                failure = (
                    f"{goal.person_id} is calibrated for {done.estimator}, stored, and linked to "
                    f"{done.face_id}; {describe_fit(fit, done.prior)}"
                )
                _conclude(goal.handle, True, failure, fit, done.estimator)
        self._node.get_logger().info(f"{goal.session.face_id}: {failure}")

    # The services.

    def _link(self, request: Any, response: Any) -> None:
        face_id, person_id = request.face_id, request.person_id
        if not person_id:
            self._people.link(face_id, "")
            response.message = f"{one_line(face_id, 80)} is linked to nobody"
            return
        if time.monotonic() - self._last_image < _RECENT:
            check_face(face_id, self._people.faces)
        response.calibrated = self._people.link(face_id, person_id)
        how = "calibrated" if response.calibrated else "not calibrated for this estimator"
        response.message = f"{one_line(face_id, 80)} is linked to {person_id}, {how}"

    def _list(self, request: Any, response: Any) -> None:
        store = self._people.store
        if request.person_id:
            people = {request.person_id: store.get(request.person_id)}
        else:
            people = store.load_all()
        faces = {person: face for face, person in self._people.linked_persons().items()}
        response.calibrations = [
            _to_msg(person, faces.get(person, ""), calibration)
            for person, known in people.items()
            for _, calibration in sorted(known.items())
        ]
        response.message = f"{len(response.calibrations)} calibrations in {store.folder}"

    def _delete(self, request: Any, response: Any) -> None:
        deleted = self._people.store.delete(request.person_id, request.estimator)
        self._refresh_people()
        if not deleted:
            what = f" for {request.estimator}" if request.estimator else ""
            raise InputError(f"{request.person_id} has no calibration{what}")
        response.deleted = deleted
        response.message = f"deleted {deleted} of {request.person_id}"

    def _refresh_people(self) -> None:
        try:
            self._people.refresh()
        except OSError as error:
            self._node.get_logger().warning(str(error), throttle_duration_sec=10.0)


def _conclude(
    handle: Any,
    success: bool,
    message: str,
    fit: CalibrationFit | None = None,
    estimator: str = "",
) -> None:
    """Ends a goal with its result."""
    result = CalibrateGaze.Result(success=success, message=message, estimator=estimator)
    if fit is not None:
        _fill(result, fit.correction)
        result.spread = float(fit.spread)
        result.expected_residual = float(fit.expected_residual)
        result.error_before = float(fit.before)
        result.samples = int(fit.samples)

    conclude_goal(handle, result)


def _to_msg(person_id: str, face_id: str, calibration: Calibration) -> msg.Calibration:
    out = msg.Calibration(
        person_id=person_id,
        face_id=face_id,
        estimator=calibration.estimator,
        revision=calibration.revision,
        spread=float(calibration.spread),
        expected_residual=float(calibration.expected_residual),
        samples=int(calibration.samples),
        targets=int(calibration.targets),
        created=messages.time(calibration.made),
    )
    _fill(out, calibration.correction)
    return out


def _fill(message: Any, correction: Correction) -> None:
    """Copies the numbers of a correction to the fields of that name in a message."""
    for name in (
        *("bias_yaw", "bias_pitch", "gain_yaw", "gain_pitch"),
        *("cross_yaw", "cross_pitch", "lid_gain"),
    ):
        setattr(message, name, float(getattr(correction, name)))
    message.lid_reference = float(correction.lids.upper)
