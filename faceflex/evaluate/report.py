"""The report of an evaluation: JSON with a summary, CSV with every face, and one picture."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from faceflex._version import __version__
from faceflex.edit.contact_sheet import ContactSheet, window
from faceflex.edit.editor import Editor
from faceflex.edit.request import strength_name
from faceflex.errors import PhotoError
from faceflex.evaluate.edits import Row, summarise
from faceflex.evaluate.realism import Realism
from faceflex.faces import Face
from faceflex.photo import write_file

FILES = ("report.json", "report.csv", "report.png")
_SHOWN = 12  # Photos in the picture.


class Report:
    """Collects rows, and writes them.

    Parameters
    ----------
    folder
        Where the three files go.
    attribute, values
        What is measured.
    overwrite
        Replace a report that is there.

    Raises
    ------
    PhotoError
        If there is a report already.
    """

    def __init__(
        self, folder: Path, attribute: str, values: Sequence[float], *, overwrite: bool = False
    ) -> None:
        self.folder, self.attribute, self.values = folder, attribute, list(values)
        self.overwrite = overwrite
        self.rows: list[Row] = []
        self._sheets: list[NDArray[np.uint8]] = []
        for name in FILES:
            if (folder / name).exists() and not overwrite:
                raise PhotoError(f"{folder / name}: exists; use `overwrite` or another `out`")

    def add(
        self,
        rgb: NDArray[np.uint8],
        faces: Sequence[Face],
        measured: Sequence[tuple[Row, NDArray[np.uint8]]],
    ) -> None:
        """Add a photo's rows, and the picture that each belongs to."""
        self.rows += [row for row, _ in measured]
        if len(self._sheets) >= _SHOWN:
            return
        rows, columns = window(rgb.shape, faces)
        sheet = ContactSheet(rgb[rows, columns])
        name = Path(str(measured[0][0]["photo"])).stem
        for strength in self.values:
            shown = [(r, p) for r, p in measured if r["strength"] == strength]
            caption = f"{strength_name(strength)}: " + ", ".join(
                f"score {r['score']:.2f} id {r['identity_distance']:.2f}" for r, _ in shown[:2]
            )
            sheet.add(name, caption, shown[0][1][rows, columns])
        self._sheets.append(sheet.draw())

    def write(
        self, editor: Editor, landmarks: str, realism: Mapping[float, Realism] | None = None
    ) -> dict[str, Any]:
        """Write the three files, each whole or not at all; return the summary.

        Parameters
        ----------
        editor
            What edited.
        landmarks
            Name of the landmark predictor that measured.
        realism
            By strength, where it was measured.
        """
        summary = {
            "faceflex": __version__,
            "attribute": self.attribute,
            "method": editor.method.name,
            "mode": editor.composer.mode,
            "models": dict(editor.method.fingerprints),
            "landmarks": landmarks,
            "photos": len({r["photo"] for r in self.rows}),
            **summarise(self.rows),
        }
        for line in summary["strengths"] if realism else ():
            line["realism"] = (realism or {})[line["strength"]].as_dict()
        text = io.StringIO()
        writer = csv.DictWriter(text, list(self.rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        content = (
            (json.dumps(summary, indent=1) + "\n").encode(),
            text.getvalue().encode(),
            _png(self._sheets),
        )
        for name, data in zip(FILES, content, strict=True):
            write_file(self.folder / name, data, overwrite=self.overwrite)
        return summary


def _png(sheets: Sequence[NDArray[np.uint8]]) -> bytes:
    """Stack sheets of different widths on white."""
    width = max(s.shape[1] for s in sheets)
    padded = [
        np.pad(s, ((0, 0), (0, width - s.shape[1]), (0, 0)), constant_values=255) for s in sheets
    ]
    buffer = io.BytesIO()
    Image.fromarray(np.concatenate(padded)).save(buffer, "PNG")
    return buffer.getvalue()
