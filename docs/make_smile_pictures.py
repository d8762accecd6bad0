"""Make the pictures of docs/smile.md: run ``python docs/make_smile_pictures.py``."""

from __future__ import annotations

import numpy as np
from PIL import Image

from faceflex import load_photo, make_editor
from faceflex.assets import resolve
from faceflex.edit.contact_sheet import window
from faceflex.models.face_generator import load_generator
from faceflex.photo.grid import captioned_grid, thumbnail

PEOPLE = ("london-002", "london-123", "portrait", "smile")
DEGREES = (-1.0, -0.5, 0.0, 0.5, 1.0)
SHIFTS = (-0.7, -0.5, 0.5, 0.7)


def save(name: str, picture: np.ndarray, quality: int = 78) -> None:
    """Write a picture as JPEG."""
    Image.fromarray(picture).save(f"docs/pictures/{name}.jpg", quality=quality)


def dial() -> None:
    """Draw people at degrees, and one person's shifts."""
    editor, rows, shifts = make_editor("smile-degree"), [], []
    for name in PEOPLE:
        photo = load_photo(f"examples/{name}.jpg")
        opened = editor.open(photo.rgb)
        crop = window(photo.rgb.shape, [f.face for f in opened.faces])
        (own,) = (code.degree for code in editor.method.encode(opened.faces, photo.rgb))
        shots = [opened.shot(Smile=d) for d in DEGREES]
        pictures = [photo.rgb, *opened.render(shots)]
        captions = [f"photo: {own:+.2f}", *(f"{d:+g}" for d in DEGREES)]
        rows.append([(c, thumbnail(p[crop], 190)) for c, p in zip(captions, pictures, strict=True)])
        if name in ("london-002", "smile"):
            moved = opened.render([opened.shot(Smile_Shift=d) for d in SHIFTS])
            cells = [(f"shifted by {d:+g}", p) for d, p in zip(SHIFTS, moved, strict=True)]
            cells.insert(2, (f"photo: {own:+.2f}", photo.rgb))
            shifts.append([(c, thumbnail(p[crop], 190)) for c, p in cells])
    save("smile-dial", captioned_grid(rows))
    save("smile-shifts", captioned_grid(shifts))


def generated() -> None:
    """Draw faces of nobody, at degrees inside and beyond the trained range."""
    generator = load_generator(resolve("smile-cvae"), resolve("vae"))
    codes = np.float32(0.9) * generator.draw(8, 1)
    for name, degrees in (
        ("smile-generated", (-1.0, -0.5, 0.0, 0.5, 1.0)),
        ("smile-beyond", (-3.0, -0.7, 0.7, 3.0)),
    ):
        rows = []
        for degree in degrees:
            faces = generator.decode(codes, np.full(8, degree, np.float32))
            small = [thumbnail(face, 96) for face in faces]
            rows.append([(f"{degree:+g}" if i == 0 else "", f) for i, f in enumerate(small)])
        save(name, captioned_grid(rows))


if __name__ == "__main__":
    dial()
    generated()
