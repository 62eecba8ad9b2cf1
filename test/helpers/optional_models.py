"""Skips tests of optional models that were not fetched. `make test` fetches them."""

from __future__ import annotations

import pytest

from face_perception.inference import find_card


def needs_model(name: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(
        find_card(name).left_out, reason=f"needs `face-perception models fetch {name}`"
    )
