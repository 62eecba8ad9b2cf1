"""The tables that tools/generate.py writes into the docs from the parameters of the nodes."""

from __future__ import annotations

import pytest

from tools import generate


def test_a_cell_with_a_bar_stays_one_cell() -> None:
    # GitHub and the site treat `\|` in a code span differently, so it is written as HTML.
    assert generate.cell("a | b") == r"a \| b"
    assert generate.cell("`export|quantize` it") == "<code>export&#124;quantize</code> it"
    assert generate.cell("`<a|b>`") == "<code>&lt;a&#124;b&gt;</code>"
    assert generate.cell("`plain` text") == "`plain` text"
    header, _, row = generate.table(("a", "b"), [("`x|y`", "z")])
    assert header.count("|") == row.count("|") == 3


def test_a_bar_in_a_cell_is_shown() -> None:
    markdown = pytest.importorskip("markdown")
    html = markdown.markdown(
        "\n".join(generate.table(("a", "b"), [("`x|y`", "p | q")])), extensions=["tables"]
    )
    assert "<td><code>x&#124;y</code></td>" in html or "<td><code>x|y</code></td>" in html
    assert "<td>p | q</td>" in html
