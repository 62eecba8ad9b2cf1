"""The results that nodes exchange: values of one image, and how they become messages.

A node publishes and receives a ``Result``. A message is made only for subscriptions in other
processes (``ros/in_process``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from std_msgs.msg import Header

from face_perception import msg, types
from face_perception.ros import messages

T = TypeVar("T")


@dataclass(frozen=True)
class Result(Generic[T]):
    """The values about one image, with the header of that image. Do not change their arrays.

    ``camera`` is the camera of that image, in a result of faces.
    """

    header: Header
    values: Sequence[T]
    camera: types.Camera | None = None


@dataclass(frozen=True)
class ResultKind(Generic[T]):
    """Converts results of one type of value to messages and back.

    ``publisher`` is the node that publishes them; empty: several nodes do.
    """

    message_type: type[Any]
    to_msg: Callable[[T], Any]
    from_msg: Callable[[Any], T]
    publisher: str = ""

    def write(self, result: Result[T]) -> Any:
        """Returns the message of a result."""
        message = self.message_type(header=result.header)
        messages.listed(message).extend(self.to_msg(value) for value in result.values)
        if result.camera is not None:
            messages.set_camera(message, result.camera)
        return message

    def read(self, message: Any, refuse: Callable[[ValueError], None] | None = None) -> Result[T]:
        """Returns the result of a message.

        Calls ``refuse`` for each invalid value, and leaves it out. Without ``refuse``, raises
        InputError instead. Raises InputError in any case if the camera is invalid.
        """
        values = messages.valid_values(message, self.from_msg, refuse)
        return Result(message.header, values, messages.camera_of(message))


# What a topic carries: results of a kind, or messages of a type.
Kind = ResultKind[Any] | type[Any]


def message_type_of(kind: Kind) -> type[Any]:
    """Returns the type of the messages of a topic."""
    return kind.message_type if isinstance(kind, ResultKind) else kind


FACES = ResultKind(msg.FaceArray, messages.face_to_msg, messages.face_from_msg, "face_tracker")
RECOGNITIONS = ResultKind(
    msg.RecognitionArray, messages.recognition_to_msg, messages.recognition_from_msg, "people"
)
FACE_CROPS = ResultKind(msg.FaceCrops, messages.crop_to_msg, messages.crop_from_msg, "face_tracker")
GAZES = ResultKind(msg.GazeArray, messages.gaze_to_msg, messages.gaze_from_msg, "gaze")
ACTION_UNITS = ResultKind(
    msg.ActionUnitsArray, messages.action_units_to_msg, messages.action_units_from_msg, "affect"
)
BLENDSHAPES = ResultKind(
    msg.BlendshapesArray, messages.blendshapes_to_msg, messages.blendshapes_from_msg, "affect"
)
EXPRESSIONS = ResultKind(
    msg.ExpressionArray, messages.expression_to_msg, messages.expression_from_msg, "affect"
)
VALENCE_AROUSAL = ResultKind(
    msg.ValenceArousalArray, messages.valence_arousal_to_msg, messages.valence_arousal_from_msg
)
ATTENTION = ResultKind(
    msg.AttentionArray, messages.attention_to_msg, messages.attention_from_msg, "attention"
)
