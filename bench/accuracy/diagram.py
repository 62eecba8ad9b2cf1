"""The reliability diagram of docs/trust.md as SVG: stated probability against observed share."""

from __future__ import annotations

import html
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

_SIDE, _MARGIN, _KEY = 320, 52, 22  # of the plot, its margins, and a line of the key; pixels
_COLOURS = ("#1f6fb4", "#d1640f", "#2c8a3d", "#8a4fb0")

Bins = Sequence[Mapping[str, float]]


def series_of(details: Mapping[str, Any], name: str = "") -> Iterator[tuple[str, Bins]]:
    """Yields each list of bins (``said``, ``seen``, ``n``) in a run's details, with its name."""
    for key, value in details.items():
        label = f"{name}: {key}" if name else key
        if isinstance(value, Mapping):
            yield from series_of(value, label)
        elif isinstance(value, list) and value and all(_is_bin(item) for item in value):
            yield label, value


def _is_bin(item: Any) -> bool:
    return isinstance(item, Mapping) and {"said", "seen", "n"} <= set(item)


def reliability_svg(series: Mapping[str, Bins]) -> str:
    """Draws one curve for each series, the diagonal of perfect calibration, and a key.

    Larger dots stand for bins with more samples.
    """
    height = _SIDE + 2 * _MARGIN + _KEY * len(series)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_SIDE + 2 * _MARGIN + 60}" '
        f'height="{height}" font-family="sans-serif" font-size="13" fill="#333">',
        '<rect width="100%" height="100%" fill="white"/>',
        *_axes(),
    ]
    for index, (label, bins) in enumerate(series.items()):
        colour = _COLOURS[index % len(_COLOURS)]
        points = [(_x(b["said"]), _y(b["seen"]), b["n"]) for b in bins]
        line = " ".join(f"{x:.1f},{y:.1f}" for x, y, _ in points)
        parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>')
        most = max(n for _, _, n in points)
        parts += [
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{2 + 5 * math.sqrt(n / most):.1f}" '
            f'fill="{colour}"/>'
            for x, y, n in points
        ]
        y = _SIDE + 2 * _MARGIN + _KEY * index
        parts.append(f'<circle cx="{_MARGIN}" cy="{y - 4}" r="5" fill="{colour}"/>')
        parts.append(f'<text x="{_MARGIN + 12}" y="{y}">{html.escape(label)}</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def _axes() -> list[str]:
    parts = [
        f'<rect x="{_MARGIN}" y="{_MARGIN / 2}" width="{_SIDE}" height="{_SIDE}" fill="none" '
        'stroke="#999"/>',
        f'<line x1="{_x(0)}" y1="{_y(0)}" x2="{_x(1)}" y2="{_y(1)}" stroke="#999" '
        'stroke-dasharray="4 4"/>',
        f'<text x="{_x(0.5)}" y="{_y(0) + 36}" text-anchor="middle">stated probability</text>',
        f'<text transform="translate(14 {_y(0.5)}) rotate(-90)" text-anchor="middle">'
        "observed share</text>",
    ]
    for tick in (0, 0.25, 0.5, 0.75, 1):
        parts.append(f'<text x="{_x(tick)}" y="{_y(0) + 17}" text-anchor="middle">{tick:g}</text>')
        parts.append(f'<text x="{_x(0) - 6}" y="{_y(tick) + 4}" text-anchor="end">{tick:g}</text>')
    return parts


def _x(share: float) -> float:
    return _MARGIN + _SIDE * share


def _y(share: float) -> float:
    return _MARGIN / 2 + _SIDE * (1 - share)
