"""The limits of events, as options of the commands that find events in results."""

from __future__ import annotations

import argparse
import functools

from face_perception.errors import InputError
from face_perception.event_settings import EventSettings
from face_perception.settings import Setting, settings_of


def add_event_options(parser: argparse.ArgumentParser) -> None:
    """Adds an option for each setting of ``EventSettings``, such as ``--shortest-look 0.2``."""
    group = parser.add_argument_group("limits of events")
    for setting in settings_of(EventSettings):
        group.add_argument(
            f"--{setting.name.replace('_', '-')}",
            type=functools.partial(_value, setting),
            default=setting.default,
            metavar="SECONDS" if setting.unit == "s" else "N",
            help=f"{setting.description} Allowed: {setting.allowed}; default: {setting.default:g}",
        )


def event_settings(args: argparse.Namespace) -> EventSettings:
    """Returns the limits that the options gave."""
    names = [setting.name for setting in settings_of(EventSettings)]
    return EventSettings(**{name: getattr(args, name) for name in names})


def _value(setting: Setting, text: str) -> float:
    try:
        return float(setting.coerce(float(text)))
    except (InputError, ValueError) as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not {setting.expected}") from error
