"""Faces over the plane of two controls: the circumplex sheet, and frames along a path.

Both show a face much smaller than large photos have it, so they are rendered from a smaller photo.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from faceflex.edit.editor import Editor, OpenPhoto
from faceflex.errors import UsageError
from faceflex.faces import Face
from faceflex.methods.base import Shot
from faceflex.parallel.process_pool import default_jobs
from faceflex.parallel.threads import run_in_threads
from faceflex.photo.grid import thumbnail

Place = tuple[float, float]
Picture = NDArray[np.uint8]

CELL = 150
"""Long side of a sheet's pictures in pixels."""
LIMIT = 0.75
"""Largest valence and arousal of a sheet."""
STEPS = (2, 25)
"""Fewest and most places of a sheet along a side."""
FRAMES = (2, 1000)
"""Fewest and most frames of a path."""

QUADRANTS = (("excited", "calm"), ("angry, afraid", "sad, tired"))
"""Names of the quadrants (Russell 1980), as they lie on the sheet: pleasant above, excited left."""

_MARGIN, _GAP, _MARK = 76, 4, (235, 120, 20)
_ROOM = 0.25  # Around a face, as a share of its size.
_INK, _FONT = (40, 40, 40), 15


def sheet_values(steps: int) -> list[float]:
    """Return the values along a side of the sheet, from high to low.

    Raises
    ------
    UsageError
        If there are too few or too many.

    Examples
    --------
    >>> sheet_values(7)
    [0.75, 0.5, 0.25, 0.0, -0.25, -0.5, -0.75]
    """
    low, high = STEPS
    if not low <= steps <= high:
        raise UsageError(f"`circumplex_steps` {steps}: needs {low} to {high}")
    return [round(float(v), 4) + 0.0 for v in np.linspace(LIMIT, -LIMIT, steps)]


def close_up(
    editor: Editor,
    rgb: Picture,
    faces: Sequence[Face],
    side: int,
    *,
    crop: bool,
    draft: bool = False,
) -> OpenPhoto:
    """Open a photo at a smaller size.

    Parameters
    ----------
    editor
        What edits.
    rgb
        (H, W, 3) uint8 photo.
    faces
        Its faces to edit.
    side
        Long side in pixels that is not exceeded.
    crop
        Whether only the faces and what is around them is shown.
    draft
        Whether quicker pictures will do, as they are shown small.
    """
    rows, columns = _around(rgb.shape, faces) if crop else (slice(None), slice(None))
    part = np.ascontiguousarray(rgb[rows, columns])
    corner = np.array([columns.start or 0, rows.start or 0], np.float64)
    small = thumbnail(part, side) if max(part.shape[:2]) > side else part
    scale = np.array(small.shape[1::-1]) / np.array(part.shape[1::-1])
    moved = []
    for face in faces:
        # Centres of pixels lie at integers.
        points = (face.points - corner + 0.5) * scale - 0.5
        box = (np.array(face.box).reshape(2, 2) - corner) * scale
        left, top, right, bottom = (round(float(v)) for v in box.ravel())
        moved.append(replace(face, points=np.float32(points), box=(left, top, right, bottom)))
    if draft:
        editor = Editor(editor.finder, editor.method, editor.composer.draft(), editor.scorer)
    return editor.open(small, [str(face.index) for face in moved], faces=moved)


def _around(shape: tuple[int, ...], faces: Sequence[Face]) -> tuple[slice, slice]:
    """Return the rows and columns of a photo that show faces from the forehead to the chin."""
    points = np.concatenate([face.points for face in faces])
    (left, top), (right, bottom) = points.min(axis=0), points.max(axis=0)
    room = _ROOM * max(right - left, bottom - top)
    return (
        slice(max(0, int(top - 1.8 * room)), min(shape[0], int(bottom + 0.7 * room))),
        slice(max(0, int(left - room)), min(shape[1], int(right + room))),
    )


def circumplex_sheet(opened: OpenPhoto, controls: tuple[str, str], steps: int) -> Picture:
    """Draw a face at places all over the plane.

    Parameters
    ----------
    opened
        A photo with one face.
    controls
        The control that falls from the top down, and the one that falls from left to right.
    steps
        Places along a side.

    Returns
    -------
    (H, W, 3) uint8: axes and quadrants are named; the photo itself stands, outlined, at the place
    that is nearest to its own, and a dot shows where exactly that is.
    """
    values = sheet_values(steps)
    own = opened.own_values(0)
    place = own[controls[0]], own[controls[1]]
    nearest = tuple(int(np.abs(np.array(values) - p).argmin()) for p in place)
    places = [(v, a) for v in values for a in values]
    shots = [opened.shot(**dict(zip(controls, p, strict=True))) for p in places]
    cells = [thumbnail(picture, CELL) for picture in _render(opened, shots)]
    cells[nearest[0] * steps + nearest[1]] = thumbnail(opened.rgb, CELL)
    height, width = cells[0].shape[:2]
    pitch = width + _GAP, height + _GAP
    size = (_MARGIN + steps * pitch[0] + _GAP, _MARGIN + steps * pitch[1] + _GAP + 26)
    sheet = Image.new("RGB", size, "white")
    for k, cell in enumerate(cells):
        row, column = divmod(k, steps)
        corner = _MARGIN + column * pitch[0] + _GAP, _MARGIN + row * pitch[1] + _GAP
        sheet.paste(Image.fromarray(cell), corner)
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(_FONT)
    _axes(sheet, draw, font, values, pitch, controls)
    row, column = nearest
    left, top = _MARGIN + column * pitch[0] + _GAP, _MARGIN + row * pitch[1] + _GAP
    draw.rectangle((left - 2, top - 2, left + width + 1, top + height + 1), outline=_MARK, width=4)
    spot = [
        _MARGIN
        + _GAP
        + (LIMIT - p) / (2 * LIMIT) * (steps - 1) * pitch[1 - k]
        + (width, height)[1 - k] / 2
        for k, p in enumerate(place)
    ]
    y, x = (float(np.clip(s, _MARGIN, size[1 - k] - 30)) for k, s in enumerate(spot))
    draw.ellipse((x - 6, y - 6, x + 6, y + 6), fill=_MARK, outline="white", width=2)
    text = f"outlined: the photo itself, estimated at {controls[0]} {place[0]:+.2f},"
    note = f"{text} {controls[1]} {place[1]:+.2f} (dot)"
    draw.text((_MARGIN + _GAP, size[1] - 22), note, fill=_INK, font=font)
    return np.ascontiguousarray(np.asarray(sheet))


def _axes(
    sheet: Image.Image,
    draw: ImageDraw.ImageDraw,
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
    values: Sequence[float],
    pitch: tuple[int, int],
    controls: tuple[str, str],
) -> None:
    """Draw values, names of the axes and of the quadrants."""
    width, height = len(values) * pitch[0], len(values) * pitch[1]
    for k, value in enumerate(values):
        text = f"{value:+.2f}" if value else "0"
        x = _MARGIN + (k + 0.5) * pitch[0] + _GAP / 2
        draw.text((x, _MARGIN - 4), text, fill=_INK, font=font, anchor="mb")
        y = _MARGIN + (k + 0.5) * pitch[1] + _GAP / 2
        draw.text((_MARGIN - 4, y), text, fill=_INK, font=font, anchor="rm")
    middle = _MARGIN + width / 2
    draw.text((middle, 4), f"high  {controls[1]}  low", fill=_INK, font=font, anchor="mt")
    for column, x in ((0, _MARGIN + width / 6), (1, _MARGIN + width * 5 / 6)):
        draw.text((x, 4), QUADRANTS[0][column], fill=_MARK, font=font, anchor="mt")
    band = Image.new("RGB", (height, 18), "white")
    upright = ImageDraw.Draw(band)
    upright.text((height / 2, 1), f"low  {controls[0]}  high", fill=_INK, font=font, anchor="mt")
    names = ((height * 5 / 6, "pleasant"), (height / 6, "unpleasant"))
    for x, name in names:
        upright.text((x, 1), name, fill=_MARK, font=font, anchor="mt")
    sheet.paste(band.rotate(90, expand=True), (2, _MARGIN))
    for column, x in ((0, _MARGIN + width / 6), (1, _MARGIN + width * 5 / 6)):
        y = _MARGIN + height + _GAP - 18
        box = draw.textbbox((x, y), QUADRANTS[1][column], font=font, anchor="mm")
        draw.rectangle((box[0] - 5, box[1] - 3, box[2] + 5, box[3] + 3), fill="white")
        draw.text((x, y), QUADRANTS[1][column], fill=_MARK, font=font, anchor="mm")


def parse_path(text: str) -> list[Place]:
    """Read the corners of a path through the plane, ``VALENCE,AROUSAL`` each.

    Raises
    ------
    UsageError
        If there are fewer than two, or one does not lie in [-1, 1].

    Examples
    --------
    >>> parse_path("0.5,0.5  -0.5,0.5")
    [(0.5, 0.5), (-0.5, 0.5)]
    """
    places = []
    for part in text.split():
        try:
            valence, arousal = (float(v) for v in part.split(","))
        except ValueError:
            raise UsageError(f'`path` {text}: use "V,A V,A ...", like "0.5,0.5 -0.5,0.5"') from None
        if not (-1 <= valence <= 1 and -1 <= arousal <= 1):
            raise UsageError(f"`path` {part}: valence and arousal need values from -1 to 1")
        places.append((valence, arousal))
    if len(places) < 2:
        raise UsageError(f'`path` {text}: needs two places or more, like "0.5,0.5 -0.5,0.5"')
    return places


def path_places(corners: Sequence[Place], frames: int) -> list[Place]:
    """Return places evenly spread along a path.

    Raises
    ------
    UsageError
        If there are too few or too many frames, or the path has no length.

    Examples
    --------
    >>> path_places([(0.0, 0.0), (0.5, 0.0), (0.5, 0.5)], 3)
    [(0.0, 0.0), (0.5, 0.0), (0.5, 0.5)]
    """
    low, high = FRAMES
    if not low <= frames <= high:
        raise UsageError(f"`frames` {frames}: needs {low} to {high}")
    points = np.array(corners)
    gone = np.concatenate([[0.0], np.linalg.norm(np.diff(points, axis=0), axis=1).cumsum()])
    if gone[-1] < 1e-6:
        raise UsageError("`path`: all its places are the same")
    at = np.linspace(0, gone[-1], frames)
    v, a = (np.interp(at, gone, points[:, k]) for k in (0, 1))
    return [(round(float(x), 6), round(float(y), 6)) for x, y in zip(v, a, strict=True)]


def path_frames(
    opened: OpenPhoto, controls: tuple[str, str], places: Sequence[Place]
) -> Iterator[Picture]:
    """Yield a picture (H, W, 3) uint8 for each place; all faces move together."""
    shots = [opened.shot(**dict(zip(controls, p, strict=True))) for p in places]
    return _render(opened, shots)


def _render(opened: OpenPhoto, shots: Sequence[Shot]) -> Iterator[Picture]:
    """Yield a picture for each shot, in order, made on all cores."""
    tasks = (partial(opened.compose, steps) for steps in opened.changes(shots))
    return run_in_threads(tasks, min(len(shots), default_jobs()))
