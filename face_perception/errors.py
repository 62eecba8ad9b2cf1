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
    """A value, file or setting from the user is wrong. It is also a ValueError."""


class UnknownNameError(FacePerceptionError, LookupError):
    """No object has the given name or id. It is also a LookupError."""


class MissingDependencyError(FacePerceptionError, RuntimeError):
    """An optional package or device is missing. The message says how to get it."""
