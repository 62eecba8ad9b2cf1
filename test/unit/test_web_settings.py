"""The settings of a web page: who may open its WebSocket."""

from __future__ import annotations

import pytest

from face_perception.errors import InputError
from face_perception.web import WebSettings


def test_origins_are_a_list() -> None:
    settings = WebSettings(web_origins="https://kiosk.local, http://10.0.0.5:3000,http://[::1]:80")
    assert settings.origins == ["https://kiosk.local", "http://10.0.0.5:3000", "http://[::1]:80"]
    assert WebSettings().origins == []


@pytest.mark.parametrize("text", ["https://kiosk.local/", "kiosk.local", "*", "https://a b"])
def test_an_origin_that_no_browser_sends_is_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"web_origins: .* is not an origin: write it as"):
        _ = WebSettings(web_origins=text).origins
