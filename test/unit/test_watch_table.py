"""Tests the table of `face-perception watch`."""

from __future__ import annotations

import io

from overlay_scene import face
from rich.console import Console

from face_perception.bringup import live_table
from face_perception.bringup.live_table import GraphSnapshot


def test_the_table_shows_an_id_as_it_is() -> None:
    """Rich would read this id as markup."""
    shown = io.StringIO()
    snapshot = GraphSnapshot(faces=[face("face[/bold]_1")])
    Console(file=shown, width=200).print(live_table.render_table(snapshot))
    assert "face[/bold]_1" in shown.getvalue()
