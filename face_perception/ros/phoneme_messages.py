"""Converts phonemes with their times to messages and back."""

from __future__ import annotations

from collections.abc import Sequence

from face_perception import msg
from face_perception.errors import InputError
from face_perception.ros import messages
from face_perception.speech import Phone


def phonemes_to_msg(phones: Sequence[Phone], zero: float) -> msg.Phonemes:
    """Returns phonemes as a message; their times count from ``zero``, in seconds of the
    ROS clock.
    """
    message = msg.Phonemes(
        symbols=[phone.name for phone in phones],
        starts=[phone.start for phone in phones],
        ends=[phone.end for phone in phones],
    )
    message.header.stamp = messages.time(zero)
    return message


def phonemes_from_msg(message: msg.Phonemes) -> list[Phone]:
    """Returns the phonemes of a message, with times in seconds of the ROS clock.

    Raises InputError if its lists differ in length.
    """
    symbols, starts, ends = message.symbols, message.starts, message.ends
    if not len(symbols) == len(starts) == len(ends):
        raise InputError(
            f"a message has {len(symbols)} phonemes, {len(starts)} starts and {len(ends)} ends: "
            "send one of each for each phoneme"
        )
    zero = messages.seconds(message.header.stamp)
    return [
        Phone(symbol, zero + start, zero + end)
        for symbol, start, end in zip(symbols, starts, ends, strict=True)
    ]
