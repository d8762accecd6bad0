"""Training pairs of the content renderer, made from real photos by round trips.

A photo's smile is taken away (or added) by the editing pipeline, and the result is warped back
exactly onto the photo's own landmarks and lips. What comes back, the source, has the geometry of
the photo and lacks its content: teeth have become lips, folds are gone. The target is the photo
itself, so what is learned from such pairs is what cameras see.

Two photos of one person, neutral and smiling, give a pair too: the one is warped onto the other.
Those show what a smile does beside the mouth, to folds, cheeks and lower lids.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from faceflex.compose.change import FaceChange, TransferStyle
from faceflex.compose.content_inputs import skin_color
from faceflex.compose.content_window import region_to_window, window_coordinates
from faceflex.compose.transfer import transfer
from faceflex.compose.warp import (
    LOWER_FACE,
    UPPER_FACE,
    FaceWarp,
    backward_field,
    estimate_warp,
    jacobian,
    merge_fields,
    outline_anchors,
)
from faceflex.data.records import Record
from faceflex.errors import FaceflexError, UsageError
from faceflex.faces.align import fit_error, invert
from faceflex.faces.aligned_face import AlignedFace, align_faces
from faceflex.faces.find import Face, find_faces
from faceflex.faces.lips import SAMPLES, Lips
from faceflex.methods.attribute_vectors import AttributeVectorMethod
from faceflex.methods.base import Shot
from faceflex.methods.latent_steps import FaceCode
from faceflex.photo import load_rgb

ATTRIBUTE = "Smiling"

_WEAKEST, _STRONGEST = 1.0, 2.2  # Strengths of the way there, by size.
_MAX_FIT_ERROR = 8.0  # Pixels of the crop: landmarks that fit worse are wrong.
_MIN_JACOBIAN = 0.1
_COLUMNS = np.linspace(0, SAMPLES - 1, 13).round().astype(int)
_CLOSED_USED = 0.4  # Share of the photos with closed lips that are used, ...
_CLOSED_LESS = 0.3  # ... and of those, the share whose smile is taken away, not added.
_OPEN_EDITED = 0.3  # Share of the photos with open lips that edits without a target are made of.
_COLORED = 0.6  # Share of the ways there that carry color over.
_EDIT_SHADING = (0.1, 0.2)
_USUAL_AGE = 35.0

Floats = NDArray[np.float32]
Picture = NDArray[np.uint8]


@dataclass(frozen=True)
class ContentPair:
    """A source and its target: windows of a face, see :mod:`faceflex.compose.content_window`.

    Attributes
    ----------
    source, target
        (128, 160, 3) uint8 RGB.
    lips
        (3, 65) float32: x, upper and lower contour of the target's inner lips.
    landmarks
        (68, 2) float32 of the target, in pixels of the crop.
    smile
        Smile degree of the target.
    age
        In years.
    """

    source: Picture
    target: Picture
    lips: Floats
    landmarks: Floats
    smile: float
    age: float


def sample_photo(photo: Picture, matrix: NDArray[np.float64], x: Floats, y: Floats) -> Picture:
    """Return a photo's pixels (h, w, 3) at coordinates of the crop.

    Parameters
    ----------
    photo
        (H, W, 3) uint8.
    matrix
        (2, 3) similarity, photo pixels to crop pixels.
    x, y
        (h, w) in pixels of the crop.
    """
    px, py = (np.float32(row[0] * x + row[1] * y + row[2]) for row in invert(matrix))
    return cv2.remap(photo, px, py, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101)


def sample_warped(photo: Picture, matrix: NDArray[np.float64], warp: FaceWarp) -> Picture:
    """Return the window (128, 160, 3) of a photo as it is after a warp."""
    x, y = window_coordinates()
    upper, lower = (
        cv2.remap(f, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE) for f in warp.fields
    )
    field = merge_fields(warp, upper, lower, x, y)
    return sample_photo(photo, matrix, x + field[..., 0], y + field[..., 1])


def exact_warp(
    landmarks: Floats, lips: Lips, targets: Floats, lip_targets: Lips
) -> FaceWarp | None:
    """Return the warp that brings landmarks and lips exactly to their targets.

    Unlike :func:`faceflex.compose.warp.estimate_warp` it is not at rest at the mask's edge, and it
    is never shortened: None where it would fold the picture.
    """
    anchors, halves = outline_anchors(targets), []
    for group, edge in ((UPPER_FACE, "upper"), (LOWER_FACE, "lower")):
        sources, goals = (
            np.concatenate(
                [p[list(group)], np.stack([m.x, getattr(m, edge)], axis=1)[_COLUMNS], anchors]
            )
            for p, m in ((landmarks, lips), (targets, lip_targets))
        )
        halves.append(backward_field(goals, sources))
    if min(float(jacobian(half).min()) for half in halves) < _MIN_JACOBIAN:
        return None
    return FaceWarp(halves[0], halves[1], landmarks, targets, lips, lip_targets)


@dataclass(frozen=True)
class _OpenFace:
    """A photo, its aligned face, and its code."""

    rgb: Picture
    face: AlignedFace
    code: FaceCode

    @property
    def target(self) -> Picture:
        """The photo's own window."""
        return sample_photo(self.rgb, self.face.matrix, *window_coordinates())


class RoundTrips:
    """Makes pairs from photos.

    Parameters
    ----------
    method
        Takes smiles away, and adds them.
    """

    def __init__(self, method: AttributeVectorMethod) -> None:
        self.method = method

    def open(self, record: Record) -> _OpenFace | None:
        """Read a picture and its largest face; None where there is no good one."""
        try:
            rgb = load_rgb(record.path)
        except (FaceflexError, OSError, ValueError):
            return None
        if record.points is not None:
            face = Face.at(record.points)
        else:
            found = find_faces(rgb)
            if not found:
                return None
            face = max(found, key=lambda f: f.width)
        if fit_error(face.points) > _MAX_FIT_ERROR:
            return None
        (aligned,) = align_faces(rgb, [face])
        if aligned.region is None:
            return None
        return _OpenFace(rgb, aligned, self.method.encode([aligned], rgb)[0])

    def smile(self, latent: Floats) -> float:
        """Return the smile degree of a latent (D,).

        Raises
        ------
        UsageError
            If the vectors cannot tell it.
        """
        degree = self.method.vectors.smile_degree(latent)
        if degree is None:
            raise UsageError(f"these vectors have no probe of {ATTRIBUTE}; training needs it")
        return degree

    def round_trip(self, record: Record, rng: np.random.Generator) -> ContentPair | None:
        """Make the pair of a photo: there and back; None where it is not suited."""
        opened = self.open(record)
        if opened is None:
            return None
        face = opened.face
        if not face.lips.open and rng.random() >= _CLOSED_USED:
            return None
        strength = float(rng.uniform(_WEAKEST, _STRONGEST))
        if face.lips.open or rng.random() < _CLOSED_LESS:
            strength = -strength
        way = self._way(opened, strength)
        if way is None or face.region is None:
            return None
        change, warp = way
        change = replace(change, style=_varied(change.style, rng))
        patch = transfer(opened.rgb, face.region, face.crop, change, warp).patch
        edited = opened.rgb.copy()
        place = face.region.crop(edited)
        mixed = place + face.region.mask[:, :, None] * (patch - place)
        place[...] = np.clip(np.rint(mixed), 0, 255)
        back = exact_warp(warp.targets, warp.after, face.landmarks, face.lips)
        if back is None:
            return None
        source = sample_warped(edited, face.matrix, back)
        return self._pair(source, opened, face.landmarks, face.lips, opened.code.latent, record)

    def edit(self, record: Record, rng: np.random.Generator) -> ContentPair | None:
        """Make an edit as users make it, whose target is not known: the photo stands there."""
        opened = self.open(record)
        if opened is None:
            return None
        face, code = opened.face, opened.code
        smiles = self.smile(code.latent) > 0
        if smiles != face.lips.open or (face.lips.open and rng.random() >= _OPEN_EDITED):
            return None
        strength = float(rng.uniform(-1.75, -1.0) if smiles else rng.uniform(0.75, 1.75))
        way = self._way(opened, strength)
        if way is None or face.region is None or (smiles and way[1].after.open):
            return None
        change, warp = way
        style = replace(change.style, max_shading=float(rng.uniform(*_EDIT_SHADING)))
        change = replace(change, style=style)
        patch = transfer(opened.rgb, face.region, face.crop, change, warp).patch
        source = np.clip(np.rint(region_to_window(patch, face.region)), 0, 255).astype(np.uint8)
        latent = code.latent + np.float32(strength) * self.method.vectors.mean(ATTRIBUTE)
        return self._pair(source, opened, warp.targets, warp.after, latent, record)

    def persons(self, first: _OpenFace, second: _OpenFace, age: float) -> ContentPair | None:
        """Return the pair of which ``first``, warped, is the source and ``second`` the target."""
        a, b = first.face, second.face
        warp = exact_warp(a.landmarks, a.lips, b.landmarks, b.lips)
        if warp is None:
            return None
        source, target = sample_warped(first.rgb, a.matrix, warp), second.target
        colors = [skin_color(np.float32(p) / 255, b.landmarks) for p in (source, target)]
        gain = np.clip(colors[1] / colors[0], 0.7, 1.4)
        source = np.clip(np.rint(source * gain), 0, 255).astype(np.uint8)
        record = Record(Path(), "folder", labels={"age": age})
        return self._pair(source, second, b.landmarks, b.lips, second.code.latent, record)

    def _way(self, opened: _OpenFace, strength: float) -> tuple[FaceChange, FaceWarp] | None:
        """Return an edit's step that moves the face, and how it does; None if nothing moves."""
        ((steps,),) = self.method.changes([opened.code], [Shot(((ATTRIBUTE, strength),))])
        for change in steps:
            if change.landmarks is not None:
                face = opened.face
                warp = estimate_warp(face.landmarks, change.landmarks, face.lips, change.lips)
                return None if (warp.targets == warp.landmarks).all() else (change, warp)
        return None

    def _pair(
        self,
        source: Picture,
        opened: _OpenFace,
        landmarks: Floats,
        lips: Lips,
        latent: Floats,
        record: Record,
    ) -> ContentPair:
        age = record.labels.get("age")
        if age is None:
            age = self.method.vectors.age(opened.code.latent)
        edges = np.stack([lips.x, lips.upper, lips.lower])
        years = _USUAL_AGE if age is None else float(age)
        return ContentPair(source, opened.target, edges, landmarks, self.smile(latent), years)


def _varied(style: TransferStyle, rng: np.random.Generator) -> TransferStyle:
    """Return a style of the way there: folds are to be lost, more or less."""
    color = float(rng.uniform(0, 0.6)) if rng.random() < _COLORED else 0.0
    shading, sigma = float(rng.uniform(0.15, 0.5)), float(rng.uniform(4.0, 10.0))
    return replace(style, color=color, max_shading=shading, highpass_sigma=sigma)
