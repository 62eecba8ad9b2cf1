"""Speaks many languages with the program espeak-ng, where it is installed."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np

from face_perception.errors import InputError, MissingDependencyError, one_line, shortened
from face_perception.speech.voices.voice import SpokenText
from face_perception.speech.wav_file import read_wav

_USUAL = 175  # words a minute; the default of espeak-ng
_TIMEOUT = 20.0  # seconds for one sentence, which takes some milliseconds
# A name such as en-gb or de+f3. A path would make espeak-ng read a file.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_+-]{0,40}")


class EspeakVoice:
    """A voice of espeak-ng (``Voice``), by its name there: ``de``, ``fr+f3``. Knows no times.

    Raises MissingDependencyError if the program is missing, InputError for a name that cannot be
    one.
    """

    def __init__(self, name: str = "") -> None:
        name = name or "en"
        if not _NAME.fullmatch(name):
            raise InputError(
                f"espeak-ng has no voice {shortened(name)}: `espeak-ng --voices` lists them"
            )
        self._program = shutil.which("espeak-ng")
        if self._program is None:
            raise MissingDependencyError(
                "the voices espeak:… need espeak-ng: apt install espeak-ng, or use hibari:heart, "
                "which speaks English"
            )
        self._voice = name
        self.name = f"espeak:{name}"

    def synthesise(self, text: str, speed: float) -> SpokenText:
        """Returns the speech of a sentence; see ``Voice``."""
        assert self._program is not None
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "speech.wav"
            options = ["-v", self._voice, "-s", str(round(_USUAL * speed)), "-w", str(path)]
            # Double brackets are a notation of espeak-ng for phonemes: here they are not.
            plain = text.replace("[[", "[ [")
            # Pass the text through standard input, because it may start with a dash.
            try:
                done = subprocess.run(
                    [self._program, *options, "--stdin"],
                    input=plain.encode(),
                    capture_output=True,
                    check=False,
                    timeout=_TIMEOUT,
                )
            except subprocess.TimeoutExpired as error:
                raise MissingDependencyError(
                    f"espeak-ng took more than {_TIMEOUT:g} s for {shortened(text)}: install it "
                    "again, or use another voice"
                ) from error
            if done.returncode or not path.exists():
                said = (done.stderr or done.stdout).decode(errors="replace").strip()
                reason = one_line(said) or f"exit code {done.returncode}"
                raise MissingDependencyError(f"espeak-ng failed: {reason}")
            recording = read_wav(path)
        samples = recording.samples.astype(np.float32).mean(axis=1) / 32768
        return SpokenText(samples, recording.rate)
