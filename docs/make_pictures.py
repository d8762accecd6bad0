"""Make the pictures of docs/: run ``python docs/make_pictures.py`` from the project's folder."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from faceflex import Editor, load_photo
from faceflex.attributes import carry
from faceflex.plots import ContactSheet, thumbnail, window

EXAMPLES, OUT = Path("examples"), Path("docs/pictures")
ATTRIBUTES = ("Smiling", "Young", "Male", "Mustache", "Eyeglasses")
VALUES = (-2.0, -1.0, 1.0, 2.0)


def photos() -> Iterable[tuple[str, NDArray[np.uint8]]]:
    """Yield the gallery's photos by name."""
    from skimage import data

    yield "astronaut", np.ascontiguousarray(data.astronaut())
    for name in ("portrait", "london-002", "london-012", "london-123", "three-people"):
        yield name, load_photo(EXAMPLES / f"{name}.jpg").rgb


def save(name: str, picture: NDArray[np.uint8]) -> None:
    """Write a picture as JPEG."""
    Image.fromarray(picture).save(OUT / f"{name}.jpg", quality=82)


def gallery(editor: Editor) -> None:
    """One sheet a photo: a row an attribute, a column a strength."""
    for name, rgb in photos():
        faces = editor.find_faces(rgb)
        prepared = editor.prepare(rgb, faces)
        rows, columns = window(rgb.shape, faces)
        sheet = ContactSheet(rgb[rows, columns])
        for attribute in ATTRIBUTES:
            shifts = np.stack([editor.direction({attribute: v}) for v in VALUES])
            carries = [carry({attribute: v}) for v in VALUES]
            pictures = editor.render(rgb, prepared, shifts, carries)
            for value, picture in zip(VALUES, pictures, strict=True):
                sheet.add(attribute, f"{attribute} {value:g}", picture[rows, columns])
        save(f"gallery-{name}", sheet.draw())


def before_after(editor: Editor) -> None:
    """The README's picture: two people before and after."""
    pairs = []
    for name in ("portrait", "london-012"):
        rgb = load_photo(EXAMPLES / f"{name}.jpg").rgb
        faces = editor.find_faces(rgb)
        (after,) = editor.render(
            rgb, editor.prepare(rgb, faces), editor.direction({"Smiling": 1.5})[None]
        )
        rows, columns = window(rgb.shape, faces)
        pairs += [thumbnail(p[rows, columns], 380) for p in (rgb, after)]
    height = min(p.shape[0] for p in pairs)
    save("before-after", np.hstack([p[:height] for p in pairs]))


def samples(editor: Editor) -> None:
    """Five versions of a smile, and the plain paste for comparison."""
    rgb = load_photo(EXAMPLES / "portrait.jpg").rgb
    faces = editor.find_faces(rgb)
    prepared = editor.prepare(rgb, faces)
    rows, columns = window(rgb.shape, faces)
    sheet = ContactSheet(rgb[rows, columns])
    versions = editor.vectors.sample("Smiling", 5)
    for number, picture in enumerate(editor.render(rgb, prepared, 1.5 * versions), start=1):
        sheet.add("five versions", f"sample {number}, strength 1.5", picture[rows, columns])
    plain = Editor(method="paste")
    values = (0.1, 0.5, 1.0, 1.5, 2.0)
    shifts = np.stack([plain.direction({"Smiling": v}) for v in values])
    for value, picture in zip(values, plain.render(rgb, prepared, shifts), strict=True):
        sheet.add("--no-detail", f"pasted, strength {value:g}", picture[rows, columns])
    save("samples-and-paste", sheet.draw())


def main() -> None:
    """Make them all."""
    OUT.mkdir(exist_ok=True)
    editor = Editor()
    gallery(editor)
    before_after(editor)
    samples(editor)


if __name__ == "__main__":
    main()
