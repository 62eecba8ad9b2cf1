"""Analyses clips with networks that are loaded once, and writes the results of each."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from face_perception.commands.clip_motion import AnalysedFrame, ClipMotion, check_motion
from face_perception.commands.clip_record import record_of, result_settings, size_and_time
from face_perception.commands.clip_task import ClipTask
from face_perception.errors import InputError
from face_perception.files import named_errors, open_lines, read_regular, write_atomically
from face_perception.markers import MARKERS_FILE
from face_perception.results import markers_path, record_path

if TYPE_CHECKING:
    from face_perception.media import FrameReader, FrameWriter
    from face_perception.pipeline import Perception
    from face_perception.results import FrameResult
    from face_perception.types import Camera, Frame


class ClipAnalyser:
    """Analyses one clip after the other. ``args`` are the arguments of ``run``."""

    def __init__(self, args: argparse.Namespace) -> None:
        self._args = args
        self._camera: Camera | None = None
        self._perception: Perception | None = None
        self._motion: ClipMotion | None = None
        self._settings: dict[str, Any] = {}  # what results depend on

    def load(self) -> Perception:
        """Loads the networks and the files that ``args`` names; does nothing if called again.

        Raises inference.ModelError, and InputError or OSError if one of the files is wrong.
        """
        from face_perception.attention import parse_targets, spheres_in_image_frame
        from face_perception.people import CalibrationStore
        from face_perception.pipeline import Perception

        if self._perception is None:
            args = self._args
            perception = Perception.load(
                threads=args.threads,
                gaze=args.gaze,
                affect=args.affect,
                people=CalibrationStore(args.people, lambda text: print(text, file=sys.stderr)),
                person=args.person,
                max_faces=args.max_faces,
                blendshapes=args.blendshapes,
                appearance=args.appearance,
                targets=spheres_in_image_frame(parse_targets(args.targets)),
            )
            if args.neutral:
                _take_neutral(args.neutral, perception, self._load_camera(), args.image)
            if args.motion:
                self._motion = ClipMotion(args.motion, args.threads)
            self._settings = result_settings(args)
            self._perception = perception
        return self._perception

    def analyse(
        self,
        task: ClipTask,
        report: Callable[[str], None],
        progress: Callable[[float], None] = lambda share: None,
    ) -> None:
        """Writes the results of one clip, and hands a summary in lines of text to ``report``.

        ``progress`` gets the share of the frames that are read, 0 to 1, if their number is known.
        Complete results in a file get a record (``results.RunRecord``). If the clip cannot be read
        to its end, the results until there are kept and summarised, and the error is raised:
        InputError, OSError, media.FilmError or MissingDependencyError. Raises what ``load`` raises.
        """
        from face_perception.commands.clip_sound import ClipSound
        from face_perception.media import (
            BackgroundWriter,
            FrameReader,
            FrameWriter,
            annotated_name,
            read_ahead,
        )

        drawn = ""
        with contextlib.ExitStack() as stack:
            clip = stack.enter_context(
                FrameReader(task.input, self._load_camera(), self._args.image)
            )
            # Before it is read: a file that still grows is not done.
            opened = size_and_time(clip.path)
            check_motion(self._args, still=clip.still, name=task.input)
            perception = self.load()
            perception.restart(single_image=clip.still)
            motion = self._motion
            if motion is not None:
                motion.restart()
            sound = stack.enter_context(contextlib.closing(ClipSound(clip, perception.who_speaks)))
            summary = _Summary(clip)
            write = _open_lines(task, clip, stack, report)
            drawing = None
            if path := task.annotated:
                path = path / annotated_name(clip) if path.is_dir() else path
                drawn = str(path)
                drawing = stack.enter_context(FrameWriter(path, clip))
            stack.callback(lambda: report(summary.text()))
            background = stack.enter_context(contextlib.closing(BackgroundWriter()))
            frames = stack.enter_context(contextlib.closing(read_ahead(clip)))

            def keep(analysed: AnalysedFrame) -> None:
                number, frame, result = analysed
                if write is not None:
                    write(json.dumps(result.to_json(number, self._args.landmarks), allow_nan=False))
                if drawing is not None:
                    background.submit(_draw, drawing, frame, result)
                summary.add(result, len(result.faces) == self._args.max_faces)

            for number, frame in enumerate(frames):
                if clip.count:
                    progress((number + 1) / clip.count)
                if number % (self._args.skip_frames + 1):
                    continue
                sound.listen_until(frame.stamp)
                analysed = AnalysedFrame(number, frame, perception.process(frame))
                for complete in [analysed] if motion is None else motion.put(analysed):
                    keep(complete)
            for complete in [] if motion is None else motion.finish():
                keep(complete)
            summary.complete = True
        if task.output is not None and Path(task.output).is_file():
            _keep_markers(task)
            record = record_of(task, opened, self._settings, summary.frames, drawn)
            record.write(Path(task.output))

    def _load_camera(self) -> Camera | None:
        from face_perception.media import load_camera

        if self._camera is None and self._args.camera_info:
            self._camera = load_camera(self._args.camera_info)
        return self._camera


def _keep_markers(task: ClipTask) -> None:
    """Puts the markers of a session beside its results. Raises OSError."""
    from face_perception.media import is_session

    session = Path(task.input)
    if is_session(session) and (session / MARKERS_FILE).exists():
        data = read_regular(session / MARKERS_FILE)
        write_atomically(markers_path(Path(str(task.output))), data)


def _take_neutral(path: str, perception: Perception, camera: Camera | None, topic: str) -> None:
    from face_perception.media import FrameReader

    with FrameReader(path, camera, topic) as clip:
        try:
            perception.set_neutral_from(clip)
        except InputError as error:
            raise InputError(f"--neutral {path}: {error}") from error


def _draw(writer: FrameWriter, frame: Frame, result: FrameResult) -> None:
    from face_perception import overlay

    image = overlay.draw(
        frame.image,
        result.camera,
        result.faces,
        gazes=result.gazes,
        action_units=result.action_units,
        expressions=result.expressions,
        valence_arousal=result.valence_arousal,
        attention=result.attention,
    )
    writer.write(image, frame.stamp)


def _open_lines(
    task: ClipTask, clip: FrameReader, stack: contextlib.ExitStack, report: Callable[[str], None]
) -> Callable[[str], None] | None:
    """Returns a function that writes one result line, or None if no lines are wanted.

    It writes and flushes whole lines, so that readers never see a part of one. Waits for another
    process that still writes the same file, and tells ``report``.
    """
    from face_perception.media import refuse_overwriting

    if task.output is None:
        return None
    name = task.output
    if task.output == "-":
        stream, name = sys.stdout, "standard output"
    else:
        refuse_overwriting(Path(task.output), clip)
        # The processes of a run that was killed write until they notice that.
        text = f"{task.output}: waiting for another process that writes it"
        stream = stack.enter_context(open_lines(task.output, lambda: report(text)))
        record_path(Path(task.output)).unlink(missing_ok=True)

    def write(line: str) -> None:
        with named_errors(name):
            stream.write(line + "\n")
            stream.flush()

    return write


class _Summary:
    """Counts frames and faces for the summary at the end."""

    def __init__(self, clip: FrameReader) -> None:
        self._clip = clip
        self.frames = 0
        self._with_faces = 0
        self._ids: dict[str, int] = {}
        self._full = 0
        self._camera: Camera | None = None
        self._start = time.monotonic()
        self.complete = False  # whether the last frame was reached

    def add(self, result: FrameResult, full: bool) -> None:
        """Counts the faces of a frame. ``full``: it has as many faces as --max-faces allows."""
        self.frames += 1
        self._with_faces += bool(result.faces)
        self._full += full
        self._camera = result.camera
        for face in result.faces:
            self._ids[face.face_id] = self._ids.get(face.face_id, 0) + 1

    def text(self) -> str:
        seconds = time.monotonic() - self._start
        name = self._clip.path.name
        faces = ", ".join(f"{face_id} ({count})" for face_id, count in self._ids.items())
        lines = [
            f"{name}: {self.frames} frame(s) in {seconds:.1f} s, {self._with_faces} with a face; "
            f"frames per face id: {faces or 'none'}"
        ]
        if self._full:
            lines.append(
                f"{name}: {self._full} frame(s) reach the largest number of faces: raise "
                "--max-faces if there are more"
            )
        if self._camera is not None and self._camera.assumed and self._ids:
            lines.append(_assumed(self._camera))
        if self._clip.damage:
            lines.append(f"{name} is damaged: {self._clip.damage}")
        if not self.complete and self.frames:
            of = f" of {self._clip.count}" if self._clip.count > self.frames else ""
            lines.append(f"{name}: stopped after {self.frames}{of} frame(s)")
        return "\n".join(lines)


def _assumed(camera: Camera) -> str:
    """Returns a warning about the errors that an assumed camera causes."""
    lens = "= image width" if camera.fx == camera.width else f"{camera.fx:.0f} pixels, by face size"
    return (
        f"the camera is assumed (focal length {lens}): distances have the same relative error as "
        "the focal length; angles of large faces, and of faces far from the middle, are off by "
        "several degrees; give --camera-info FILE.yaml"
    )
