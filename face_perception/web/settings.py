"""Settings of a web page, shared by the nodes that have one."""

from __future__ import annotations

import re
from dataclasses import dataclass

from face_perception.errors import InputError, shortened
from face_perception.settings import setting
from face_perception.web.access import read_web_token

_LAST_PORT = 65_535
_SERVER = re.compile(
    r"(stun|turns?):(?:([^:@,\s]+):([^@,\s]+)@)?([\w.-]+(?::(\d{1,5}))?)", re.ASCII
)
_ORIGIN = re.compile(r"https?://(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(:\d{1,5})?")


def ice_servers(text: str) -> list[dict[str, str]]:
    """Returns the servers in a text, as browsers take them (RTCIceServer).

    Raises InputError for one that is not stun:HOST:PORT or turn:USER:PASSWORD@HOST:PORT. It names
    the number of the server, because the text has passwords.

    >>> ice_servers("stun:10.0.0.5:3478, turn:robot:secret@relay.lab")
    ... # doctest: +NORMALIZE_WHITESPACE
    [{'urls': 'stun:10.0.0.5:3478'},
     {'urls': 'turn:relay.lab', 'username': 'robot', 'credential': 'secret'}]
    """
    made = []
    for number, one in enumerate(filter(None, (part.strip() for part in text.split(","))), 1):
        found = _SERVER.fullmatch(one)
        if not found or (found[1] == "stun") != (found[2] is None):
            raise InputError(
                f"web_ice: server {number} of the list cannot be read: write stun:HOST:PORT or "
                "turn:USER:PASSWORD@HOST:PORT, without comma, @ or space in USER and PASSWORD"
            )
        if not 0 < int(found[5] or 1) <= _LAST_PORT:
            raise InputError(
                f"web_ice: server {number} of the list has the port {found[5]}: write one from 1 "
                f"to {_LAST_PORT}"
            )
        server = {"urls": f"{found[1]}:{found[4]}"}
        if found[2] is not None:
            server |= {"username": found[2], "credential": found[3]}
        made.append(server)
    return made


@dataclass(frozen=True)
class WebSettings:
    """Where a page is served, and who may see it."""

    web_host: str = setting(
        "127.0.0.1",
        "Address on which the web page is served. 127.0.0.1: to this computer only. 0.0.0.0: to "
        "every computer on the network.",
    )
    web_token: str = setting(
        "",
        "Password that a browser must give as http://HOST:PORT/?token=PASSWORD, at least 8 letters "
        "or digits. Empty: none on this computer only; for other computers the node makes a random "
        "one and logs the address. Every program of the ROS domain can read a parameter, and every "
        "user of the computer a command line: use web_token_file instead.",
    )
    web_token_file: str = setting(
        "",
        "File whose first line is the password, instead of web_token. Let only the user of the "
        "node read it (chmod 600).",
    )
    web_origins: str = setting(
        "",
        "Origins of other web pages that may show this page, separated by commas, such as "
        "https://kiosk.local.",
    )

    @property
    def origins(self) -> list[str]:
        """The origins as a list.

        Raises InputError for one that no browser sends, such as an address with a path.
        """
        found = [text.strip() for text in self.web_origins.split(",") if text.strip()]
        for origin in found:
            if not _ORIGIN.fullmatch(origin):
                raise InputError(
                    f"web_origins: {shortened(origin)} is not an origin: write it as "
                    "https://kiosk.local or http://10.0.0.5:3000, without a / at its end"
                )
        return found

    def token(self) -> str:
        """Returns the password that was chosen, empty if none was.

        Raises InputError if two are, or if the file cannot be read.
        """
        if self.web_token and self.web_token_file:
            raise InputError("both web_token and web_token_file are set: set one of them")
        return read_web_token(self.web_token_file) if self.web_token_file else self.web_token
