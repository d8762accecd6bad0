"""New content by a network that has learned it from photos: teeth, lips that meet, folds.

The lower face is brought to a window of fixed size, rendered there once, and goes back in two ways
that agree at the window's resolution: in the hole (the mouth's interior and the lips' edges) the
rendered picture itself; elsewhere only what the network changes, so that the photo keeps its pores.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Protocol, runtime_checkable

import cv2
import numpy as np
from numpy.typing import NDArray

from faceflex.compose.content import Content, Scene
from faceflex.compose.content_inputs import (
    condition_vector,
    network_base,
    network_planes,
    skin_color,
)
from faceflex.compose.content_window import (
    HEIGHT,
    SCALE,
    WIDTH,
    border_fade,
    region_to_window,
    window_coordinates,
    window_in,
    window_to_region,
)
from faceflex.compose.lip_seam import lay_seam, seam_share
from faceflex.compose.lips_at_rest import laugh_share, line_shade, paint_lips
from faceflex.compose.lips_motion import between, mouth_middle, window
from faceflex.compose.mouth_cavity import darken_cavity
from faceflex.compose.mouth_codes import MouthCodes
from faceflex.compose.mouth_exemplars import MouthKind
from faceflex.compose.mouth_interior import (
    draw_mouth,
    existing_share,
    existing_teeth,
    measure_light,
    person,
    render_teeth,
    same_lips,
)
from faceflex.compose.mouth_light import MouthLight, saturation
from faceflex.compose.mouth_maps import (
    HOLE_GROWTH,
    HOLE_SOFTNESS,
    grid_coordinates,
    mouth_maps,
)
from faceflex.compose.photo_detail import grain_like, upsample_sharp
from faceflex.compose.smile_folds import soften_folds
from faceflex.compose.warp import FaceWarp
from faceflex.faces.infant import is_infant
from faceflex.faces.lips import Lips
from faceflex.faces.region import LUMA

_STILL = 0.05  # Pixels of the crop: what moves less does not move.
_TOUCHING = 1.5  # Pixels of the crop: a gap over which existing teeth give way to lips that meet.
_PARTING = (0.7, 1.3)  # The gap from which new content shows, and over which it comes.
_BLURRED = 1.3  # Pixels of the photo.
_ROOM = 4.0  # Pixels of the crop around a mouth that its hole may reach.
_LIP_EDGE = 0.8  # Pixels of the crop over which a lip's edge passes into teeth behind it.
_REDDEST = 90  # Percentile of the redness around the mouth.
_USUAL_AGE, _INFANT_AGE = 35.0, 0.5
_LARGE, _SMALL = 0.45, 0.85  # Pixels of the window to one of the photo: large and small faces.

Floats = NDArray[np.float32]


class ContentNetwork(Protocol):
    """A network, arrays in and out, and what was fitted to its training's mouths.

    Attributes
    ----------
    fingerprint
        Identifies its weights.
    codes
        Linear model of mouths' interiors.
    smile_scale
        Mean and standard deviation of the smile degree over all faces.
    """

    @property
    def fingerprint(self) -> str: ...

    @property
    def codes(self) -> MouthCodes: ...

    @property
    def smile_scale(self) -> tuple[float, float]: ...

    def __call__(self, planes: Floats, condition: Floats, *, once: bool = False) -> Floats:
        """Planes (9, 128, 160), condition (3,) -> what to add to the picture, (128, 160, 3).

        ``once``: not as the mean over the window and its mirror image, in half of the time.
        """


@runtime_checkable
class ClipNetwork(ContentNetwork, Protocol):
    """A network that can be quicker where many frames are made."""

    def for_clips(self) -> ContentNetwork:
        """Return the network for frames of clips."""
        ...


@cache
def _noise(seed: int) -> Floats:
    """Return the noise (128, 160) of a seed: the same for all strengths."""
    return np.random.default_rng(seed).standard_normal((HEIGHT, WIDTH), np.float32)


class LearnedContent:
    """Renders new content with a network.

    Parameters
    ----------
    network
        The network.
    seed
        Fixes the noise and whose teeth a face gets, at all strengths and in all frames.
    once
        Whether to look at the window once, not at its mirror image too: quicker, a little worse.
    """

    def __init__(self, network: ContentNetwork, seed: int = 0, *, once: bool = False) -> None:
        self._network, self._seed, self._once = network, seed, once

    def draft(self) -> LearnedContent:
        """Return a quicker renderer, for pictures that are shown small."""
        return LearnedContent(self._network, self._seed, once=True)

    @property
    def fingerprint(self) -> str:
        """That of the network's weights."""
        return self._network.fingerprint

    def for_clips(self) -> LearnedContent:
        """Return the renderer for frames of clips."""
        network = self._network
        if not isinstance(network, ClipNetwork):
            return self
        return LearnedContent(network.for_clips(), self._seed)

    def render(self, scene: Scene) -> Content | None:
        """Render a scene: the hole, and around it the share of the change that is an expression.

        ``change.condition`` may hold ``smile``, the smile degree, ``age`` in years, and ``jaw``,
        how far a mouth opens without a smile (0 to 1); what is missing is taken to be usual.
        """
        warp, region = scene.warp, scene.region
        before, after = warp.before, warp.after
        rows, columns = window_in(region)
        if _still(warp) or rows.stop <= rows.start or columns.stop <= columns.start:
            return None
        kept = _kept_share(before, after)
        cut = kept < 1 and (before.open or after.open)
        rendered = np.float32(scene.change.style.rendered)
        photo_teeth = _with_existing_teeth(scene) if kept > 0 else scene.patch
        at = rows, columns
        if not cut and not rendered:  # Nothing is missing, and no expression changes.
            weight = np.zeros(photo_teeth[at].shape[:2], np.float32)
            return Content(rows, columns, photo_teeth[at], weight) if kept > 0 else None
        seen = region_to_window(scene.patch if cut else photo_teeth, region)
        rng = np.random.default_rng((self._seed, person(warp)))
        mouth = (draw_mouth(rng, warp), measure_light(scene)) if cut else None
        made = self._render_window(seen, scene, mouth)
        made = soften_folds(made, warp.targets, scene.change.relaxed, warp.landmarks)
        change = rendered * window_to_region(made - seen, region.subregion(rows, columns))
        pixels = (scene.patch if cut else photo_teeth)[at] + change
        weight = np.zeros(pixels.shape[:2], np.float32)
        if mouth is not None:
            kind, light = mouth
            met = seam_share(before, after)
            laughed = met * laugh_share(before) if warp.borders is not None else 0.0
            if laughed > 0:
                pixels = paint_lips(scene, pixels, at, light.blur, laughed)
            part = window(after, scene.x[at], scene.y[at], _ROOM)
            inner = _inside(at, part)
            hole, content = _rendered_hole(scene, inner, made, light)
            if after.open:
                # Of lips that part the lighter edges are right: the photo's carry the dark line
                # along which they met, the network's are a little too dark in soft photos.
                edges = scene.patch[inner] + change[part] * (1 - hole[:, :, None])
                content = np.maximum(edges, content)
                teeth, share = render_teeth(scene, kind, light, inner)
                dropped = scene.change.condition.get("jaw", 0.0)
                teeth = darken_cavity(teeth, after, scene.x[inner], scene.y[inner], dropped)
                content += share[:, :, None] * (teeth - content)
            content += np.float32(kept) * (photo_teeth[inner] + change[part] - content)
            if met > 0:  # Lips that come to meet are the photo's own, but for the line between.
                moved = scene.patch.copy()
                moved[at] = pixels
                seam, where = lay_seam(scene, moved, inner, light, person(warp))
                own = moved[inner]
                seam = own + where[:, :, None] * (seam - own)
                if laughed > 0:
                    shade = line_shade(warp, scene.x[inner], scene.y[inner])
                    seam *= (1 + np.float32(laughed) * (shade - 1))[:, :, None]
                content += np.float32(met) * (seam - content)
                hole = np.maximum(hole, np.float32(met))
            pixels[part] += hole[:, :, None] * (content - pixels[part])
            weight[part] = hole * np.float32(1 - kept)
        return Content(rows, columns, pixels, weight)

    def _render_window(
        self, seen: Floats, scene: Scene, mouth: tuple[MouthKind, MouthLight] | None
    ) -> Floats:
        """Return the window (128, 160, 3) as the network makes it, in 0 to 255.

        Parameters
        ----------
        seen
            (128, 160, 3) the window as it is, in 0 to 255.
        scene
            The scene.
        mouth
            Whose teeth, and how the photo shows them; None where the hole is not made anew.
        """
        lips, landmarks = scene.warp.after, scene.warp.targets
        x, y = window_coordinates()
        picture = np.clip(seen / np.float32(255), 0, 1)
        condition, (mean, deviation) = scene.change.condition, self._network.smile_scale
        smile = (condition.get("smile", mean) - mean) / deviation
        age = _INFANT_AGE if is_infant(scene.warp.landmarks) else condition.get("age", _USUAL_AGE)
        maps, grid = mouth_maps(lips, mouth_middle(landmarks), x, y), None
        if mouth is None:
            maps = replace(maps, hole=np.zeros_like(maps.hole))
        elif lips.open:
            kind, light = mouth
            colors = kind.render(lips, mouth_middle(landmarks), *grid_coordinates(lips), 1.0)
            bright = max(float(skin_color(picture, landmarks) @ LUMA), 0.05)
            codes = self._network.codes
            # As the network has seen mouths: as a code of few numbers.
            grid = codes.decode(codes.encode(colors * light.teeth / bright))
            grid = np.clip(grid * bright, 0, 1)
        base = network_base(picture, maps, grid, lips, x, y)
        planes = network_planes(base, maps, _noise(self._seed))
        told = condition_vector(smile, age, lips.gap)
        added = self._network(planes, told, once=self._once)
        # The change fades towards the window's border, where the photo goes on.
        made = _in_photo_colors(base + added, picture, maps.hole)
        changed = border_fade()[:, :, None] * (made - picture)
        return np.asarray(255 * (picture + changed), np.float32)


def _inside(outer: tuple[slice, slice], inner: tuple[slice, slice]) -> tuple[slice, slice]:
    """Return rows and columns of a part of a part, in the whole."""
    rows, columns = (
        slice(a.start + b.start, a.start + b.stop) for a, b in zip(outer, inner, strict=True)
    )
    return rows, columns


def _rendered_hole(
    scene: Scene, at: tuple[slice, slice], made: Floats, light: MouthLight
) -> tuple[Floats, Floats]:
    """Return the hole (h, w), and what the network makes of it (h, w, 3), at the photo's pixels.

    Parameters
    ----------
    scene
        The scene.
    at
        The rows and columns of the region that hold the mouth.
    made
        (128, 160, 3) the window as it was made, in 0 to 255.
    light
        How the photo shows the mouth.
    """
    warp, pixel, x, y = scene.warp, scene.region.scale, scene.x[at], scene.y[at]
    # A large photo's lips are sharper than what is rendered: more of them stays.
    large = float(np.clip((_SMALL - SCALE * pixel) / (_SMALL - _LARGE), 0, 1))
    growth, softness = HOLE_GROWTH - 0.5 * large, HOLE_SOFTNESS - 0.4 * large
    middle = mouth_middle(warp.targets)
    maps = mouth_maps(warp.after, middle, x, y, growth=growth, softness=softness)
    hole = maps.hole
    if warp.after.open and not warp.before.open:  # Lips part softly as the strength rises.
        hole = hole * np.float32(np.clip((warp.after.gap - _PARTING[0]) / _PARTING[1], 0, 1))
    content = upsample_sharp(made, x, y, pixel)
    if light.blur > _BLURRED:  # More than the window's resolution blurs it.
        content = cv2.GaussianBlur(content, (0, 0), light.blur)
    return hole, content + grain_like(scene.patch, scene.region, warp.targets, scene.blur, *at)


def _in_photo_colors(made: Floats, seen: Floats, hole: Floats) -> Floats:
    """Return a picture (h, w, 3) with no color that the photo has none of.

    In the hole nothing is redder than the lips around it; in a gray photo everything is gray.
    """
    luma = (made @ LUMA)[:, :, None]
    made = luma + np.float32(saturation(seen.reshape(-1, 3))) * (made - luma)
    if not hole.any():
        return made
    near = cv2.dilate(hole, np.ones((9, 9), np.uint8)) > 0.05
    ratio = float(np.percentile((seen[..., 0] / (seen[..., 1] + 0.05))[near], _REDDEST))
    made = made.copy()
    made[..., 0] -= hole * np.maximum(made[..., 0] - ratio * (made[..., 1] + 0.05), 0)
    return made


def _still(warp: FaceWarp) -> bool:
    """Tell whether landmarks and lips stay where they are."""
    moved = float(np.abs(warp.targets - warp.landmarks).max())
    return moved < _STILL and same_lips(warp.before, warp.after)


def _kept_share(before: Lips, after: Lips) -> float:
    """Return how far the photo's own teeth will do, 0 to 1; not where lips come to meet."""
    if not after.open:
        return 0.0
    return existing_share(before, after) * float(np.clip((after.gap - 1) / _TOUCHING, 0, 1))


def _with_existing_teeth(scene: Scene) -> Floats:
    """Return the region (h, w, 3) with the photo's own teeth between the lips."""
    warp = scene.warp
    rows, columns = window(warp.after, scene.x, scene.y, _ROOM)
    patch = scene.patch.copy()
    if rows.stop > rows.start and columns.stop > columns.start:
        at = rows, columns
        teeth, there = existing_teeth(
            scene.photo, scene.region, warp.before, warp.after, scene.x[at], scene.y[at]
        )
        there = there * between(warp.after, scene.x[at], scene.y[at], _LIP_EDGE)
        patch[at] += there[:, :, None] * (teeth - patch[at])
    return patch
