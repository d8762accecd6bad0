"""What a training writes beside its state: loss table and curves, samples, and a GIF of them."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from faceflex.files import atomic_write
from faceflex.photo.grid import captioned_grid, make_grid

_PANEL, _COLUMNS, _POINTS, _FRAMES = (320, 160), 3, 200, 80


class TrainingLog:
    """``losses.csv``, ``losses.png``, ``samples.png`` and ``training.gif`` in a folder.

    Parameters
    ----------
    folder
        Where.
    step
        Steps done so far; rows that a stopped run wrote after them are dropped.
    """

    def __init__(self, folder: Path, step: int) -> None:
        self.folder, self.table = folder, folder / "losses.csv"
        if self.table.is_file():
            lines = self.table.read_text().splitlines(keepends=True)
            kept = [r for r in lines[1:] if r.endswith("\n") and int(r.split(",")[0]) < step]
            with atomic_write(self.table) as temporary:
                temporary.write_text("".join(lines[:1] + kept))
        self._file = self.table.open("a", newline="")
        self._writer = csv.writer(self._file, lineterminator="\n")

    def __enter__(self) -> TrainingLog:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def flush(self) -> None:
        """Write the rows so far; before a state that comes after them is saved."""
        self._file.flush()

    def row(self, step: int, values: Mapping[str, float]) -> None:
        """Add the loss terms of a step."""
        if self._file.tell() == 0:
            self._writer.writerow(["step", *values])
        self._writer.writerow([step, *(f"{v:.6g}" for v in values.values())])

    def pictures(self, step: int, samples: Sequence[NDArray[np.uint8]]) -> None:
        """Write curves, samples and GIF; each row of samples is (n, S, S, 3) uint8."""
        self.flush()
        with self.table.open(newline="") as file:
            head, *rows = csv.reader(file)
        if rows:
            values = np.array(rows, np.float64)
            curves = {name: values[:, i] for i, name in enumerate(head) if i}
            with atomic_write(self.folder / "losses.png") as temporary:
                Image.fromarray(draw_curves(curves)).save(temporary)
        if not samples:
            return
        with atomic_write(self.folder / "samples.png") as temporary:
            Image.fromarray(make_grid(samples)).save(temporary)
        frames = self.folder / "frames"
        frames.mkdir(exist_ok=True)
        with atomic_write(frames / f"{step:08d}.png") as temporary:
            Image.fromarray(make_grid([row[:6] for row in samples])).save(temporary)
        save_gif(sorted(frames.glob("*.png")), self.folder / "training.gif")


def save_gif(frames: Sequence[Path], path: Path) -> None:
    """Write an animation of at most 80 of the pictures ``frames``, evenly chosen."""
    pictures = []
    for frame in frames[:: math.ceil(len(frames) / _FRAMES)]:
        with Image.open(frame) as picture:
            pictures.append(picture.convert("P", palette=Image.Palette.ADAPTIVE))
    with atomic_write(path) as temporary:
        first, *rest = pictures
        first.save(temporary, save_all=True, append_images=rest, duration=150, loop=0)


def draw_curves(curves: Mapping[str, NDArray[np.floating]]) -> NDArray[np.uint8]:
    """Draw one panel for each curve (N,), averaged to 200 points; return (H, W, 3) uint8."""
    (width, height), panels = _PANEL, []
    for name, values in curves.items():
        means = np.array(
            [part.mean() for part in np.array_split(values, min(_POINTS, len(values)))]
        )
        low, high = float(means.min()), float(means.max())
        x = 10 + (width - 20) * (np.arange(len(means)) + 0.5) / len(means)
        y = height - 10 - (height - 20) * (means - low) / max(high - low, 1e-12)
        panel = Image.new("RGB", _PANEL, "white")
        line = [*zip(x.tolist(), y.tolist(), strict=True)]
        ImageDraw.Draw(panel).line(line, fill="#1f5fa8", width=2)
        panels.append((f"{name}: {low:.4g} to {high:.4g}", np.array(panel)))
    return captioned_grid([panels[i : i + _COLUMNS] for i in range(0, len(panels), _COLUMNS)])
