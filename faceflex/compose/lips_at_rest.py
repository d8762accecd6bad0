"""Lips at rest, painted where lips that laughed have come to meet.

A laugh stretches the red of the lips to thin, shining bands, and pixels that are moved back show
it: streaks, blots, ends without red. So between the line where lips meet and their outer borders
their color is made anew: this person's own, as it varies along each lip, times how light or dark
lips at rest are there (``assets/lips.webp``: the mean of six people of the Face Research Lab
London Set, CC BY 4.0; ``python -m faceflex.train.seams``). What is finer stays the photo's. Beside
the lips, what is left of red or of the shade in a laugh's corners takes the color of the skin
around.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import resources

import cv2
import numpy as np
from numpy.typing import NDArray

from faceflex.compose.content import Scene
from faceflex.compose.lips_motion import window
from faceflex.compose.warp import FaceWarp
from faceflex.faces.align import invert
from faceflex.faces.lips import Lips
from faceflex.faces.region import LUMA, Region
from faceflex.faces.smoothstep import smoothstep

LIP_ROWS, LIP_COLUMNS = 16, 48
"""Size of a lip that is unrolled: from the line to its border, from corner to corner."""

LIP_UNIT = 160.0
"""The value that stands for the lips' own brightness."""

_MIDDLE = (0.3, 0.4, 0.5, 0.6, 0.7)  # Of the way from the line to the border: a lip's own color.
_ALONG = 5.0  # Columns (of 48) over which it varies.
_SURE = 1.5  # Pixels of the crop of lip, in the mean, from which on its color is its own.
_RELAXED = 0.94  # Brightness of upper lips at rest, to that in a smile (12 people, London Set).
_UPPER_DARKER = 0.86  # Brightness of upper lips to that of lower ones.
_ODD, _KEPT = 0.25, 0.35  # Log colors beside a lip's median; how far it holds where few are sure.
_LAUGH = (2.0, 5.5)  # Gap in the photo, from which lips are made anew, and where all of them is.
_MOST = 0.8  # How far.
_FINE = 0.7  # Pixels of the crop: finer detail is the photo's own.
_EDGE = 0.9  # Pixels of the crop over which red passes into skin.
_CORNER = 2.0  # Pixels of the crop over which lips begin at the corners.
_BESIDE, _SPREAD = (
    2.5,
    2.5,
)  # Pixels of the crop beside lips that are cleaned, and by how wide skin.
_CLEAN, _UNLIKE = 0.08, 0.15  # Log color that skin may differ, and over which it is cleaned.
_THINNEST = 0.3
_ROOM = 18.0  # Pixels of the crop around the line between the lips in which anything changes.
# Shade around the line between the lips, and below the lower one: log depth, middle and width in
# pixels of the crop. What 111 closed mouths in the wild are darker there than mouths without it.
_SEAM, _CHIN = (0.16, -0.3, 1.3), (0.12, 2.0, 2.2)
_SHADES, _OWN, _WIDE = 0.35, 0.8, 4.0  # Log shading of an own lip; share, in lips so thick.
_BLUNT = 1.1  # Times the thickness that lips of 225 neutral faces in the wild have towards corners.

Floats = NDArray[np.float32]


@cache
def lips_at_rest() -> Floats:
    """Return (2, 16, 48, 3): how light the upper and lower lip are, relative to their own color."""
    data = resources.files("faceflex.assets").joinpath("lips.webp").read_bytes()
    atlas = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    ratio = np.float32(cv2.cvtColor(atlas, cv2.COLOR_BGR2RGB)) / np.float32(LIP_UNIT)
    return ratio.reshape(2, LIP_ROWS, LIP_COLUMNS, 3)


@dataclass(frozen=True)
class LipBand:
    """One lip between its inner edge and its border, at columns from corner to corner.

    Attributes
    ----------
    x, inner, border
        (48,) in pixels of the crop.
    """

    x: Floats
    inner: Floats
    border: Floats

    @classmethod
    def of(cls, lips: Lips, edge: str, border: Floats, corners: Floats) -> LipBand:
        """Return a lip from the inner lips, and points (n, 2) of its border.

        Parameters
        ----------
        lips, edge
            The inner lips, and which edge of them: ``upper`` or ``lower``.
        border
            Points of the border, from left to right.
        corners
            (2, 2) the corners of the mouth.
        """
        x = np.linspace(corners[0, 0], corners[1, 0], LIP_COLUMNS, dtype=np.float32)
        inner = np.interp(x, lips.x, getattr(lips, edge))
        known = np.concatenate([corners[:1], border, corners[1:]])
        order = np.argsort(known[:, 0], kind="stable")
        outer = np.interp(x, known[order, 0], known[order, 1])
        outer = cv2.GaussianBlur(
            np.pad(np.float32(outer), 4, mode="reflect", reflect_type="odd")[None], (0, 0), 1.5
        )[0, 4:-4]
        return cls(x, np.float32(inner), np.float32(outer))

    def tapered(self) -> LipBand:
        """Return the lip no thicker towards the corners than those of neutral faces."""
        middle = float(self.thick[LIP_COLUMNS // 3 : -(LIP_COLUMNS // 3)].mean())
        place = np.abs(np.linspace(-1, 1, LIP_COLUMNS))
        most = _BLUNT * middle * (1 - place**2.2) ** 0.7
        thick = np.minimum(self.thick, most) * np.sign(self.border - self.inner)
        return LipBand(self.x, self.inner, np.float32(self.inner + thick))

    @property
    def thick(self) -> Floats:
        """Pixels of the crop (48,)."""
        return np.abs(self.border - self.inner)

    def sample(self, picture: Floats, region: Region, way: tuple[float, ...]) -> Floats:
        """Return colors (n, 48, 3) at n shares of the way from the inner edge to the border."""
        across = np.broadcast_to(self.x, (len(way), LIP_COLUMNS))
        down = self.inner + np.array(way, np.float32)[:, None] * (self.border - self.inner)
        mx, my = (np.float32(r[0] * across + r[1] * down + r[2]) for r in invert(region.matrix))
        return cv2.remap(picture, mx, my, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)

    def shading(self, picture: Floats, region: Region, color: Floats) -> tuple[Floats, Floats]:
        """Return how light this lip is on the way to its border, and how far that may be believed.

        Returns
        -------
        (16, 48, 3) the logarithm of the ratio to its own color, without what changes quickly along
        the lip; and (16, 1, 1), 0 to 1: little at its edges, and where it is thin.
        """
        way: Floats = np.linspace(0, 1, LIP_ROWS, dtype=np.float32)
        seen = self.sample(picture, region, tuple(way.tolist()))
        ratio = np.log(np.maximum(seen, 4.0) / np.maximum(color, 4.0))
        ratio = cv2.GaussianBlur(
            np.clip(ratio, -_SHADES, _SHADES),
            (0, 0),
            sigmaX=_ALONG,
            sigmaY=0.7,
            borderType=cv2.BORDER_REPLICATE,
        )
        middle = float(self.thick[LIP_COLUMNS // 3 : -(LIP_COLUMNS // 3)].mean())
        sure = smoothstep(way / 0.3) * smoothstep((1 - way) / 0.3) * min(middle / _WIDE, 1.0)
        return np.float32(ratio), np.float32(_OWN * sure)[:, None, None]

    def color(self, picture: Floats, region: Region) -> tuple[Floats, float]:
        """Return this lip's own color (48, 3), and how sure it is, 0 to 1."""
        seen = np.log(np.maximum(self.sample(picture, region, _MIDDLE), 4.0))
        weight = np.clip(self.thick / _SURE, 0, 1) * np.ones((len(_MIDDLE), 1), np.float32)
        inside = slice(LIP_COLUMNS // 6, -(LIP_COLUMNS // 6))
        usual = np.median(seen[:, inside].reshape(-1, 3), axis=0)
        weight = weight * np.exp(-np.square((seen - usual) / _ODD).sum(axis=-1) / 2)
        total = cv2.GaussianBlur(
            (seen * weight[..., None]).sum(axis=0)[None],
            (0, 0),
            sigmaX=_ALONG,
            sigmaY=0.1,
            borderType=cv2.BORDER_REPLICATE,
        )[0]
        share = cv2.GaussianBlur(
            np.float32(weight.sum(axis=0))[None],
            (0, 0),
            sigmaX=_ALONG,
            sigmaY=0.1,
            borderType=cv2.BORDER_REPLICATE,
        )[0]
        prior = np.float32(_KEPT * len(_MIDDLE))
        mean = (total + prior * usual) / (share + prior)[:, None]
        return np.float32(np.exp(mean)), float(np.clip(self.thick[inside].mean() / _SURE, 0, 1))


def lip_bands(warp: FaceWarp, after: bool) -> tuple[LipBand, LipBand]:
    """Return the upper and the lower lip of a warp that knows their borders.

    Parameters
    ----------
    warp
        The warp.
    after
        Where they go; else where they are in the photo.
    """
    if warp.borders is None:
        raise ValueError("the borders of the lips are not known")
    lips, points = (warp.after, warp.targets) if after else (warp.before, warp.landmarks)
    corners = points[[48, 54]]
    upper, lower = (
        LipBand.of(lips, edge, border[int(after)], corners)
        for edge, border in zip(("upper", "lower"), warp.borders, strict=True)
    )
    return upper, lower


def rest_colors(warp: FaceWarp, photo: Floats, region: Region) -> tuple[Floats, Floats]:
    """Return the upper and the lower lip (16, 48, 3) of the photo (h, w, 3), at rest."""
    bands = lip_bands(warp, after=False)
    (upper, sure), (lower, sure_lower) = (band.color(photo, region) for band in bands)
    result = []
    for band, color, usual in zip(bands, (upper, lower), lips_at_rest(), strict=True):
        own, share = band.shading(photo, region, color)
        others = np.log(np.maximum(usual, 0.1))
        result.append(np.exp(others + share * (own - others)))
    if sure < sure_lower:  # A lip that is drawn thin has the other one's color.
        like = lower * np.float32(_UPPER_DARKER)
        upper = like + np.float32(sure / max(sure_lower, 1e-3)) * (upper - like)
    return np.float32(_RELAXED * upper * result[0]), np.float32(lower * result[1])


def laugh_share(before: Lips) -> float:
    """Return how far lips so wide apart are made anew when they come to meet, 0 to 1."""
    low, high = _LAUGH
    return float(smoothstep(np.float32((before.gap - low) / (high - low)))) if before.open else 0.0


def paint_lips(
    scene: Scene, moved: Floats, at: tuple[slice, slice], blur: float, share: float
) -> Floats:
    """Return lips at rest, painted into pixels that were moved there.

    Parameters
    ----------
    scene
        The scene; its warp knows the borders of the lips.
    moved
        (h', w', 3) float32 in 0 to 255.
    at
        The rows and columns of the region that these are.
    blur
        Sigma of the photo's blur, in its pixels.
    share
        How far, 0 to 1.

    Returns
    -------
    (h', w', 3).
    """
    region, warp = scene.region, scene.warp
    whole = moved
    part = window(warp.after, scene.x[at], scene.y[at], _ROOM)
    x, y, moved = scene.x[at][part], scene.y[at][part], whole[part]
    if not moved.size:
        return whole
    pixel = region.scale
    colors = rest_colors(warp, np.float32(scene.photo), region)
    bands = [band.tapered() for band in lip_bands(warp, after=True)]
    line = np.interp(x, warp.after.x, warp.after.midline)
    left, right = float(bands[0].x[0]), float(bands[0].x[-1])
    inside = np.minimum(x - left, right - x)
    column = np.float32((x - left) / max(right - left, 1.0) * (LIP_COLUMNS - 1))
    painted, red = np.zeros_like(moved), np.zeros(x.shape, np.float32)
    outside = np.full(x.shape, np.inf, np.float32)
    for sign, band, color in zip((-1, 1), bands, colors, strict=True):
        thick = np.maximum(np.interp(x, band.x, band.thick), _THINNEST)
        way = np.float32(sign * (y - line))
        mine = way > 0 if sign > 0 else way >= 0
        row = np.clip(way / thick, 0, 1) * (LIP_ROWS - 1)
        made = cv2.remap(
            color, column, np.float32(row), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
        painted[mine] = made[mine]
        cover = np.clip((thick - way) / _EDGE + 0.5, 0, 1)
        red[mine] = cover[mine]
        outside[mine] = np.float32(way - thick)[mine]
    red *= smoothstep(inside / _CORNER)
    outside = np.where(inside < 0, np.hypot(np.maximum(outside, 0), inside), outside)
    if blur > 0.3:
        red, painted = (cv2.GaussianBlur(v, (0, 0), blur) for v in (red, painted))
    made = _clean_skin(moved, outside, pixel, share)
    fine = moved - cv2.GaussianBlur(moved, (0, 0), _FINE / pixel)
    weight = (np.float32(_MOST * share) * red)[:, :, None]
    made = made + weight * (painted + fine - made)
    below = np.float32(y - line - np.interp(x, bands[1].x, bands[1].thick))
    shade = _shade(below, _CHIN, np.float32(2 * column / (LIP_COLUMNS - 1) - 1), 0.8)
    painted = whole.copy()
    painted[part] = made * (1 + np.float32(share) * (shade - 1))[:, :, None]
    return painted


def _clean_skin(moved: Floats, outside: Floats, pixel: float, share: float) -> Floats:
    """Return pixels (h, w, 3) without what is no skin, up to 2.5 pixels of the crop from lips.

    Parameters
    ----------
    moved
        The pixels.
    outside
        (h, w) pixels of the crop from the lips' border; below 0 on lips.
    pixel
        Pixels of the crop to one of the photo.
    share
        How far, 0 to 1.
    """
    known = np.float32(smoothstep((outside - _BESIDE + 0.5) / 1.0))
    width = _SPREAD / pixel
    total = cv2.GaussianBlur(moved * known[:, :, None], (0, 0), width)
    there = cv2.GaussianBlur(known, (0, 0), width)[:, :, None]
    skin = np.where(there > 0.01, total / np.maximum(there, 0.01), moved)
    soft = cv2.GaussianBlur(moved, (0, 0), 0.5 / pixel)
    unlike = np.abs(np.log((np.maximum(soft, 0) + 8) / (np.maximum(skin, 0) + 8))) @ LUMA
    near = smoothstep((_BESIDE + 0.5 - outside) / 1.5) * smoothstep((outside + _EDGE) / _EDGE)
    weight = np.float32(near * smoothstep((unlike - _CLEAN) / _UNLIKE))
    weight = np.float32(share) * cv2.GaussianBlur(weight, (0, 0), 0.8 / pixel)
    return np.asarray(moved + weight[:, :, None] * (skin - soft), np.float32)


def line_shade(warp: FaceWarp, x: Floats, y: Floats) -> Floats:
    """Return (h, w): how light lips at rest are around the line along which they meet.

    Parameters
    ----------
    warp
        The warp.
    x, y
        (h, w) in pixels of the crop.
    """
    left, right = (float(warp.targets[k, 0]) for k in (48, 54))
    across = (2 * x - left - right) / max(right - left, 1.0)
    down = y - np.interp(x, warp.after.x, warp.after.midline)
    return _shade(np.float32(down), _SEAM, np.float32(across), 0.15)


def _shade(way: Floats, shape: tuple[float, float, float], across: Floats, ends: float) -> Floats:
    """Return (h, w): how light it is in a band of shade that fades towards the corners.

    Parameters
    ----------
    way
        (h, w) pixels of the crop across the band.
    shape
        Its log depth, middle and width.
    across
        (h, w) -1 to 1 from corner to corner.
    ends
        Share of half the mouth over which it fades.
    """
    depth, middle, width = shape
    near = np.exp(-np.square((way - middle) / width) / 2)
    inside = smoothstep((1 - np.minimum(np.abs(across), 1)) / ends)
    return np.float32(np.exp(-depth * near * inside))
