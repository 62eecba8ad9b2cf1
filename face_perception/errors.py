"""Errors whose message tells a person what is wrong and how to fix it.

The command line and the nodes print such a message as one line. Any other exception is a fault of
this package: they print its traceback.
"""


class FacePerceptionError(Exception):
    """The base of all errors that are meant for people.

    Example::

        from face_perception.errors import FacePerceptionError
        from face_perception.inference import load

        try:
            model = load("no_such_model")
        except FacePerceptionError as error:
            print(error)  # names the model and the fix
    """


class InputError(FacePerceptionError, ValueError):
    """A value, a file or a setting that the user gave is wrong."""


class UnknownNameError(FacePerceptionError, LookupError):
    """Nothing is known under the given name or id."""


class MissingDependencyError(FacePerceptionError, RuntimeError):
    """An optional package or device is not there; the message tells how to get it."""
