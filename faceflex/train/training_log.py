"""What a training writes beside its state: loss table and curves, samples, and a film of them."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from faceflex.edit.contact_sheet import tile
from faceflex.files import atomic_write

_PANEL, _COLUMNS, _POINTS, _FRAMES = (320, 180), 3, 200, 80


class TrainingLog:
    """Keeps ``losses.csv``, ``losses.png``, ``samples.png`` and ``training.gif`` in a folder.

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
            whole = [r for r in lines[1:] if r.endswith("\n") and int(r.split(",")[0]) < step]
            with atomic_write(self.table) as temporary:
                temporary.write_text("".join(lines[:1] + whole))
        self._file = self.table.open("a", newline="")
        self._writer = csv.writer(self._file)

    def __enter__(self) -> TrainingLog:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def flush(self) -> None:
        """Write the rows so far; before a state that comes after them is saved."""
        self._file.flush()

    def row(self, step: int, terms: dict[str, float]) -> None:
        """Add the loss terms of a step."""
        if self._file.tell() == 0:
            self._writer.writerow(["step", *terms])
        self._writer.writerow([step, *(f"{v:.6g}" for v in terms.values())])

    def pictures(self, step: int, faces: NDArray[np.uint8], decoded: NDArray[np.uint8]) -> None:
        """Write samples, curves and film; (N, S, S, 3) uint8 faces and what became of them."""
        self.flush()
        with atomic_write(self.folder / "samples.png") as temporary:
            Image.fromarray(tile([faces, decoded])).save(temporary)
        frames = self.folder / "frames"
        frames.mkdir(exist_ok=True)
        with atomic_write(frames / f"{step:08d}.png") as temporary:
            Image.fromarray(tile([faces[:6], decoded[:6]])).save(temporary)
        self._film(sorted(frames.glob("*.png")))
        with self.table.open(newline="") as file:
            head, *rows = csv.reader(file)
        if rows:
            values = np.array(rows, np.float64)
            curves = {name: values[:, i] for i, name in enumerate(head) if i}
            with atomic_write(self.folder / "losses.png") as temporary:
                draw_curves(values[:, 0], curves).save(temporary)

    def _film(self, frames: list[Path]) -> None:
        """Write ``training.gif`` from at most 80 of the frames."""
        chosen = frames[:: math.ceil(len(frames) / _FRAMES)]
        pictures = []
        for path in chosen:
            with Image.open(path) as frame:
                pictures.append(frame.convert("P", palette=Image.Palette.ADAPTIVE))
        with atomic_write(self.folder / "training.gif") as temporary:
            first, *rest = pictures
            first.save(temporary, save_all=True, append_images=rest, duration=150, loop=0)


def draw_curves(
    steps: NDArray[np.floating], curves: Mapping[str, NDArray[np.floating]]
) -> Image.Image:
    """Draw one panel for each curve, over the steps (N,), averaged to 200 points."""
    width, height = _PANEL
    rows = math.ceil(len(curves) / _COLUMNS)
    sheet = Image.new("RGB", (width * min(_COLUMNS, len(curves)), height * rows), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(12)
    parts = np.array_split(np.arange(len(steps)), min(_POINTS, len(steps)))
    for number, (name, values) in enumerate(curves.items()):
        left, top = number % _COLUMNS * width, number // _COLUMNS * height
        means = np.array([values[p].mean() for p in parts])
        low, high = float(means.min()), float(means.max())
        x = left + 10 + (width - 20) * (np.arange(len(means)) + 0.5) / len(means)
        y = top + height - 24 - (height - 50) * (means - low) / max(high - low, 1e-12)
        draw.line([*zip(x.tolist(), y.tolist(), strict=True)], fill="#1f5fa8", width=2)
        draw.text((left + 10, top + 4), f"{name}: {low:.4g} to {high:.4g}", "black", font)
        draw.text((left + 10, top + height - 18), f"step {steps[-1]:.0f}", "gray", font)
    return sheet
