"""Make the picture of smiles taken away: run ``python docs/make_removal_picture.py london/``."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from PIL import Image

from faceflex import load_photo, make_editor
from faceflex.faces.align import warp
from faceflex.photo.grid import captioned_grid

PEOPLE = ("002", "022", "030", "099")
SIDE, ROOM = 200, 6  # Pixels of a cell; pixels of the crop around the crop.


def main() -> None:
    """Draw photo, two strengths and the person's real neutral photo, all aligned."""
    london, editor, rows = Path(sys.argv[1]), make_editor(), []
    scale = SIDE / (128 + 2 * ROOM)
    for person in PEOPLE:
        smiling = load_photo(london / "smiling_front" / f"{person}_08.jpg").rgb
        neutral = load_photo(london / "neutral_front" / f"{person}_03.jpg").rgb
        opened, real = editor.open(smiling), editor.open(neutral)
        shots = [opened.shot(Smiling=s) for s in (-0.5, -1.5)]
        cells = [
            ("photo", smiling, opened),
            *zip(("-0.5", "-1.5"), opened.render(shots), (opened, opened), strict=True),
            ("real neutral photo", neutral, real),
        ]
        row = []
        for caption, picture, own in cells:
            matrix = own.faces[0].matrix.copy()
            matrix[:, 2] += ROOM
            # Twice the size, then halved: photos are larger than cells.
            large, _ = warp(np.asarray(picture), matrix * scale * 2, SIDE * 2)
            row.append((caption, np.asarray(Image.fromarray(large).resize((SIDE, SIDE)))))
        rows.append(row)
    Image.fromarray(captioned_grid(rows)).save("docs/pictures/removed.jpg", quality=78)


if __name__ == "__main__":
    main()
