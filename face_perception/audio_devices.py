"""Microphones and loudspeakers, through PortAudio.

PortAudio is used through sounddevice, which is imported only when a device is asked for.
"""

from __future__ import annotations

from typing import Any

from face_perception.errors import FacePerceptionError


class AudioDeviceError(FacePerceptionError, RuntimeError):
    """Raised if an audio device, PortAudio or sounddevice is missing; the text gives the fix."""


def import_sounddevice(purpose: str) -> Any:
    """Returns the module sounddevice. Raises AudioDeviceError if it or PortAudio is missing.

    ``purpose`` completes the error text: "to ``purpose`` needs ...".
    """
    try:
        import sounddevice
    except ImportError as error:
        raise AudioDeviceError(
            f"the Python package sounddevice is needed to {purpose}: pip install sounddevice"
        ) from error
    except OSError as error:  # sounddevice found no PortAudio
        raise AudioDeviceError(
            f"PortAudio is needed to {purpose} ({error}): apt install libportaudio2"
        ) from error
    return sounddevice


def rescan_devices() -> None:
    """Makes PortAudio find devices that were plugged in since it was loaded.

    Must not be called while a stream is open.
    """
    try:
        sounddevice = import_sounddevice("look for a loudspeaker")
    except AudioDeviceError:
        return
    # PortAudio lists the devices once; sounddevice has no public function to restart it.
    sounddevice._terminate()
    sounddevice._initialize()


def parse_device(text: str) -> int | str | None:
    """Returns a device as sounddevice needs it: a number, part of a name, or None (the default)."""
    if not text:
        return None
    return int(text) if text.isdigit() else text
