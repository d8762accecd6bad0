"""Make the pictures of docs/: run ``python docs/make_pictures.py`` from the project's folder."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from faceflex import Editor, OpenPhoto, Shot, load_photo, make_editor
from faceflex.edit.clip import ClipRequest, clip_frames
from faceflex.edit.clip_job import of_person
from faceflex.edit.contact_sheet import ContactSheet, window
from faceflex.edit.plane import circumplex_sheet, close_up
from faceflex.edit.stages import draw_stages, stages_sheet
from faceflex.faces import find_faces
from faceflex.faces.align import align
from faceflex.methods.affect_controls import FEELINGS
from faceflex.models.checkpoint import load_vae
from faceflex.models.codec import decode_faces, encode_faces
from faceflex.photo.grid import captioned_grid, make_grid, thumbnail

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
        opened = editor.open(rgb)
        rows, columns = shown(opened)
        sheet = ContactSheet(rgb[rows, columns])
        for attribute in ATTRIBUTES:
            shots = [opened.shot(**{attribute: value}) for value in VALUES]
            for value, picture in zip(VALUES, opened.render(shots), strict=True):
                sheet.add(attribute, f"{attribute} {value:g}", picture[rows, columns])
        save(f"gallery-{name}", sheet.draw())


def shown(opened: OpenPhoto) -> tuple[slice, slice]:
    """Return the rows and columns of a photo that are shown."""
    return window(opened.rgb.shape, opened.detected)


def smiled(opened: OpenPhoto, *strengths: float) -> list[NDArray[np.uint8]]:
    """Return a photo with more of a smile, or less."""
    return list(opened.render([opened.shot(Smiling=strength) for strength in strengths]))


def before_after(editor: Editor) -> None:
    """The README's picture: people before and after."""
    pairs = []
    for name, strength in (("portrait", 1.5), ("london-012", 1.5), ("smile", -1.25)):
        opened = editor.open(load_photo(EXAMPLES / f"{name}.jpg").rgb)
        rows, columns = shown(opened)
        (after,) = smiled(opened, strength)
        pairs += [thumbnail(p[rows, columns], 300) for p in (opened.rgb, after)]
    height = min(p.shape[0] for p in pairs)
    save("before-after", np.hstack([p[:height] for p in pairs]))


def closing(editor: Editor) -> None:
    """A smile taken away, and opened wider."""
    opened = editor.open(load_photo(EXAMPLES / "smile.jpg").rgb)
    rows, columns = shown(opened)
    sheet = ContactSheet(opened.rgb[rows, columns])
    strengths = (-2.0, -1.5, -1.0, -0.5, 0.5, 1.0)
    for strength, picture in zip(strengths, smiled(opened, *strengths), strict=True):
        sheet.add("", f"Smiling {strength:g}", picture[rows, columns])
    save("closing", sheet.draw())


def smiles(editor: Editor) -> None:
    """Given with lips that part and lips that meet; taken away, and made to meet."""
    rows = []
    for name, strength in (("portrait", 1.0), ("london-012", 1.0), ("smile", -1.0)):
        opened = editor.open(load_photo(EXAMPLES / f"{name}.jpg").rgb)
        top, left = shown(opened)
        shots = [opened.shot(Smiling=strength), opened.shot(Smiling=1.0, Mouth_Slightly_Open=0.0)]
        pictures = (opened.rgb, *opened.render(shots))
        rows.append(np.hstack([thumbnail(p[top, left], 240) for p in pictures]))
    width = min(row.shape[1] for row in rows)
    save("smiles", np.vstack([row[:, :width] for row in rows]))


def stages(editor: Editor) -> None:
    """Each stage of an edit, for an opening and a closing mouth."""
    for name, strength in (("portrait", 1.5), ("smile", -1.25)):
        opened = editor.open(load_photo(EXAMPLES / f"{name}.jpg").rgb)
        save(f"stages-{name}", stages_sheet(draw_stages(opened, 0, opened.shot(Smiling=strength))))


def modes() -> None:
    """One smile, put into the photo in three ways."""
    rgb = load_photo(EXAMPLES / "london-002.jpg").rgb
    sheet = None
    for mode, label in (
        ("paste", "decode pasted"),
        ("difference", "difference added"),
        ("transfer", "faceflex"),
    ):
        opened = make_editor(mode=mode).open(rgb)
        rows, columns = shown(opened)
        sheet = sheet or ContactSheet(rgb[rows, columns])
        strengths = (1.0, 1.5)
        for strength, picture in zip(strengths, smiled(opened, *strengths), strict=True):
            sheet.add("", f"{label}, {strength:g}", picture[rows, columns])
    assert sheet is not None
    save("methods", sheet.draw())


def sizes(editor: Editor) -> None:
    """The same face at 40 and at 2000 pixels, smiling: what is shown is cut out at each size."""
    rgb = load_photo(EXAMPLES / "portrait.jpg").rgb
    width = editor.finder.find(rgb)[0].width
    cells = []
    for wanted in (40, 2000):
        scale = wanted / width
        method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
        photo = cv2.resize(rgb, None, fx=scale, fy=scale, interpolation=method)
        opened = editor.open(photo)
        rows, columns = shown(opened)
        for picture in (photo, *smiled(opened, 1.5)):
            cell = np.ascontiguousarray(picture[rows, columns])
            method = cv2.INTER_AREA if cell.shape[0] > 360 else cv2.INTER_NEAREST
            cells.append(cv2.resize(cell, (360, 360), interpolation=method))
    save("sizes", np.hstack(cells))


def samples(editor: Editor) -> None:
    """Five variants of a smile, and the plain paste for comparison."""
    opened = editor.open(load_photo(EXAMPLES / "portrait.jpg").rgb)
    rows, columns = shown(opened)
    sheet = ContactSheet(opened.rgb[rows, columns])
    settings = opened.shot(Smiling=1.5).settings
    smiles = opened.render([Shot(settings, number) for number in range(1, 6)])
    for number, picture in enumerate(smiles, start=1):
        sheet.add("five variants", f"sample {number}, strength 1.5", picture[rows, columns])
    plain = make_editor(mode="paste").open(opened.rgb)
    values = (0.1, 0.5, 1.0, 1.5, 2.0)
    for value, picture in zip(values, smiled(plain, *values), strict=True):
        sheet.add("--no-detail", f"pasted, strength {value:g}", picture[rows, columns])
    save("samples-and-paste", sheet.draw())


def film_strips(names: Iterable[str] = ("london-002", "london-012", "london-123")) -> None:
    """For each of three people a row a mode: the photo, and moments of a spontaneous smile."""
    editor = make_editor("smile-video")
    settings = editor.method.resolve({"intensity": 1, "spontaneous": 1, "seconds": 2})
    for name in names:
        photo = load_photo(EXAMPLES / f"{name}.jpg")
        rgb = thumbnail(photo.rgb, 900)
        opened = editor.open(rgb)
        region = opened.faces[0].region
        edge = region.size[0] // 8
        rows = slice(max(0, region.top - edge), region.bottom + edge)
        columns = slice(max(0, region.left - edge), region.right + edge)
        request, strips = ClipRequest(settings, 3), []
        request = replace(request, settings=of_person(request, photo, editor))
        for mode in range(4):
            shots = [request.still(mode, time) for time in (0, 0.15, 0.3, 0.45, 0.7, 1)]
            pictures = [p[rows, columns] for p in clip_frames(opened, shots)]
            strips.append(np.stack([thumbnail(p, 190) for p in pictures]))
        save(f"animate-{name}", make_grid(strips))


def feelings() -> None:
    """The circumplex sheet of one person, and named feelings of three."""
    editor = make_editor("valence-arousal")
    rgb = load_photo(EXAMPLES / "london-012.jpg").rgb
    opened = close_up(editor, rgb, editor.finder.find(rgb), 480, crop=True)
    save("circumplex", circumplex_sheet(opened, ("valence", "arousal"), 7))
    rows = []
    for name in ("london-002", "london-012", "london-123", "portrait"):
        rgb = load_photo(EXAMPLES / f"{name}.jpg").rgb
        opened = close_up(editor, rgb, editor.finder.find(rgb), 480, crop=True)
        shots = [opened.shot(valence=v, arousal=a) for v, a in FEELINGS.values()]
        cells = [opened.rgb, *opened.render(shots)]
        captions = ("original", *FEELINGS)
        square = [cv2.resize(p, (170, 200), interpolation=cv2.INTER_AREA) for p in cells]
        rows.append(list(zip(captions, square, strict=True)))
    save("feelings", captioned_grid(rows))


def years(editor: Editor) -> None:
    """Four people, older and younger; and with a mustache, that smiles along."""
    sheets: dict[str, list[dict[str, float]]] = {
        "years": [{"Young": -1.0}, {"Young": -2.0}, {"Young": -3.0}, {"Young": 2.0}],
        "mustache": [{"Mustache": 1.0}, {"Mustache": 1.5}, {"Mustache": 1.5, "Smiling": 1.0}],
    }
    for sheet, settings in sheets.items():
        rows = []
        for name in ("portrait", "london-002", "london-012", "london-123"):
            opened = editor.open(load_photo(EXAMPLES / f"{name}.jpg").rgb)
            top, left = shown(opened)
            pictures = opened.render([opened.shot(**s) for s in settings])
            cells = [thumbnail(p[top, left], 250) for p in (opened.rgb, *pictures)]
            captions = [", ".join(f"{k} {v:g}" for k, v in s.items()) for s in settings]
            rows.append(list(zip(("original", *captions), cells, strict=True)))
        save(sheet, captioned_grid(rows))


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
    save("models", make_grid([np.stack([thumbnail(p, 192) for p in row]) for row in rows]))


def main() -> None:
    """Make them all; with model files as arguments, only a picture that compares these."""
    OUT.mkdir(exist_ok=True)
    if sys.argv[1:]:
        models([Path(name) for name in sys.argv[1:]])
        return
    editor = make_editor()
    gallery(editor)
    before_after(editor)
    samples(editor)
    closing(editor)
    smiles(editor)
    years(editor)
    stages(editor)
    sizes(editor)
    modes()
    film_strips()
    feelings()


if __name__ == "__main__":
    main()
