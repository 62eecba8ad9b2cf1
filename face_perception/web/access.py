"""Decides who may see a page: by address, password, and the origin of another page."""

from __future__ import annotations

import ipaddress
import os
import socket
from collections.abc import Sequence
from urllib.parse import urlsplit

from face_perception.errors import InputError
from face_perception.outside_files import MOST_TEXT, one_error, read_bytes


def read_web_token(path: str | os.PathLike[str]) -> str:
    """Returns the first line of a file, the password of the page.

    Raises InputError if the file cannot be read. Its message never quotes the file.
    """
    name = os.fspath(path)
    with one_error(f"web_token_file {name}", "write the password into its first line"):
        lines = read_bytes(os.path.expanduser(name), MOST_TEXT).decode().splitlines()
        token = lines[0].strip()
        if not token:
            raise InputError("its first line is empty")
    return token


def is_loopback(host: str) -> bool:
    """Returns whether a server on this address can be reached from this computer only.

    >>> is_loopback("127.0.0.1"), is_loopback("localhost"), is_loopback("0.0.0.0")
    (True, True, False)
    """
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def origin_allowed(origin: str, host: str, origins: Sequence[str] = ()) -> bool:
    """Returns whether a page with this Origin header may watch a server with this Host header.

    The server's own page may, if the server was called by an IP address or the computer's own name.
    Under any other name the page could belong to somebody else (DNS rebinding). The ``origins``
    may, too.
    """
    if origin in origins:
        return True
    try:
        page = urlsplit(origin)
    except ValueError:
        return False
    if page.scheme not in ("http", "https") or not page.hostname or page.netloc != host:
        return False
    own = socket.gethostname().lower()
    if page.hostname in ("localhost", own, own.split(".")[0], f"{own.split('.')[0]}.local"):
        return True
    try:
        ipaddress.ip_address(page.hostname)
    except ValueError:
        return False
    return True
