"""Valence and arousal from how faces look and move (MIMAMO-Net), for ``face-perception run``."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from face_perception.errors import InputError

if TYPE_CHECKING:
    from face_perception.results import FrameResult
    from face_perception.types import Frame, ValenceArousal


class AnalysedFrame(NamedTuple):
    """A frame, its number in the clip, and its results."""

    number: int
    frame: Frame
    result: FrameResult


class ClipMotion:
    """Replaces valence and arousal by those of MIMAMO-Net.

    The network also looks at the frames that follow, so that frames come back later than they were
    put in. It works at 30 Hz: of a film with more frames a second, the frames between have the
    values of the frame before. ``name`` is the name or path of the network's card. Raises
    ModelError if it is another network, or is missing.
    """

    def __init__(self, name: str, threads: int) -> None:
        from face_perception.inference import Model, load, log_terms
        from face_perception.motion import Mimamo, load_mimamo

        def load_model(name: str) -> Model:
            model = load(name, threads=threads)
            log_terms(model.card.terms)
            return model

        self._mimamo: Mimamo[int] = Mimamo(load_mimamo(name, load_model))
        self.restart()

    def restart(self) -> None:
        """Forgets all faces and frames."""
        self._mimamo.reset()
        self._waiting: dict[int, AnalysedFrame] = {}
        self._last: dict[str, ValenceArousal] = {}  # of each face

    def put(self, analysed: AnalysedFrame) -> list[AnalysedFrame]:
        """Takes the next frame and returns the frames that are complete, in order."""
        from face_perception.faces import crop_face

        number, frame, result = analysed
        crops = [crop_face(frame.image, face) for face in result.faces]
        self._waiting[number] = analysed
        return self._complete(self._mimamo.estimate(number, frame.stamp, crops))

    def finish(self) -> list[AnalysedFrame]:
        """Returns the frames that wait for later ones. Call it at the end of the clip."""
        complete = self._complete(self._mimamo.finish())
        return complete + [self._with_last(number) for number in list(self._waiting)]

    def _complete(self, found: Sequence[tuple[int, list[ValenceArousal]]]) -> list[AnalysedFrame]:
        frames = []
        for number, affects in found:
            frames += [
                self._with_last(earlier) for earlier in list(self._waiting) if earlier < number
            ]
            self._last = {affect.face_id: affect for affect in affects}
            frames.append(self._with_last(number))
        return frames

    def _with_last(self, number: int) -> AnalysedFrame:
        """Returns a waiting frame with the last values of its faces."""
        number, frame, result = self._waiting.pop(number)
        known = [self._last[face.face_id] for face in result.faces if face.face_id in self._last]
        return AnalysedFrame(number, frame, replace(result, valence_arousal=tuple(known)))


def check_motion(args: argparse.Namespace, *, still: bool, name: str) -> None:
    """Raises InputError if ``--motion`` cannot be used with the other options, or on a picture."""
    if args.motion and args.skip_frames:
        raise InputError(
            "--motion compares frames at 30 Hz, so none may be left out: leave out --skip-frames"
        )
    if args.motion and still:
        raise InputError(f"{name} is a picture: --motion needs a film or a bag")
