"""A mustache of hairs: strokes that grow down and outward, in the person's own hair color.

Each hair has a root, a length, a width and a curve of its own; a seed fixes all of them, so that a
mustache is the same at every strength and in every frame, only thinner or shorter. Hairs are drawn
finer than the photo's pixels, laid over each other from the skin outward, and then seen through the
photo's blur and grain. Their color is that of the brows relative to the skin (see
:mod:`.hair_color`): in a dark photo they are as much darker than the skin as in a bright one.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from faceflex.compose.hair_color import HairColor, skin_light, to_crop
from faceflex.compose.layers import LayerScene
from faceflex.compose.photo_detail import grain_like
from faceflex.faces.align import SIZE, invert, transform_points
from faceflex.faces.mask import fill_hull
from faceflex.faces.region import LUMA, Region

_HAIRS = 1500  # Of the fullest mustache.
_LAYERS = 20  # Hairs are laid over each other in so many.
_POINTS = 9  # Of each hair's curve.
_FINE = 9.0  # Pixels of the drawing per pixel of the crop, at least.
_FINEST = 14.0  # ... and at most.
_WIDTH = 0.12  # Pixels of the crop: a hair.
_SHADOW = 0.28
_ROOM = 10.0  # Pixels of the crop around the mouth that a drawing covers.

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Hairs:
    """Random numbers of a mustache's hairs, a row each; the same for every face and strength.

    Attributes
    ----------
    across
        (N,) where the root is, from one corner of the mouth (-1) to the other (1).
    down
        (N,) where it is between nose and lip, 0 to 1.
    length, turn, bend, shade
        (N,) of the hair: 1 is usual; direction and curve off the usual, in radians; log brightness.
    rank
        (N,) from 0 to 1: hairs of higher rank appear at higher strengths.
    """

    across: Floats
    down: Floats
    length: Floats
    turn: Floats
    bend: Floats
    shade: Floats
    rank: Floats


@lru_cache(maxsize=8)
def draw_hairs(seed: int, count: int = _HAIRS) -> Hairs:
    """Draw the hairs of a mustache.

    Examples
    --------
    >>> one, same, other = draw_hairs(1), draw_hairs(1), draw_hairs(2)
    >>> bool((one.turn == same.turn).all()), bool((one.turn == other.turn).all())
    (True, False)
    """
    rng = np.random.default_rng((seed, 77))
    across = rng.uniform(-1, 1, count)
    down = rng.beta(1.5, 1.15, count)
    # Neighbours lean together: tufts.
    tufts = rng.normal(0, 1, (2, 24))
    at = (across + 1) / 2 * 23
    tuft = np.interp(at, np.arange(24), tufts[0]) * 0.12
    tuft_shade = np.interp(at, np.arange(24), tufts[1]) * 0.13
    turn = tuft + rng.normal(0, 0.17, count)
    bend = 0.25 + rng.normal(0, 0.3, count)
    length = np.exp(rng.normal(0, 0.22, count))
    shade = tuft_shade + rng.normal(0, 0.27, count)
    rank = rng.uniform(0, 1, count)
    values = (across, down, length, turn, bend, shade, rank)
    return Hairs(*(np.float32(v) for v in values))


def _edges(landmarks: NDArray[np.floating], across: Floats) -> tuple[Floats, Floats, Floats]:
    """Return x, and y of the upper and the lower edge of a mustache, of places -1 to 1."""
    p = np.asarray(landmarks, np.float64)
    lip = p[[48, 49, 50, 51, 52, 53, 54]]
    middle, half = p[51, 0], 1.04 * np.array([p[51, 0] - p[48, 0], p[54, 0] - p[51, 0]])
    x = middle + np.where(across < 0, half[0], half[1]) * across
    lower = np.interp(x, lip[:, 0], lip[:, 1]) + 0.3
    beyond = np.clip(np.abs(across) - 0.9, 0, None) * 18
    lower = lower + beyond
    base = p[33, 1]
    room = max(p[51, 1] - base, 3.0)
    wing = np.array([p[31, 1], p[35, 1]]).mean()
    places = [-1.0, -0.72, -0.4, -0.12, 0.0, 0.12, 0.4, 0.72, 1.0]
    corner = (p[48, 1] + p[54, 1]) / 2
    side = wing + 0.42 * room
    end = 0.45 * side + 0.55 * corner
    mid = 0.72 * side + 0.28 * corner
    heights = [end, mid, side, base + 0.3 * room, base + 0.36 * room]
    upper = np.interp(across, places, [*heights, *heights[-2::-1]])
    return np.float32(x), np.float32(np.minimum(upper, lower - 1.0)), np.float32(lower)


def hair_curves(hairs: Hairs, landmarks: NDArray[np.floating], long: float) -> Floats:
    """Return (N, 9, 2) curves of hairs in pixels of the crop, from the root to the tip.

    Parameters
    ----------
    hairs
        From :func:`draw_hairs`.
    landmarks
        (68, 2) in pixels of the crop.
    long
        Length of a usual hair, as a share of the way from nose to lip.
    """
    x, upper, lower = _edges(landmarks, hairs.across)
    y = upper + hairs.down * (lower - upper)
    side = np.abs(hairs.across)
    # From straight down at the philtrum to along the lip at the side, then down at the corner.
    lean = np.interp(side, [0, 0.08, 0.35, 0.75, 1.0], [0.15, 0.5, 0.95, 1.0, 0.75])
    angle = np.sign(hairs.across) * lean + hairs.turn
    room = float(max(landmarks[51, 1] - landmarks[33, 1], 5.0))
    taper = np.interp(side, [0, 0.7, 1.0], [1.0, 1.0, 0.75])
    length = np.clip(long * room, 2.5, 9.0) * hairs.length * taper
    steps = np.linspace(0, 1, _POINTS)
    # Hairs bend down towards the tip.
    angles = angle[:, None] - np.sign(hairs.across)[:, None] * hairs.bend[:, None] * steps
    dx, dy = np.sin(angles), np.cos(angles)
    part = (length / (_POINTS - 1))[:, None]
    curve_x = x[:, None] + np.cumsum(dx * part, axis=1) - dx[:, :1] * part
    curve_y = y[:, None] + np.cumsum(dy * part, axis=1) - dy[:, :1] * part
    # Few hairs reach far over the lip.
    over = np.maximum(curve_y - (lower[:, None] + 0.8), 0)
    return np.float32(np.stack([curve_x, curve_y - 0.7 * over], axis=2))


@dataclass(frozen=True)
class Mustache:
    """A layer: a mustache.

    Attributes
    ----------
    strength
        1 is usual.
    seed
        Which mustache.
    """

    strength: float
    seed: int = 0

    def paint(self, scene: LayerScene) -> None:
        """Put it on the scene's patch, in place."""
        region, landmarks = scene.region, scene.landmarks
        window = _window(scene)
        if window is None or self.strength <= 0:
            return
        rows, columns = window
        hairs = draw_hairs(self.seed)
        share = float(np.clip(0.55 * self.strength, 0.08, 1.0))
        shown = hairs.rank <= share
        long = 0.42 + 0.22 * min(self.strength, 2.5)
        curves = hair_curves(hairs, landmarks, long)[shown]
        part = region.subregion(rows, columns)
        cover, bright = _draw(curves, hairs.shade[shown], part)
        if scene.edge_blur > 0.3:
            cover, bright = (cv2.GaussianBlur(v, (0, 0), scene.edge_blur) for v in (cover, bright))
        shade = bright / np.maximum(cover, 1e-3)
        color = HairColor.measure(scene.photo, region, landmarks)
        crop = to_crop(scene.patch, region)
        lips = fill_hull(landmarks[48:60], SIZE, grow=1) | fill_hull(landmarks[31:36], SIZE, grow=2)
        light = part.from_crop(skin_light(crop, lips))
        hair = light * color.ratio * shade[:, :, None]
        if color.saturation < 1:  # What is gray stays gray.
            plain = (hair @ LUMA)[:, :, None]
            hair = plain + np.float32(color.saturation) * (hair - plain)
        hair = np.float32(color.black) + hair * np.float32(
            1 - color.black / max(float(light.mean()), color.black + 1)
        )
        patch = scene.patch[rows, columns]
        scale = 1 / region.scale
        shadow = cv2.GaussianBlur(cover, (0, 0), 1.1 * scale)
        shadow = _moved(shadow, part, (0.15, 0.9))
        lit = patch * (1 - np.float32(_SHADOW) * shadow)[:, :, None]
        grain = grain_like(scene.patch, region, landmarks, scene.blur, rows, columns)
        grain = (grain @ LUMA)[:, :, None] if color.saturation < 0.5 else grain
        alpha = cover[:, :, None]
        patch[...] = lit * (1 - alpha) + (hair + grain) * alpha


def _window(scene: LayerScene) -> tuple[slice, slice] | None:
    """Return the rows and columns of the region around the upper lip."""
    points = scene.landmarks[[31, 33, 35, 48, 51, 54]]
    low, high = points.min(axis=0) - _ROOM, points.max(axis=0) + _ROOM
    corners = np.array([[low[0], low[1]], [high[0], low[1]], [high[0], high[1]], [low[0], high[1]]])
    placed = transform_points(invert(scene.region.matrix), np.float32(corners))
    width, height = scene.region.size
    left, top = (max(0, int(v)) for v in placed.min(axis=0))
    right, bottom = (
        min(n, int(v) + 1) for v, n in zip(placed.max(axis=0), (width, height), strict=True)
    )
    if right - left < 4 or bottom - top < 4:
        return None
    return slice(top, bottom), slice(left, right)


def _moved(picture: Floats, part: Region, by: tuple[float, float]) -> Floats:
    """Move a picture (h, w) of a region by pixels of the crop."""
    back = invert(part.matrix)[:, :2] @ np.array(by)
    matrix = np.array([[1, 0, back[0]], [0, 1, back[1]]], np.float64)
    return np.asarray(
        cv2.warpAffine(picture, matrix, picture.shape[::-1], borderMode=cv2.BORDER_REPLICATE),
        np.float32,
    )


def _draw(curves: Floats, shades: Floats, region: Region) -> tuple[Floats, Floats]:
    """Draw hairs at the photo's pixels.

    Returns
    -------
    (h, w) how much of each pixel is hair, and (h, w) its brightness times that.
    """
    scale = 1 / region.scale
    factor = max(1, round(min(_FINEST, max(_FINE, 2 * scale)) / scale))
    width, height = region.size
    placed = transform_points(invert(region.matrix), curves.reshape(-1, 2))
    placed = ((placed + 0.5) * factor - 0.5).reshape(curves.shape)
    thick = _WIDTH * scale * factor  # In pixels of the drawing.
    pen = max(1, round(thick))
    weight = min(1.0, thick / pen)
    size = (height * factor, width * factor)
    cover, bright = np.zeros(size, np.float32), np.zeros(size, np.float32)
    steps = np.linspace(0, 1, _POINTS - 1)
    # Thin at root and tip, with a sheen below the root.
    ends = np.minimum((steps + 0.15) / 0.3, (1.12 - steps) / 0.5)
    alpha = weight * np.minimum(1, ends)
    sheen = 0.9 + 0.5 * np.exp(-(((steps - 0.35) / 0.18) ** 2))
    shift = 4
    fixed = np.round(placed * (1 << shift)).astype(np.int32)
    order = np.argsort(shades, kind="stable")  # Hairs of a layer are alike; layers come mixed.
    layers = np.array_split(order, _LAYERS)
    for number in np.random.default_rng(5).permutation(_LAYERS):
        group = layers[number]
        if not len(group):
            continue
        mask, lit = np.zeros(size, np.uint8), np.zeros(size, np.uint8)
        for k in range(_POINTS - 1):
            pieces = list(fixed[group, k : k + 2])
            for canvas, value in ((mask, alpha[k]), (lit, alpha[k] * sheen[k] / 1.4)):
                cv2.polylines(canvas, pieces, False, 255 * value, pen, cv2.LINE_AA, shift)
        tone = 1.4 * float(np.exp(shades[group].mean()))
        share = mask.astype(np.float32) * np.float32(1 / 255)
        bright *= 1 - share
        bright += lit.astype(np.float32) * np.float32(tone / 255)
        cover += share * (1 - cover)
    small = (width, height)
    cover, bright = (cv2.resize(v, small, interpolation=cv2.INTER_AREA) for v in (cover, bright))
    return cover, bright
