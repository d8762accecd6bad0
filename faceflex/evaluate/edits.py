"""Measure what edits do to photos: whether they succeed, and what else they change."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from faceflex.assets import locate, resolve
from faceflex.assets.registry import find_asset
from faceflex.edit.editor import Editor
from faceflex.errors import NoFaceError, UsageError
from faceflex.evaluate import measures
from faceflex.faces import Face
from faceflex.faces.align import align
from faceflex.faces.aligned_face import AlignedFace
from faceflex.faces.landmark_groups import OUTER_LIPS
from faceflex.faces.landmarks import LandmarkModel
from faceflex.faces.mask import face_outline
from faceflex.faces.recognition import FaceDescriptor, descriptor_distance
from faceflex.models.attribute_classifier import AttributeClassifier, load_classifier

PASS = 0.8
"""A face shows the attribute when the classifier's score passes this (lacks it: 1 minus this)."""

Row = dict[str, Any]


@dataclass(frozen=True)
class Measurement:
    """What the instruments measure of a face in one picture.

    Attributes
    ----------
    points
        (68, 2) float32 landmarks in its pixels.
    score
        The classifier's probability of the attribute.
    descriptor
        (128,) float64, of the face's identity.
    """

    points: NDArray[np.float32]
    score: float
    descriptor: NDArray[np.float64]


class Instruments:
    """Attribute classifier, descriptor and landmarks, loaded when first needed.

    Parameters
    ----------
    classifier
        Registered name or file.
    landmarks
        The same; by default dlib's own predictor where it is on this machine, because edits are
        not made with it, otherwise the bundled one.
    """

    def __init__(self, classifier: str = "judge", landmarks: str | None = None) -> None:
        self._classifier_name = classifier
        independent = "dlib68" if locate(find_asset("dlib68")) else "landmarks68"
        self.landmarks_name = landmarks or independent

    @cached_property
    def classifier(self) -> AttributeClassifier:
        """The attribute classifier."""
        return load_classifier(resolve(self._classifier_name))

    @cached_property
    def descriptor(self) -> FaceDescriptor:
        """Dlib's face descriptor."""
        return FaceDescriptor()

    @cached_property
    def landmarks(self) -> LandmarkModel:
        """The landmark predictor that measures."""
        return LandmarkModel(resolve(self.landmarks_name))

    def column(self, attribute: str) -> int:
        """Return the number of the classifier's output for an attribute.

        Raises
        ------
        UsageError
            If the classifier does not know it.
        """
        names = self.classifier.config.names
        if attribute not in names:
            known = ", ".join(names)
            raise UsageError(f"the classifier does not know {attribute}; it knows: {known}")
        return names.index(attribute)

    def measure(
        self, picture: NDArray[np.uint8], points: NDArray[np.floating], attribute: str
    ) -> Measurement:
        """Measure the face near ``points`` (68, 2) of an (H, W, 3) uint8 picture."""
        landmarks = self.landmarks.find_again(picture, points)
        crop = align(picture, landmarks).crop
        score = float(self.classifier.scores(crop[None])[0, self.column(attribute)])
        return Measurement(landmarks, score, self.descriptor(picture, landmarks))


def evaluate_photo(
    editor: Editor,
    instruments: Instruments,
    name: str,
    rgb: NDArray[np.uint8],
    attribute: str,
    strengths: Sequence[float],
    *,
    real: NDArray[np.uint8] | None = None,
    faces: Sequence[Face] | None = None,
) -> Iterator[tuple[Row, NDArray[np.uint8]]]:
    """Edit a photo and measure each of its faces.

    Parameters
    ----------
    editor, instruments
        What edits, and what measures.
    name, rgb
        The photo's name and its (H, W, 3) uint8 pixels.
    attribute
        Proper name of the control that is set; the classifier's name of it, too.
    strengths
        Its values.
    real
        A photo of the same person that shows what the edit should; for photos of one face.
    faces
        The photo's faces, where they are known; those of which the detector is less sure than the
        editor asks for are left out.

    Yields
    ------
    The figures of a face at a strength, and the edited photo.

    Raises
    ------
    NoFaceError
        If the photo, or ``real``, has no face.
    """
    opened = editor.open(rgb, name=name, faces=faces)
    measured = [instruments.measure(rgb, a.face.points, attribute) for a in opened.faces]
    goal = None
    if real is not None:
        real_faces = editor.finder.find(real)
        if not real_faces or len(opened.faces) != 1:
            raise NoFaceError(f"{name}: a pair needs one face in each of its two photos")
        largest = max(real_faces, key=lambda f: f.width)
        goal = instruments.measure(real, largest.points, attribute)
    covered = _covered(rgb.shape, opened.faces)
    shots = [opened.shot(**{attribute: strength}) for strength in strengths]
    for strength, picture in zip(strengths, opened.render(shots), strict=True):
        outside = int((picture != rgb).any(axis=2)[~covered].sum())
        for aligned, before in zip(opened.faces, measured, strict=True):
            row = {
                "photo": name,
                "face": aligned.face.index,
                "width": aligned.face.width,
                "attribute": attribute,
                "strength": strength,
                "outside": outside,
            }
            after = instruments.measure(picture, before.points, attribute)
            yield row | _figures(rgb, picture, before, after, goal), picture


def _covered(shape: tuple[int, ...], faces: Sequence[AlignedFace]) -> NDArray[np.bool_]:
    """Return (H, W): inside the mask of any face."""
    covered = np.zeros(shape[:2], bool)
    for region in (f.region for f in faces):
        if region is not None:
            place = covered[region.top : region.bottom, region.left : region.right]
            place |= region.mask > 0
    return covered


def _figures(
    photo: NDArray[np.uint8],
    picture: NDArray[np.uint8],
    before: Measurement,
    after: Measurement,
    goal: Measurement | None,
) -> Row:
    """Return all measures of one face, before in the photo and after in its edit."""
    # Everything is measured in a window around the face, whatever the photo's size.
    both = np.concatenate([before.points, after.points])
    low, high = np.floor(both.min(axis=0)).astype(int), np.ceil(both.max(axis=0)).astype(int)
    room = (high - low).max() // 3
    y, x = (slice(max(0, low[i] - room), max(1, high[i] + room)) for i in (1, 0))
    corner = np.array([x.start, y.start], np.float32)
    a, b = np.ascontiguousarray(photo[y, x]), np.ascontiguousarray(picture[y, x])
    old, new = before.points - corner, after.points - corner
    hull = measures.area(a.shape, face_outline(old))
    mouths = [measures.area(a.shape, p[OUTER_LIPS]) for p in (old, new)]
    row: Row = {
        "score_before": before.score,
        "score": after.score,
        "identity_distance": descriptor_distance(before.descriptor, after.descriptor),
        "sharpness_hull": measures.sharpness(b, hull) / max(measures.sharpness(a, hull), 1e-6),
        "sharpness_mouth": measures.sharpness(b, mouths[1])
        / max(measures.sharpness(a, mouths[0]), 1e-6),
        "noise": measures.noise(b, hull) / max(measures.noise(a, hull), 1e-6),
        "noise_mouth": measures.noise(b, mouths[1]) / max(measures.noise(a, mouths[0]), 1e-6),
        "colour_change": measures.colour_change(a, b, old),
        "seam": measures.seam(a, b, old),
    }
    if goal is not None:
        row |= {
            "nearer": measures.nearer(before.points, after.points, goal.points),
            "real_score": goal.score,
            "real_identity_distance": descriptor_distance(before.descriptor, goal.descriptor),
        }
    return {k: round(v, 5) if isinstance(v, float) else v for k, v in row.items()}


def passed(row: Row) -> bool:
    """Tell whether an edit reached what its strength's sign asks for."""
    score: float = row["score"]
    return score > PASS if row["strength"] > 0 else score < 1 - PASS


def summarise(rows: Sequence[Row]) -> dict[str, Any]:
    """Summarise rows of one attribute by strength.

    Returns
    -------
    ``strengths``: a dictionary for each; ``chosen``: the smallest strength (by size) at which 85 %
    of the faces pass, or None; ``monotone``: share of steps away from 0 at which the score does
    not fall (rise, for negative strengths) by more than 0.02.
    """
    values = sorted({r["strength"] for r in rows}, key=abs)
    table = [_summary([r for r in rows if r["strength"] == v]) for v in values]
    chosen = next((t["strength"] for t in table if t["strength"] and t["passed"] >= 0.85), None)
    return {"strengths": table, "chosen": chosen, "monotone": _monotone(rows)}


def _summary(rows: Sequence[Row]) -> dict[str, Any]:
    """Return the figures of the rows of one strength."""

    def of(name: str, percentile: float) -> float:
        return round(float(np.percentile(np.array([r[name] for r in rows]), percentile)), 4)

    summary: dict[str, Any] = {
        "strength": rows[0]["strength"],
        "faces": len(rows),
        "passed": round(float(np.mean([passed(r) for r in rows])), 4),
        "score_median": of("score", 50),
        "identity_median": of("identity_distance", 50),
        "identity_99": of("identity_distance", 99),
        "sharpness_hull": of("sharpness_hull", 50),
        "sharpness_mouth": of("sharpness_mouth", 50),
        "noise": of("noise", 50),
        "noise_mouth": of("noise_mouth", 50),
        "colour_change": of("colour_change", 50),
        "outside_most": max(r["outside"] for r in rows),
        "seam": of("seam", 50),
        "seam_95": of("seam", 95),
    }
    if all("nearer" in r for r in rows):
        summary |= {
            "nearer_people": round(float(np.mean([r["nearer"] > 0 for r in rows])), 4),
            "nearer_median": of("nearer", 50),
            "score_nearer_people": round(
                float(
                    np.mean(
                        [
                            abs(r["score"] - r["real_score"])
                            < abs(r["score_before"] - r["real_score"])
                            for r in rows
                        ]
                    )
                ),
                4,
            ),
            "real_identity_median": of("real_identity_distance", 50),
            "real_identity_99": of("real_identity_distance", 99),
        }
    return summary


def _monotone(rows: Sequence[Row]) -> float:
    """Return the share of steps away from strength 0 that do not move the score back."""
    steps: list[bool] = []
    for key in {(r["photo"], r["face"]) for r in rows}:
        of_face = [r for r in rows if (r["photo"], r["face"]) == key]
        for sign in (1, -1):
            away = [r for r in of_face if r["strength"] * sign >= 0]
            away.sort(key=lambda r: abs(r["strength"]))
            scores = [sign * r["score"] for r in away]
            steps += [b > a - 0.02 for a, b in pairwise(scores)]
    return round(float(np.mean(steps)), 4) if steps else 1.0
