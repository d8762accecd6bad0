"""The mouth's interior: the photo's own teeth, new ones, or the line where lips meet.

New teeth here have the brightness that the model's picture gives them and a relief of teeth (see
:mod:`.teeth`): the renderer that needs no network of its own.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from faceflex.compose.content import Content, Scene
from faceflex.compose.lips_motion import between, edges, mouth_middle, window
from faceflex.compose.teeth import relief_at
from faceflex.compose.warp import FaceWarp, crop_coordinates
from faceflex.faces.landmark_groups import CHEEKS
from faceflex.faces.lips import Lips
from faceflex.faces.region import LUMA, Region

_BRIGHTEST = 0.9  # Teeth are never paper white, ...
_LEAST, _OF_SKIN = 0.34, 0.78  # ... nor darker than this and this share of the cheeks.
_TINT = 0.2  # They share this much of the skin's hue: none in a grey photo.
_LIGHT = (0.86, 1.05)  # The least and most light within the mouth.
_SHADOW, _CORNER = 1.8, 0.3  # The lip's shadow in pixels of the crop; the corners' share of a half.
_GRAIN = 0.4
_LENS = 0.7  # Pixels of the photo: no lens is sharper.
_SOFT = 0.8  # Pixels of the crop over which a lip's edge passes into what is behind it.
_SEAM, _SEAM_WIDTH = 0.4, 0.55

Floats = NDArray[np.float32]


class TeethRelief:
    """Renders new teeth as a relief on the brightness of the model's own."""

    fingerprint = "teeth-relief-1"

    def render(self, scene: Scene) -> Content | None:
        """Render what lies between the lips; None where the mouth was and stays closed."""
        before, after = scene.warp.before, scene.warp.after
        if same_lips(before, after):
            return None
        region, x, y = scene.region, scene.x, scene.y
        if not after.open:
            return darken_seam(scene) if before.open else None
        rows, columns = window(after, x, y)
        if rows.stop <= rows.start or columns.stop <= columns.start:
            return None
        x, y, part = x[rows, columns], y[rows, columns], scene.patch[rows, columns]
        blur = max(scene.blur, _LENS)
        soft = max(_SOFT, 1.5 * region.scale, 2.5 * blur * region.scale)
        share = between(after, x, y, soft)[:, :, None]
        teeth = synthesize(scene.after, scene.warp, x, y, region.scale)
        teeth = cv2.GaussianBlur(teeth, (0, 0), blur)
        # The photo's own grain, from the pixels that the content covers.
        grain = 0.006 * max(region.size) + 0.5
        teeth += _GRAIN * (part - cv2.GaussianBlur(part, (0, 0), grain))
        existing = existing_share(before, after)
        if existing > 0:
            kept, there = existing_teeth(scene.photo, region, before, after, x, y)
            teeth = teeth + (part + (kept - part) * there[:, :, None] - teeth) * existing
        return Content(rows, columns, part + (teeth - part) * share, share[..., 0] * (1 - existing))


def same_lips(before: Lips, after: Lips) -> bool:
    """Tell whether lips stay where they are, to a twentieth of a pixel."""
    pairs = ((before.x, after.x), (before.upper, after.upper), (before.lower, after.lower))
    return all(float(np.abs(a - b).max()) < 0.05 for a, b in pairs)


def existing_share(before: Lips, after: Lips) -> float:
    """Return how far the photo's own teeth will do: not when a slit becomes a wide opening."""
    ratio = before.gap / max(after.gap, 1e-6)
    return float(np.clip((ratio - 0.35) / 0.3, 0, 1)) if before.open else 0.0


def existing_teeth(
    picture: NDArray[np.uint8], region: Region, before: Lips, after: Lips, x: Floats, y: Floats
) -> tuple[Floats, Floats]:
    """Return what the photo shows between its lips, laid between the new ones, and where it does.

    Teeth do not move with lips: a closing mouth covers them. What shows in one that opens is
    stretched.
    """
    high, _ = edges(after, x)
    scale = max(1.0, after.gap / max(before.gap, 1e-6))
    wider = max(1.0, (after.x[-1] - after.x[0]) / (before.x[-1] - before.x[0]))
    from_x = (before.x[0] + before.x[-1]) / 2 + (x - (after.x[0] + after.x[-1]) / 2) / wider
    if scale > 1:
        top, _ = edges(before, np.float32(from_x))
        from_y = top + (y - high) / scale
    else:
        # As still as they can be: lips that move beyond the old ones take teeth along.
        down, up = after.lower - before.lower, after.upper - before.upper
        follow = np.clip(0, np.minimum(down, up), np.maximum(down, up))
        follow = cv2.GaussianBlur(np.float32(follow)[None], (0, 0), 6.0)[0]
        from_y = y - np.interp(x, after.x, follow)
    there = between(before, np.float32(from_x), np.float32(from_y), _SOFT)
    back = np.linalg.inv(region.matrix[:, :2])
    shift = np.stack([from_x - region.matrix[0, 2], from_y - region.matrix[1, 2]], -1) @ back.T
    mapped = cv2.remap(
        picture,
        np.float32(shift[..., 0]),
        np.float32(shift[..., 1]),
        cv2.INTER_CUBIC,
        borderMode=cv2.BORDER_REFLECT,
    )
    return mapped.astype(np.float32), there


def synthesize(after: Floats, warp: FaceWarp, x: Floats, y: Floats, scale: float) -> Floats:
    """Return a mouth that the photo does not have: 0 to 255, at places of the crop.

    The decoder says how bright its teeth are, and where its mouth is light and dark; the lips that
    it blurs into them are taken out. Their relief is that of teeth.
    """
    lips = warp.after
    inside = between(lips, *crop_coordinates(), 1.0) > 0.5
    colours = after[inside] if inside.any() else after[64:110, 40:88].reshape(-1, 3)
    bright = colours @ LUMA
    teeth = colours[bright >= np.percentile(bright, 80)].mean(axis=0)
    skin = _skin(after, warp)
    level = max(float(teeth @ LUMA), _LEAST + _OF_SKIN * float(skin @ LUMA))
    level = min(level, _BRIGHTEST)
    tint = (skin / max(float(skin @ LUMA), 1e-3)) ** _TINT
    light = cv2.remap(after @ LUMA, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    light = np.clip(light / max(float(teeth @ LUMA), 1e-3), *_LIGHT)
    high, _ = edges(lips, x)
    under = np.clip((y - high) / _SHADOW, 0, 1)
    half = (lips.x[-1] - lips.x[0]) / 2
    aside = np.clip((1 - np.abs(x - (lips.x[0] + lips.x[-1]) / 2) / half) / _CORNER, 0, 1)
    shade = (0.62 + 0.38 * under) * (0.45 + 0.55 * aside)
    middle = mouth_middle(warp.targets)
    shape = light * shade * relief_at(lips, middle, x, y, scale)
    return np.asarray(255 * level * shape[:, :, None] * tint, np.float32)


def _skin(after: Floats, warp: FaceWarp) -> Floats:
    """Return the colour (3,) of the cheeks."""
    found = []
    for pair in CHEEKS:
        x, y = np.clip(np.round(warp.targets[list(pair)].mean(axis=0)), 4, 123).astype(int)
        found.append(after[y - 4 : y + 5, x - 4 : x + 5].reshape(-1, 3))
    return np.asarray(np.median(np.concatenate(found), axis=0), np.float32).clip(0.01, 1)


def darken_seam(scene: Scene) -> Content:
    """Darken the line along which lips have come to meet."""
    lips, x, y = scene.warp.after, scene.x, scene.y
    apart = y - np.interp(x, lips.x, lips.midline)
    half = (lips.x[-1] - lips.x[0]) / 2
    sideways = np.clip(1 - np.abs(x - (lips.x[0] + lips.x[-1]) / 2) / max(half, 1e-6), 0, 1)
    dark = _SEAM * np.exp(-((apart / _SEAM_WIDTH) ** 2)) * np.minimum(1, 4 * sideways)
    pixels = np.asarray(scene.patch * (1 - dark[:, :, None]), np.float32)
    return Content(slice(None), slice(None), pixels, np.zeros(x.shape, np.float32))
