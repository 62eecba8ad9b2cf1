"""The settings of a web page: who may open its WebSocket."""

from __future__ import annotations

import pytest

from face_perception.errors import InputError
from face_perception.web import WebSettings, ice_servers


def test_origins_are_a_list() -> None:
    settings = WebSettings(web_origins="https://kiosk.local, http://10.0.0.5:3000,http://[::1]:80")
    assert settings.origins == ["https://kiosk.local", "http://10.0.0.5:3000", "http://[::1]:80"]
    assert WebSettings().origins == []


@pytest.mark.parametrize("text", ["https://kiosk.local/", "kiosk.local", "*", "https://a b"])
def test_an_origin_that_no_browser_sends_is_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"web_origins: .* is not an origin: write it as"):
        _ = WebSettings(web_origins=text).origins


@pytest.mark.parametrize(
    ("text", "said"),
    [
        *((one, "write stun:HOST:PORT or turn:USER:PASSWORD@HOST:PORT")
          for one in ("http://a", "stun:", "turn:relay", "stun:u:p@a", "turn:u:s e@a",
                      "turn:secret@a", "turn:robot:secret", "turn:robot:relay@secret@secret",
                      "turn:robot:secret@relay.lab:port", "turn:secret:relay.lab")),
        *((f"turn:robot:secret@relay.lab:{port}", f"has the port {port}: write one from 1 to 65535")
          for port in (0, 65536, 99999)),
    ],
)  # fmt: skip
def test_a_server_that_cannot_be_read_is_named_by_its_number(text: str, said: str) -> None:
    assert len(ice_servers("stun:a:65535,")) == 1
    with pytest.raises(InputError, match=f"web_ice: server 2 of the list .*{said}") as refused:
        ice_servers(f"stun:a:1, {text}")
    assert "secret" not in str(refused.value)
    assert "relay" not in str(refused.value)
