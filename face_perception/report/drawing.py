"""Sets Matplotlib up, and converts its figures to SVG."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from face_perception.optional_modules import extra

_UNUSED_ID = re.compile(r' id="(?:[a-z]+|[A-Za-z]+Collection|matplotlib\.axis)_\d+"')


def pyplot() -> Any:
    """Returns Matplotlib's pyplot, set to draw SVG. Raises MissingDependencyError without it."""
    with extra("a report", "pip install matplotlib"):
        import matplotlib

        matplotlib.use("svg")
        import matplotlib.pyplot

    # Text stays text: a reader can select it, and a screen reader can read it.
    matplotlib.rcParams.update(
        {
            "svg.fonttype": "none",
            "text.parse_math": False,  # a person may be called "$a$"
            "svg.hashsalt": "face_perception",
            "font.size": 9,
            "font.family": "sans-serif",
            "axes.spines.top": False,
            "axes.spines.right": False,
        }
    )
    return matplotlib.pyplot


def svg_of(figure: Any, description: str) -> str:
    """Returns a figure as an SVG element with a description, and closes it."""
    file = io.StringIO()
    with warnings.catch_warnings():
        # The reader's browser draws the letters, with fonts of its own.
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        figure.savefig(file, format="svg", dpi=150, metadata={"Date": None, "Creator": None})
    pyplot().close(figure)
    text = file.getvalue()
    text = _UNUSED_ID.sub("", text[text.index("<svg") :])
    label = description.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;")
    return text.replace("<svg", f'<svg role="img" aria-label="{label}"', 1)


def curve_figure(
    points: Sequence[tuple[float, float, float, float]],
    *,
    x_label: str,
    y_label: str,
    title: str,
    diagonal: bool = False,
) -> str:
    """Returns a curve with intervals as SVG.

    ``points`` are (x, value, low, high); the ends of an interval may be NaN. ``diagonal`` also
    draws y = x, the ideal of a reliability diagram. Raises MissingDependencyError without
    Matplotlib.
    """
    x, value, low, high = (np.array(column, np.float64) for column in zip(*points, strict=True))
    figure, axes = pyplot().subplots(figsize=(5, 3.2), layout="constrained")
    axes.plot(x, value, "o-", color="#0072B2")
    if np.isfinite(low).any():
        axes.fill_between(x, low, high, color="#0072B2", alpha=0.2, linewidth=0)
    if diagonal:
        axes.plot((0, 1), (0, 1), "--", color="#666666", linewidth=1)
        axes.set(xlim=(0, 1), ylim=(0, 1))
    else:
        axes.set_ylim(bottom=0)
    axes.set(xlabel=x_label, ylabel=y_label, title=title)
    return svg_of(figure, f"{title}: {y_label} against {x_label}")
