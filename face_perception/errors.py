"""Errors that are meant for people: their message names the problem and the fix.

The command line and the nodes print such a message as one line. Any other exception is a fault of
this package, and they print its traceback.
"""


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

    >>> from face_perception.commands.optional_modules import extra
    >>> try:
    ...     with extra("a web page", "pip install websockets"):
    ...         raise ImportError(name="websockets")  # stands for `import websockets`
    ... except MissingDependencyError as error:
    ...     print(error)
    a web page needs websockets: pip install websockets
    """
