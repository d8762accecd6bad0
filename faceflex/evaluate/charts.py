"""Small charts as pictures: heat maps, bars with intervals, curves."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

_BLUE, _GRAY, _TEXT = (31, 95, 168), (190, 196, 204), (40, 40, 40)
_ROW, _LABEL, _BAR = 20, 210, 360

Picture = NDArray[np.uint8]


def heat_map(table: NDArray[np.floating], title: str, *, side: int = 640) -> Picture:
    """Draw a table (rows, columns) as a heat map, its rows from the top; (H, W, 3) uint8."""
    low, high = float(table.min()), float(table.max())
    gray = np.uint8(np.round(255 * (table - low) / max(high - low, 1e-12)))
    scale = max(1, side // max(table.shape))
    width, height = max(520, table.shape[1] * scale), max(120, table.shape[0] * scale)
    large = cv2.resize(gray, (width, height), interpolation=cv2.INTER_NEAREST)
    colored = cv2.cvtColor(cv2.applyColorMap(large, cv2.COLORMAP_INFERNO), cv2.COLOR_BGR2RGB)
    return _titled(colored, f"{title}: {low:.3g} (dark) to {high:.3g} (light)")


def histograms(values: NDArray[np.floating], names: Sequence[str], *, columns: int = 5) -> Picture:
    """Draw the histogram of each column of (N, K) values; (H, W, 3) uint8."""
    from faceflex.photo.grid import captioned_grid

    edges = np.linspace(-4, 4, 41)
    cells = []
    for name, column in zip(names, values.T, strict=True):
        counts, _ = np.histogram(np.clip(column, -4, 4), edges)
        panel = Image.new("RGB", (160, 90), "white")
        draw = ImageDraw.Draw(panel)
        for i, share in enumerate(counts / max(counts.max(), 1)):
            draw.rectangle((4 * i, 89 - 85 * share, 4 * i + 3, 89), fill=_BLUE)
        draw.line((80, 0, 80, 89), fill=_GRAY)
        cells.append((name, np.array(panel)))
    return captioned_grid([cells[i : i + columns] for i in range(0, len(cells), columns)])


def bars(
    rows: Sequence[tuple[str, float, float, float]],
    title: str,
    *,
    low: float = 0.0,
    high: float = 1.0,
) -> Picture:
    """Draw a bar with an interval for each row.

    Parameters
    ----------
    rows
        Label, value, lower and upper end of its interval.
    title
        Above the chart.
    low, high
        The ends of the axis; bars start at 0 where that lies between them.

    Returns
    -------
    (H, W, 3) uint8.
    """

    def x(value: float) -> float:
        return _LABEL + _BAR * (min(max(value, low), high) - low) / (high - low)

    picture = Image.new("RGB", (_LABEL + _BAR + 70, _ROW * len(rows) + 8), "white")
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(12)
    start = x(0.0)
    for i, (label, value, lower, upper) in enumerate(rows):
        y = 4 + _ROW * i
        draw.text((6, y + 2), label, fill=_TEXT, font=font)
        draw.rectangle((*sorted((start, x(value)))[:1], y + 3, max(start, x(value)), y + 15),
                       fill=_BLUE)  # fmt: skip
        draw.line((x(lower), y + 9, x(upper), y + 9), fill=_TEXT, width=2)
        draw.text((_LABEL + _BAR + 8, y + 2), f"{value:.2f}", fill=_TEXT, font=font)
    return _titled(np.array(picture), title)


def _titled(picture: Picture, title: str) -> Picture:
    from faceflex.photo.grid import captioned_grid

    return captioned_grid([[(title, picture)]])
