"""Make the pictures of docs/: run ``python docs/make_pictures.py`` from the project's folder."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from faceflex import Editor, load_photo
from faceflex.edit.contact_sheet import ContactSheet, thumbnail, tile, window
from faceflex.edit.stages import explain
from faceflex.edit.stages import sheet as sheet_of
from faceflex.faces import find_faces
from faceflex.faces.align import align
from faceflex.models.checkpoint import load_vae
from faceflex.models.codec import decode_faces, encode_faces

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
    Image.fromarray(picture).save(OUT / f"{name}.jpg", quality=78)


def gallery(editor: Editor) -> None:
    """One sheet a photo: a row an attribute, a column a strength."""
    for name, rgb in photos():
        faces = editor.find_faces(rgb)
        prepared = editor.prepare(rgb, faces)
        rows, columns = window(rgb.shape, faces)
        sheet = ContactSheet(rgb[rows, columns])
        for attribute in ATTRIBUTES:
            edits = [editor.edit_of({attribute: v}) for v in VALUES]
            pictures = editor.render(rgb, prepared, edits)
            for value, picture in zip(VALUES, pictures, strict=True):
                sheet.add(attribute, f"{attribute} {value:g}", picture[rows, columns])
        save(f"gallery-{name}", sheet.draw())


def smiled(editor: Editor, rgb: NDArray[np.uint8], strength: float) -> NDArray[np.uint8]:
    """Return a photo with more of a smile, or less."""
    prepared = editor.prepare(rgb, editor.find_faces(rgb))
    return next(editor.render(rgb, prepared, [editor.edit_of({"Smiling": strength})]))


def before_after(editor: Editor) -> None:
    """The README's picture: people before and after."""
    pairs = []
    for name, strength in (("portrait", 1.5), ("london-012", 1.5), ("smile", -1.25)):
        rgb = load_photo(EXAMPLES / f"{name}.jpg").rgb
        rows, columns = window(rgb.shape, editor.find_faces(rgb))
        after = smiled(editor, rgb, strength)
        pairs += [thumbnail(p[rows, columns], 300) for p in (rgb, after)]
    height = min(p.shape[0] for p in pairs)
    save("before-after", np.hstack([p[:height] for p in pairs]))


def closing(editor: Editor) -> None:
    """A smile taken away, and opened wider."""
    rgb = load_photo(EXAMPLES / "smile.jpg").rgb
    rows, columns = window(rgb.shape, editor.find_faces(rgb))
    sheet = ContactSheet(rgb[rows, columns])
    for strength in (-2.0, -1.5, -1.0, -0.5, 0.5, 1.0):
        sheet.add("", f"Smiling {strength:g}", smiled(editor, rgb, strength)[rows, columns])
    save("closing", sheet.draw())


def stages(editor: Editor) -> None:
    """Each stage of an edit, for an opening and a closing mouth."""
    for name, strength in (("portrait", 1.5), ("smile", -1.25)):
        rgb = load_photo(EXAMPLES / f"{name}.jpg").rgb
        (face,) = editor.prepare(rgb, editor.find_faces(rgb))
        settings = {"Smiling": strength}
        found = explain(editor, rgb, face, editor.edit_of(settings))
        save(f"stages-{name}", sheet_of(found))


def methods() -> None:
    """One smile, put into the photo in three ways."""
    rgb = load_photo(EXAMPLES / "london-002.jpg").rgb
    sheet = None
    for method, label in (
        ("paste", "decode pasted"),
        ("difference", "difference added"),
        ("transfer", "faceflex"),
    ):
        editor = Editor(method=method)
        rows, columns = window(rgb.shape, editor.find_faces(rgb))
        sheet = sheet or ContactSheet(rgb[rows, columns])
        for strength in (1.0, 1.5):
            picture = smiled(editor, rgb, strength)
            sheet.add("", f"{label}, {strength:g}", picture[rows, columns])
    assert sheet is not None
    save("methods", sheet.draw())


def sizes(editor: Editor) -> None:
    """The same face at 40 and at 2000 pixels, smiling: what is shown is cut out at each size."""
    rgb = load_photo(EXAMPLES / "portrait.jpg").rgb
    width = editor.find_faces(rgb)[0].width
    cells = []
    for wanted in (40, 2000):
        scale = wanted / width
        method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
        photo = cv2.resize(rgb, None, fx=scale, fy=scale, interpolation=method)
        rows, columns = window(photo.shape, editor.find_faces(photo))
        for picture in (photo, smiled(editor, photo, 1.5)):
            cell = np.ascontiguousarray(picture[rows, columns])
            method = cv2.INTER_AREA if cell.shape[0] > 360 else cv2.INTER_NEAREST
            cells.append(cv2.resize(cell, (360, 360), interpolation=method))
    save("sizes", np.hstack(cells))


def samples(editor: Editor) -> None:
    """Five versions of a smile, and the plain paste for comparison."""
    rgb = load_photo(EXAMPLES / "portrait.jpg").rgb
    faces = editor.find_faces(rgb)
    prepared = editor.prepare(rgb, faces)
    rows, columns = window(rgb.shape, faces)
    sheet = ContactSheet(rgb[rows, columns])
    versions = editor.vectors.sample("Smiling", 5)
    edits = [editor.edit_of({"Smiling": 1.5}, {"Smiling": v}) for v in versions]
    smiles = editor.render(rgb, prepared, edits)
    for number, picture in enumerate(smiles, start=1):
        sheet.add("five versions", f"sample {number}, strength 1.5", picture[rows, columns])
    plain = Editor(method="paste")
    values = (0.1, 0.5, 1.0, 1.5, 2.0)
    edits = [plain.edit_of({"Smiling": v}) for v in values]
    for value, picture in zip(values, plain.render(rgb, prepared, edits), strict=True):
        sheet.add("--no-detail", f"pasted, strength {value:g}", picture[rows, columns])
    save("samples-and-paste", sheet.draw())


def models(files: list[Path]) -> None:
    """Faces that no model saw, and what models make of them: a row a model."""
    crops = []
    for name in ("portrait", "london-002", "london-012", "london-123", "smile"):
        rgb = load_photo(EXAMPLES / f"{name}.jpg").rgb
        (face,) = find_faces(rgb)
        crops.append(align(rgb, face.points).crop)
    faces = np.stack(crops)
    rows = [faces]
    for file in files:
        model, _ = load_vae(file)
        rows.append(decode_faces(model, encode_faces(model, faces)))
    save("models", tile([np.stack([thumbnail(p, 192) for p in row]) for row in rows]))


def main() -> None:
    """Make them all; with model files as arguments, only a picture that compares these."""
    OUT.mkdir(exist_ok=True)
    if sys.argv[1:]:
        models([Path(name) for name in sys.argv[1:]])
        return
    editor = Editor()
    gallery(editor)
    before_after(editor)
    samples(editor)
    closing(editor)
    stages(editor)
    sizes(editor)
    methods()


if __name__ == "__main__":
    main()
