"""The mouth's interior: the photo's own teeth, new ones, or the line where lips meet."""

from __future__ import annotations

import zlib

import cv2
import numpy as np
from numpy.typing import NDArray

from faceflex.compose.content import Content, Scene
from faceflex.compose.lips_motion import between, edges, mouth_middle, window
from faceflex.compose.mouth_exemplars import MouthKind
from faceflex.compose.mouth_light import MouthLight
from faceflex.compose.photo_detail import grain_like
from faceflex.compose.small_mouths import small_share, teeth_in_small_photo
from faceflex.compose.warp import FaceWarp
from faceflex.faces.infant import is_child, is_infant
from faceflex.faces.landmark_groups import OUTER_MOUTH_CORNERS
from faceflex.faces.lips import Lips
from faceflex.faces.region import LUMA, Region

_SOFT = 0.8  # Pixels of the crop over which a lip's edge passes into what is behind it.
_EDGE = 2.0  # Width of that edge to the sigma of the photo's blur.
_SOFTEST = 0.4  # The edge's greatest width to the gap between the lips.
_TURNED = 0.15  # How uneven the halves of a mouth are in a turned face.
_SEAM, _SEAM_WIDTH = 0.4, 0.55
_INSIDE, _BRIGHTEST = 0.7, 85  # Where teeth are looked for; the percentile from which they are.
_GAIN = (0.9, 1.45)  # How far their brightness is corrected.
_OWN = (3.0, 4.5)  # Pixels of the crop: lips that are so far apart show a person's own teeth.
_SLIT = (1.5, 3.5)  # Pixels of the crop: between lips that are less apart it is dark.

Floats = NDArray[np.float32]


class MouthExemplars:
    """Renders new teeth from exemplars, without a network.

    Parameters
    ----------
    seed
        Fixes whose teeth a face gets, at all strengths and in all frames.
    """

    fingerprint = "exemplars-1"

    def __init__(self, seed: int = 0) -> None:
        self._seed = seed

    def render(self, scene: Scene) -> Content | None:
        """Render what lies between the lips; None where the mouth was and stays closed."""
        before, after = scene.warp.before, scene.warp.after
        if same_lips(before, after):
            return None
        if not after.open:
            return darken_seam(scene) if before.open else None
        rows, columns = window(after, scene.x, scene.y)
        if rows.stop <= rows.start or columns.stop <= columns.start:
            return None
        at = rows, columns
        part = scene.patch[at]
        kind = draw_mouth(np.random.default_rng((self._seed, person(scene.warp))), scene.warp)
        teeth, share = render_teeth(scene, kind, measure_light(scene), at)
        existing = existing_share(before, after)
        if existing > 0:
            kept, there = existing_teeth(
                scene.photo, scene.region, before, after, scene.x[at], scene.y[at]
            )
            teeth = teeth + (part + (kept - part) * there[:, :, None] - teeth) * existing
        pixels = part + share[:, :, None] * (teeth - part)
        return Content(rows, columns, pixels, share * np.float32(1 - existing))


def measure_light(scene: Scene) -> MouthLight:
    """Measure the light on a scene's mouth."""
    known = scene.memory.get("light")
    if known is None:
        known = MouthLight.measure(scene.photo, scene.region, scene.warp.landmarks, scene.blur)
        scene.memory["light"] = known
    return known


def render_teeth(
    scene: Scene, kind: MouthKind, light: MouthLight, at: tuple[slice, slice]
) -> tuple[Floats, Floats]:
    """Render teeth between the lips of a scene, with the photo's light, blur and grain.

    Parameters
    ----------
    scene
        The scene.
    kind
        Whose teeth.
    light
        How the photo shows them.
    at
        The rows and columns of the region that hold the mouth.

    Returns
    -------
    (h, w, 3) in 0 to 255, and (h, w) how far each place shows them, 0 to 1.
    """
    lips, scale, x, y = scene.warp.after, scene.region.scale, scene.x[at], scene.y[at]
    colors = kind.render(lips, mouth_middle(scene.warp.targets), x, y, scale)
    # No softer than that teeth reach their color in the middle of the mouth: they are blurred too.
    soft = min(max(_SOFT, 1.5 * scale, _EDGE * light.blur * scale), max(_SOFT, _SOFTEST * lips.gap))
    grain = grain_like(scene.patch, scene.region, scene.warp.targets, scene.blur, *at)
    share, lit = between(lips, x, y, soft), light.apply(colors)
    if not kind.infant:
        inside = between(lips, x, y, _SOFT)
        lit = _as_bright(lit, inside, light, kind.brightness, lips.gap)
        small = small_share(lips, scale, light.blur)
        if small > 0:
            teeth, there = teeth_in_small_photo(scene, kind, light, at)
            lit += np.float32(small) * (teeth - lit)
            share = share + np.float32(small) * (there - share)
    return lit + grain, share


def _as_bright(
    lit: Floats, inside: Floats, light: MouthLight, brightness: float, gap: float
) -> Floats:
    """Return teeth (h, w, 3) whose brightest part is as bright as teeth are in the photo.

    That brightness was measured in photos, where blur had mixed it with what is dark already.
    """
    luma = (lit @ LUMA)[inside > _INSIDE]
    if not luma.size:
        return lit
    seen = float(luma[luma >= np.percentile(luma, _BRIGHTEST)].mean())
    wanted = 255 * min(float(light.teeth @ LUMA) * brightness, 0.97)
    gain = np.clip((wanted - 255 * light.black) / max(seen - 255 * light.black, 1.0), *_GAIN)
    gain = 1 + (gain - 1) * np.clip((gap - _SLIT[0]) / (_SLIT[1] - _SLIT[0]), 0, 1)
    return np.asarray(255 * light.black + np.float32(gain) * (lit - 255 * light.black), np.float32)


def draw_mouth(rng: np.random.Generator, warp: FaceWarp) -> MouthKind:
    """Draw whose teeth a face gets.

    An infant gets none, a small child milk teeth, a turned face a wide row, seen from the side.
    """
    landmarks = warp.landmarks
    right, left = (landmarks[corner, 0] for corner in OUTER_MOUTH_CORNERS)
    half = (mouth_middle(landmarks) - right) / max(float(left - right), 1.0)
    turned = abs(half - 0.5) > _TURNED
    return MouthKind.draw(rng, is_infant(landmarks), turned, is_child(landmarks))


def person(warp: FaceWarp) -> int:
    """Return what fixes the kind of mouth: the same for all edits of a face in a photo."""
    return zlib.crc32(np.ascontiguousarray(warp.landmarks).tobytes())


def same_lips(before: Lips, after: Lips) -> bool:
    """Tell whether lips stay where they are, to a twentieth of a pixel."""
    pairs = ((before.x, after.x), (before.upper, after.upper), (before.lower, after.lower))
    return all(float(np.abs(a - b).max()) < 0.05 for a, b in pairs)


def existing_share(before: Lips, after: Lips) -> float:
    """Return how far the photo's own teeth will do, 0 to 1.

    Not when a slit becomes a wide opening; but those of a mouth that is well open always do.
    """
    wide = float(np.clip((before.gap - _OWN[0]) / (_OWN[1] - _OWN[0]), 0, 1))
    ratio = before.gap / max(after.gap, 1e-6)
    return max(wide, float(np.clip((ratio - 0.35) / 0.3, 0, 1))) if before.open else 0.0


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


def darken_seam(scene: Scene) -> Content:
    """Darken the line along which lips have come to meet."""
    lips, x, y = scene.warp.after, scene.x, scene.y
    apart = y - np.interp(x, lips.x, lips.midline)
    half = (lips.x[-1] - lips.x[0]) / 2
    sideways = np.clip(1 - np.abs(x - (lips.x[0] + lips.x[-1]) / 2) / max(half, 1e-6), 0, 1)
    dark = _SEAM * np.exp(-((apart / _SEAM_WIDTH) ** 2)) * np.minimum(1, 4 * sideways)
    pixels = np.asarray(scene.patch * (1 - dark[:, :, None]), np.float32)
    return Content(slice(None), slice(None), pixels, np.zeros(x.shape, np.float32))
