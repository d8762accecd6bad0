"""Teeth as small and blurred photos show them.

There single teeth hardly show: a mouth is a band of light, soft at the lips. Its light is that of
:mod:`.mouth_tones`, what is finer an exemplar's; blur mixes teeth and lips as it does in photos.
"""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from faceflex.compose.content import Scene
from faceflex.compose.face_tones import FLOOR, FaceTones, brightest, in_one_color
from faceflex.compose.lips_motion import between, edges, mouth_middle
from faceflex.compose.mouth_exemplars import MouthKind
from faceflex.compose.mouth_light import MouthLight
from faceflex.compose.mouth_maps import GRID_COLUMNS, GRID_ROWS
from faceflex.compose.mouth_tones import (
    BRIGHTEST,
    PARTS,
    log_cells,
    mouth_places,
    mouth_tones,
    tone_features,
)
from faceflex.faces.lips import Lips
from faceflex.faces.region import LUMA
from faceflex.faces.smoothstep import smoothstep

_FINE = (0.011, 0.024)  # Finest detail to the mouth's width: from large photos to small ones.
_VARIETY = 0.4  # How far mouths differ, to how far they do in photos.
# Logs of brightness: teeth that are darker than the skin pass for none; and what is predicted is
# the mean of a log, which is less than that of a mean.
_LEAST, _BRIGHTER = 0.04, 0.15
_SLIT, _DARK_SLIT = (1.0, 4.0), 0.5  # Pixels of the crop: smaller gaps are in shade; its log.
_CORNERS = 0.2  # Share of exemplars' dark corners that is hidden: tones say how dark they are.
_MOST, _MILK_MOST = 1.0, 0.2  # Log of what is added to dark places; below milk teeth it is dark.
_USUAL_AGE, _YOUNGEST = 35.0, 8.0  # Few small children were among those the model was fitted to.
_UNSURE = (1.0, 0.8)  # Columns and rows of the grid by which predictions are smooth.
_GAIN = 1.5  # Bound of the log by which a mouth's brightness differs from its exemplar's.
_COLORED = 0.35  # How much of an exemplar's colors is left where its light is changed.
# How strongly exemplars' teeth are told apart, to how they are in exemplars, in sharp photos and,
# before they are blurred, in others; sigmas of the blur, pixels of the crop. Statistics of real
# smiles ask for more; viewers then see braces.
_APART, _BLURRED = (1.0, 0.85), (0.6, 1.2)
_DARKER = 0.3  # Log of how much darker than what is around it a place may be.
_PLAIN = 0.15  # Share of the width, from a corner, over which single teeth come to be told apart.
_SOFT = 0.8  # Pixels of the crop over which a lip's edge passes into what is behind it.
_SHARPER = 0.65  # Blur of teeth to that of the eyes' edges, by which a photo's is measured.
_LIP, _INSIDE = 0.7, 0.7  # Brightness of lips to the skin's; where teeth are looked for.
_LOST = (0.7, 1.5)  # How far brightness is corrected that blur has changed.
_KNEE = 0.85  # Share of the greatest brightness up to which teeth are as bright as predicted.

Floats = NDArray[np.float32]


def small_share(lips: Lips, scale: float, blur: float) -> float:
    """Return how far a photo shows a mouth as a band of light more than tooth by tooth, 0 to 1.

    Parameters
    ----------
    lips
        Where they are to be, in pixels of the crop.
    scale
        Pixels of the crop to one of the photo.
    blur
        Sigma of the photo's blur, in its pixels.
    """
    width = max(float(lips.x[-1] - lips.x[0]), 1.0) / scale
    finest = max(1.0, blur) / width
    return float(smoothstep((finest - _FINE[0]) / (_FINE[1] - _FINE[0])))


def teeth_in_small_photo(
    scene: Scene, kind: MouthKind, light: MouthLight, at: tuple[slice, slice]
) -> tuple[Floats, Floats]:
    """Render teeth between the lips of a scene as small or blurred photos show them.

    Parameters
    ----------
    scene
        The scene.
    kind
        Whose teeth.
    light
        How blurred and how gray the photo is.
    at
        The rows and columns of the region that hold the mouth.

    Returns
    -------
    (h, w, 3) in 0 to 255, and (h, w) how far each place shows them, 0 to 1.
    """
    tones = scene.memory.get("tones")
    if tones is None:
        tones = FaceTones.measure(scene.photo, scene.region, scene.warp.landmarks)
        scene.memory["tones"] = tones
    lips, x, y = scene.warp.after, scene.x[at], scene.y[at]
    middle = mouth_middle(scene.warp.targets)
    years = max(scene.change.condition.get("age", _USUAL_AGE), _YOUNGEST)
    features = tone_features(tones, lips, middle, years)
    noise = np.float32(np.random.default_rng(kind.seed).standard_normal(PARTS))
    bright, hue, teeth = mouth_tones().predict(features, noise, _VARIETY)
    slit = 1 - float(smoothstep((lips.gap - _SLIT[0]) / (_SLIT[1] - _SLIT[0])))
    teeth = max(teeth, _LEAST) + _BRIGHTER - _DARK_SLIT * slit
    kind = replace(kind, corners=_CORNERS)
    colors = kind.render(lips, middle, x, y, scene.region.scale)
    own = kind.render(lips, middle, *mouth_places(lips), scene.region.scale)
    most = _MILK_MOST if kind.milk else _MOST
    contrast = float(np.interp(light.blur * scene.region.scale, _BLURRED, _APART))
    colors = in_tones(colors, own, (bright, hue, teeth), lips, x, y, most, contrast)
    luma = (colors @ LUMA)[:, :, None]
    colors = luma + np.float32(light.saturation) * (colors - luma)
    inside = between(lips, x, y, _SOFT)
    share = cv2.GaussianBlur(inside, (0, 0), light.blur)
    colors = _blur_inside(colors, inside, _SHARPER * light.blur)
    # Blur has mixed teeth with what is dark, in photos too, where their brightness was measured.
    shown = (share * (colors @ LUMA - _LIP) + _LIP)[inside > _INSIDE]
    if shown.size:
        wanted = np.exp(teeth) / max(float(np.percentile(shown, BRIGHTEST)), FLOOR)
        colors *= np.float32(np.clip(wanted, *_LOST))
    colors = _no_brighter(colors * np.float32(tones.skin @ LUMA), brightest(tones.light))
    return np.float32(255) * in_one_color(colors, tones), share


def _blur_inside(colors: Floats, inside: Floats, sigma: float) -> Floats:
    """Blur colors (h, w, 3) between lips: what an exemplar shows beyond is no neighbor of teeth."""
    weight = np.maximum(inside, np.float32(1e-3))[:, :, None]
    both = np.concatenate([colors * weight, weight], axis=2)
    both = cv2.GaussianBlur(np.float32(both), (0, 0), sigma)
    return np.asarray(both[..., :3] / np.maximum(both[..., 3:], 1e-6), np.float32)


def _no_brighter(colors: Floats, most: float) -> Floats:
    """Return colors (h, w, 3), in [0, 1], that come near to a brightness and never beyond it."""
    luma, knee = (colors @ LUMA)[:, :, None], _KNEE * most
    over = np.maximum(luma - knee, 0)
    limited = np.minimum(luma, knee) + over / (1 + over / (most - knee))
    return np.float32(colors * limited / np.maximum(luma, 1e-6))


def in_tones(
    colors: Floats,
    own: Floats,
    tones: tuple[Floats, Floats, float],
    lips: Lips,
    x: Floats,
    y: Floats,
    most: float = 1.0,
    contrast: float = 1.0,
) -> Floats:
    """Return what lies between lips as light as tones say.

    Parameters
    ----------
    colors
        (h, w, 3) what lies there, relative to teeth.
    own
        (16, 48, 3) the same at :func:`mouth_places`.
    tones
        From :meth:`MouthTones.predict`.
    lips
        Contours of the inner lips, in pixels of the crop.
    x, y
        (h, w) the places, in pixels of the crop.
    most
        Log of how much brighter a place is made at most than others are.
    contrast
        How strongly teeth are told apart, to how they are in the exemplar.

    Returns
    -------
    (h, w, 3) colors, relative to the brightness of the skin.
    """
    upper, lower = edges(lips, x)
    across = np.clip((x - lips.x[0]) / max(float(lips.x[-1] - lips.x[0]), 1.0), 0, 1)
    down = np.clip((y - upper) / np.maximum(lower - upper, 0.3), 0, 1)
    bright, hue, teeth = tones
    # Contours of photos were off by some share of the gap, so what is predicted is smooth.
    soft = cv2.GaussianBlur(log_cells(own @ LUMA), (0, 0), sigmaX=_UNSURE[0], sigmaY=_UNSURE[1])
    gain = np.clip(bright - soft, -_GAIN, most)
    lit = cv2.resize(gain, own.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    seen = float(np.percentile(np.exp(lit) * (own @ LUMA), BRIGHTEST))
    gain += np.float32(np.clip(teeth - np.log(max(seen, FLOOR)), -_GAIN, _GAIN))
    laid = _lay(gain, across, down)
    red, blue = np.exp(hue)
    tint = np.array([red, (1 - LUMA[0] * red - LUMA[2] * blue) / LUMA[1], blue], np.float32)
    luma = np.maximum(colors @ LUMA, FLOOR)[:, :, None]
    colors = luma + np.float32(_COLORED) * (colors - luma)
    # Made lighter, what is dark between teeth would be black spots: less dark, it is a gap. In the
    # corners nothing is told apart.
    apart = np.log(luma[..., 0]) - _lay(soft, across, down)
    told = np.float32(contrast) * apart
    told = np.where(told < 0, _DARKER * np.tanh(told / _DARKER), told)
    laid += told * np.clip(np.minimum(across, 1 - across) / _PLAIN, 0, 1) - apart
    return np.float32(colors * np.exp(laid)[:, :, None] * tint)


def _lay(grid: Floats, across: Floats, down: Floats) -> Floats:
    """Return a grid (8, 24) at places (h, w) that lie 0 to 1 across and down."""
    x, y = np.float32(across * GRID_COLUMNS - 0.5), np.float32(down * GRID_ROWS - 0.5)
    return cv2.remap(grid, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
