"""Errors that are meant for people: their message names the problem and the fix.

The command line and the nodes print such a message as one line. Any other exception is a fault of
this package, and they print its traceback.
"""

from __future__ import annotations

import errno
import reprlib

_QUOTED = 80  # characters of a value in a message
# Errors of any file that is opened: it is not to blame.
_LIMITS = {
    errno.EMFILE: "this process has too many files open: raise the limit with `ulimit -n 65536`",
    errno.ENFILE: "this machine has too many files open: close other programs",
}


class FacePerceptionError(Exception):
    """The base class of all errors that are meant for people.

    >>> from face_perception.errors import FacePerceptionError
    >>> from face_perception.inference import load
    >>> try:
    ...     load("no_such_model")
    ... except FacePerceptionError as error:
    ...     print("no_such_model" in str(error), "face-perception import" in str(error))
    True True
    """


class InputError(FacePerceptionError, ValueError):
    """A value, file or setting from the user is wrong. It is also a ValueError.

    >>> from face_perception.types import Camera
    >>> try:
    ...     Camera(640, 480, fx=0.0, fy=600.0, cx=320.0, cy=240.0)
    ... except InputError as error:
    ...     print(error)
    camera focal lengths must be positive, not fx=0.0, fy=600.0: calibrate the camera
    """


class UnknownNameError(FacePerceptionError, LookupError):
    """No object has the given name or id. It is also a LookupError.

    >>> from face_perception.people import face_target
    >>> try:
    ...     face_target("face_7").locate({})  # no face is tracked
    ... except UnknownNameError as error:
    ...     print(error)
    face_7 is not seen; seen: nobody
    """


class MissingDependencyError(FacePerceptionError, RuntimeError):
    """An optional package or device is missing. The message says how to get it.

    >>> from face_perception.optional_modules import extra
    >>> try:
    ...     with extra("a web page", "pip install websockets"):
    ...         raise ImportError(name="websockets")  # stands for `import websockets`
    ... except MissingDependencyError as error:
    ...     print(error)
    a web page needs websockets: pip install websockets
    """


def shortened(value: object, length: int = _QUOTED) -> str:
    """Returns the ``repr`` of a value for a message, cut to ``length`` characters.

    Use it for every value that comes from a file or from the network. The time and memory it takes
    do not depend on the size of the value, unlike those of ``repr``: a list may contain itself, or
    another list a billion times.

    >>> shortened("a" * 1000, 20)
    "'aaaaaaa...aaaaaaaa'"
    >>> shortened(3)
    '3'
    """
    cut = reprlib.Repr()
    cut.maxlevel, cut.maxstring, cut.maxother, cut.maxlong = 3, length, length, length
    try:
        text = cut.repr(value)
    except Exception:  # a number of more digits than Python prints, or a faulty __repr__
        text = f"a value of type {type(value).__name__}"
    return text if len(text) <= length else f"{text[: length - 1]}…"


def one_line(text: object, length: int = 200) -> str:
    """Returns a text, such as the message of another library, as one line of limited length.

    >>> one_line("expected a mapping\\n  in line 3")
    'expected a mapping in line 3'
    """
    line = " ".join(str(text).split())
    return line if len(line) <= length else f"{line[: length - 1]}…"


def machine_limit(error: BaseException | None) -> str:
    """Returns the limit of the machine that an error, or its cause, hit, with the fix; else "".

    Then no file is to blame, and none may be left out because of it.

    >>> machine_limit(OSError(24, "Too many open files", "a.mcap"))
    'this process has too many files open: raise the limit with `ulimit -n 65536`'
    """
    while error is not None:
        if isinstance(error, OSError) and error.errno in _LIMITS:
            return _LIMITS[error.errno]
        error = error.__cause__ or error.__context__
    return ""


def error_text(error: Exception) -> str:
    """Returns an error that is meant for people as one text, with the file of an OSError.

    >>> error_text(FileNotFoundError(2, "No such file or directory", "clip.mp4"))
    'clip.mp4: No such file or directory'
    """
    if not isinstance(error, OSError) or error.filename is None:
        return str(error)
    if not error.filename:
        return f"the name of a file is empty: {error.strerror}"
    if limit := machine_limit(error):
        return f"{error.filename} cannot be opened: {limit}"
    text = f"{error.filename}: {error.strerror}"
    if error.errno == errno.EACCES:
        text += ": change the permissions of it or of its folder, or choose another place"
    elif error.errno in (errno.EEXIST, errno.ENOTDIR):
        text += ": a folder is needed here; choose another place"
    return text
