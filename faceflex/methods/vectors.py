"""Attribute vectors: what they are, how they are stored, sampled and kept apart from each other.

How they are estimated stands in :mod:`faceflex.methods.directions`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from faceflex.errors import AssetError, UsageError
from faceflex.methods.controls import find_control
from faceflex.tensors import read_arrays, valid_names, wrap_read_errors, write_arrays

KIND = "faceflex-vectors-1"
_WHAT = "vector file"
# Names among the file's arrays that are no attribute's.
_READOUT, _PROBES = "landmarks of the latent", "readers of the latent"
_AGE = "years of the latent"
_LEAST_LEFT = 0.2  # Share of a vector that must be left when others are taken out of it.
# Name, least success, and least AUC of the judge.
_TIERS = (("good", 0.75, 0.9), ("fair", 0.5, 0.8), ("weak", 0.25, 0.7))
_OLDEST = 90.0
HIDDEN = ("Attractive",)
"""Attributes that are listed only when asked for: a judgement of people, not a property."""


@dataclass(frozen=True)
class AttributeInfo:
    """What is known of an attribute's vectors.

    Attributes
    ----------
    positive, negative
        Faces with and without it that the vectors come from.
    gap
        Mean distance between the classes along the direction, in latent units.
    auc
        How well a linear reader of the latents tells held-out faces with it from those without
        (area under the ROC curve): what the model knows of it, and how consistent its labels are.
        None when there are too few faces to tell.
    agreement
        Mean cosine between versions: 1 when all are the same direction.
    estimator
        How the versions were made.
    success
        On what share of held-out faces where the judge does not see it, it does after strength 2
        (``faceflex evaluate vectors``); None when that was not measured.
    judged
        AUC of the judge itself on faces that it never saw: how consistent the labels are.
    """

    positive: int
    negative: int
    gap: float
    auc: float | None
    agreement: float
    estimator: str
    success: float | None = None
    judged: float | None = None

    @property
    def reliability(self) -> str:
        """``good``, ``fair``, ``weak`` or ``does not work``: how far edits can be relied on.

        From how often the judge sees the attribute after an edit, where that was measured, but
        never better than its labels are consistent; otherwise ``unknown``.
        """
        if self.success is None:
            return "unknown"
        for name, success, judged in _TIERS:
            if self.success >= success and (self.judged or 0.0) >= judged:
                return name
        return "does not work"


def agreement(versions: NDArray[np.float32]) -> float:
    """Return the mean cosine between versions (V, D); 0 when there is but one."""
    units = versions / np.maximum(np.linalg.norm(versions, axis=1, keepdims=True), 1e-12)
    n = len(units)
    return round(float(((units.sum(axis=0) ** 2).sum() - n) / max(1, n * (n - 1))), 4)


def _sound(info: AttributeInfo) -> bool:
    """Tell whether the fields have their kinds, and their numbers are finite."""
    counts, optional = (info.positive, info.negative), (info.auc, info.success, info.judged)
    numbers = (info.gap, info.agreement, *(v for v in optional if v is not None))
    return (
        all(type(v) is int and 0 <= v < 1 << 53 for v in counts)
        and all(type(v) in (int, float) and abs(v) < 1e9 for v in numbers)
        and isinstance(info.estimator, str)
        and info.estimator.isprintable()
    )


def describe(
    versions: NDArray[np.float32],
    gap: float,
    has: NDArray[np.int8],
    auc: float | None,
    estimator: str,
) -> AttributeInfo:
    """Describe vectors: where they come from, and how far the versions agree.

    Parameters
    ----------
    versions, gap
        From :func:`faceflex.methods.directions.estimate`.
    has
        (N,) which faces have the attribute: 1, -1, or 0 where it is not known.
    auc, estimator
        As in :class:`AttributeInfo`.
    """
    return AttributeInfo(
        int((has > 0).sum()),
        int((has < 0).sum()),
        round(gap, 4),
        None if auc is None else round(auc, 4),
        agreement(versions),
        estimator,
    )


class AttributeVectors:
    """The attributes that can be edited with one model.

    Parameters
    ----------
    versions
        (V, D) calibrated versions for each attribute.
    info
        What is known of each.
    model
        Id of the face model that they belong to.
    landmark_readout
        (D, 136): how the 68 landmarks move, in pixels of the template's crop, for each number of
        the latent; None when that is not known.
    linear_probes
        For each attribute (D,) weights that predict it linearly from a latent.
    age_probe
        (D + 1,) weights and intercept that predict a face's years from its latent; None when that
        is not known.

    Examples
    --------
    >>> from faceflex.assets import resolve
    >>> vectors = AttributeVectors.load(resolve("vectors"))
    >>> vectors.find("smiling"), vectors.mean("Smiling").shape
    ('Smiling', (500,))
    >>> vectors.info["Smiling"].reliability
    'good'
    >>> vectors.landmark_shift(vectors.mean("Smiling")).shape
    (68, 2)
    """

    def __init__(
        self,
        versions: Mapping[str, NDArray[np.float32]],
        info: Mapping[str, AttributeInfo],
        model: str,
        landmark_readout: NDArray[np.float32] | None = None,
        linear_probes: Mapping[str, NDArray[np.float32]] | None = None,
        age_probe: NDArray[np.float32] | None = None,
    ) -> None:
        self.versions, self.info, self.model = dict(versions), dict(info), model
        self.landmark_readout = landmark_readout
        self.linear_probes, self.age_probe = dict(linear_probes or {}), age_probe
        self.conditions: tuple[str, ...] = ()

    def __contains__(self, name: str) -> bool:
        return name in self.versions

    @property
    def names(self) -> list[str]:
        """The attributes' names, sorted."""
        return sorted(self.versions)

    @property
    def width(self) -> int:
        """D, the numbers of a latent."""
        return int(next(iter(self.versions.values())).shape[1])

    def find(self, name: str) -> str:
        """Return the attribute that ``name`` means, whatever its case.

        Raises
        ------
        UsageError
            If there is none; the message suggests the nearest.
        """
        return find_control(name, self.versions)

    def mean(self, name: str) -> NDArray[np.float32]:
        """Return the mean (D,) of an attribute's versions."""
        mean: NDArray[np.float32] = self._conditioned(name).mean(axis=0, dtype=np.float32)
        return mean

    def landmark_shift(self, shift: NDArray[np.floating]) -> NDArray[np.float32] | None:
        """Return how a latent shift (D,) moves the landmarks, (68, 2) in pixels of the crop."""
        if self.landmark_readout is None:
            return None
        return np.asarray(shift @ self.landmark_readout, np.float32).reshape(68, 2)

    def smile_degree(self, latent: NDArray[np.floating]) -> float | None:
        """Return how much the face of a latent (D,) smiles; None when that cannot be told."""
        probe = self.linear_probes.get("Smiling")
        return None if probe is None else float(latent @ probe)

    def age(self, latent: NDArray[np.floating]) -> float | None:
        """Return how old the face of a latent (D,) looks, in years; None when not known."""
        if self.age_probe is None:
            return None
        return float(np.clip(latent @ self.age_probe[:-1] + self.age_probe[-1], 0, _OLDEST))

    def variant(self, name: str, number: int, seed: int = 0) -> NDArray[np.float32]:
        """Return one version (D,) of an attribute, from an order that ``seed`` fixes.

        Parameters
        ----------
        name
            The attribute.
        number
            Which, from 1.
        seed
            Fixes the order.

        Raises
        ------
        UsageError
            If there are not so many, or no such attribute.
        """
        versions = self._conditioned(name)
        if not 1 <= number <= len(versions):
            raise UsageError(f"{name}: has variants 1 to {len(versions)}, not {number}")
        order = np.random.default_rng(seed).permutation(len(versions))
        version: NDArray[np.float32] = versions[order[number - 1]]
        return version

    def condition_on(self, names: Sequence[str]) -> AttributeVectors:
        """Return these vectors without what the attributes ``names`` could be told by.

        A version loses what the linear probes of those attributes would notice, and is then scaled
        to reach as far along its own direction as before (conditional manipulation, Shen et al.,
        InterFaceGAN, 2020, with probes in place of planes).

        Raises
        ------
        UsageError
            If one is unknown or has no probe.
        """
        conditions = tuple(dict.fromkeys(self.find(name) for name in names))
        for name in conditions:
            if name not in self.linear_probes:
                raise UsageError(f"{name}: cannot be kept; these vectors have no probe for it")
        changed = AttributeVectors(
            self.versions,
            self.info,
            self.model,
            self.landmark_readout,
            self.linear_probes,
            self.age_probe,
        )
        changed.conditions = conditions
        return changed

    def _conditioned(self, name: str) -> NDArray[np.float32]:
        """Return the versions (V, D) of an attribute, conditioned on others."""
        name = self.find(name)
        versions = self.versions[name]
        if name in self.conditions:
            raise UsageError(f"{name}: cannot be edited and kept")
        if not self.conditions:
            return versions
        probes = np.stack([self.linear_probes[k] for k in self.conditions]).astype(np.float64)
        basis, _ = np.linalg.qr(probes.T)
        left = versions - (versions @ basis) @ basis.T
        share = np.einsum("vd,vd->v", left, versions) / np.einsum("vd,vd->v", versions, versions)
        if share.mean() < _LEAST_LEFT:
            kept = ", ".join(self.conditions)
            raise UsageError(f"{kept}: cannot be kept; too little of {name} would be left")
        return (left / np.maximum(share, _LEAST_LEFT)[:, None]).astype(np.float32)

    def save(self, path: Path) -> None:
        """Write to a file (float16); it appears whole or not at all."""
        info = {k: asdict(v) for k, v in self.info.items()}
        metadata = {"kind": KIND, "model": self.model, "info": json.dumps(info, sort_keys=True)}
        arrays = {k: v.astype(np.float16) for k, v in self.versions.items()}
        if self.landmark_readout is not None:
            arrays[_READOUT] = self.landmark_readout.astype(np.float16)
        if self.linear_probes:
            probed = sorted(self.linear_probes)
            arrays[_PROBES] = np.stack([self.linear_probes[n] for n in probed]).astype(np.float16)
            metadata["readers"] = json.dumps(probed)
        if self.age_probe is not None:
            arrays[_AGE] = self.age_probe.astype(np.float16)
        write_arrays(path, arrays, metadata)

    @classmethod
    def load(cls, path: Path, model: str | None = None) -> AttributeVectors:
        """Read a file.

        Parameters
        ----------
        path
            File written by :meth:`save`.
        model
            Id of the face model to be used with it.

        Raises
        ------
        AssetError
            If the file is missing or damaged, or belongs to another model.
        """
        arrays, metadata = read_arrays(path, KIND, _WHAT)
        with wrap_read_errors(path, _WHAT):
            versions = {k: v.astype(np.float32) for k, v in arrays.items()}
            readout, probes = versions.pop(_READOUT, None), versions.pop(_PROBES, None)
            age = versions.pop(_AGE, None)
            names = json.loads(metadata.get("readers", "[]"))
            info = {k: AttributeInfo(**v) for k, v in json.loads(metadata["info"]).items()}
            belongs = metadata["model"]
            width = next((v.shape[-1] for v in versions.values()), 0)
            fits = [v.ndim == 2 and len(v) > 0 and v.shape[1] == width for v in versions.values()]
            fits.append(readout is None or readout.shape == (width, 136))
            fits.append(probes is None or probes.shape == (len(names), width))
            fits.append(age is None or age.shape == (width + 1,))
            fits += [valid_names(versions), valid_names(names), isinstance(belongs, str)]
            if set(info) != set(versions) or not versions or not all(fits):
                raise ValueError("its parts do not fit together")
            if not all(_sound(one) for one in info.values()):
                raise ValueError("what it says of its attributes")
            by_name = dict(zip(names, probes, strict=True)) if probes is not None else {}
        if model is not None and belongs != model:
            raise AssetError(
                f"{path}: these vectors belong to model {belongs}, not to {model}; "
                "make vectors for it with: faceflex build-vectors"
            )
        return cls(versions, info, belongs, readout, by_name, age)
