"""The degree of a smile as a dial (SmileCVAE), as a way to edit whole photos.

A regressor says how much a face smiles, a number from -1 to 1. The smile CVAE decodes the face's
code with that degree and with another; what differs is the change. Which other one, the regressor
says too: faces differ in how soon they are seen to smile, so it looks at decodes on the way.
Landmarks, lips, transfer and new content are those of attribute vectors, which share its latent.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from faceflex.assets import resolve
from faceflex.assets.registry import sha256_of
from faceflex.compose.change import FaceChange
from faceflex.errors import AssetError, UsageError
from faceflex.faces import Face
from faceflex.faces.align import align
from faceflex.faces.aligned_face import AlignedFace
from faceflex.methods.attribute_vectors import AttributeVectorMethod
from faceflex.methods.base import Shot
from faceflex.methods.controls import Control, MethodOptions, Settings, settings_by_name
from faceflex.methods.latent_steps import FaceCode
from faceflex.methods.registry import SMILE, SMILE_SHIFT

if TYPE_CHECKING:
    from faceflex.models.degree_regressor import DegreeRegressor
    from faceflex.models.smile_cvae import SmileCVAE

REGRESSOR = "smile-degree"
_DECIMALS = 2  # Of degrees: differences smaller than this are none.
# Degrees of the CVAE, less the face's own, at which its decodes are looked at; and beyond which
# faces come apart.
_KNOTS = (-2.4, -1.6, -0.8, 0.0, 0.8, 1.6, 2.4)
# An edit moves the CVAE's degree at least and at most so many times as far as was asked for.
_LEAST, _MOST = 0.8, 1.8
_LINEAR = 0.8  # Beyond this degree the raw scale goes on as a line, so that it has no end.


@dataclass(frozen=True)
class SmileCode:
    """A face as this method knows it.

    Attributes
    ----------
    face
        Its latent and decode.
    degree
        How much it smiles.
    seen
        (7,) how much its decodes are seen to smile at :data:`_KNOTS`, on the raw scale, rising.
    """

    face: FaceCode
    degree: float
    seen: NDArray[np.float32]


class SmileDegreeMethod:
    """Sets the degree of smiles, or shifts it; loads each file when it is first needed.

    Sent to another process, it arrives without its models and loads them there; equal ones are one
    in that process.

    Parameters
    ----------
    model
        Registered name or path of a smile CVAE of the bundled face model.
    vectors
        Registered name or path of the vectors whose landmark readout and probes are used.
    device
        ``auto``, ``cpu``, ``cuda`` or ``mps``.
    """

    name = "smile-degree"

    def __init__(
        self, model: str = "smile-cvae", vectors: str = "vectors", *, device: str = "auto"
    ) -> None:
        self._model_name, self._vectors_name, self._device = model, vectors, device
        self._base = AttributeVectorMethod(vectors=vectors, device=device)
        self._lock = threading.Lock()
        self._loaded: SmileCVAE | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        return _shared_method, (self._model_name, self._vectors_name, self._device)

    @property
    def cvae(self) -> SmileCVAE:
        """The smile CVAE.

        Raises
        ------
        AssetError
            If it belongs to another face model.
        """
        from faceflex.models.checkpoint import load_network
        from faceflex.models.smile_cvae import SmileCVAE

        with self._lock:
            if self._loaded is None:
                path, ours = resolve(self._model_name), self._base.fingerprints["model"]
                loaded = load_network(path, SmileCVAE)
                if loaded.config.face_model != ours:
                    raise AssetError(
                        f"{path}: this smile CVAE belongs to face model"
                        f" {loaded.config.face_model}, not to {ours}"
                    )
                self._loaded = loaded
        return self._loaded

    @cached_property
    def fingerprints(self) -> Mapping[str, str]:
        """Ids of the face model, the CVAE and the regressor; known without loading them."""
        ours = {"cvae": self._model_name, "degree": REGRESSOR}
        own = {role: sha256_of(resolve(name))[:12] for role, name in ours.items()}
        return {**self._base.fingerprints, **own}

    @property
    def controls(self) -> Mapping[str, Control]:
        """The degree itself, and a shift of it."""
        return {control.name: control for control in (SMILE, SMILE_SHIFT)}

    @property
    def accelerated(self) -> bool:
        """Whether something else than the CPU computes."""
        return self._base.accelerated

    def load(self) -> None:
        """Load all models now."""
        self._base.load()
        _ = self.cvae, _regressor()

    def resolve(self, settings: Mapping[str, float]) -> Settings:
        """Return settings under the controls' proper names.

        Raises
        ------
        UsageError
            If a control is unknown, set twice, or no finite number.
        """
        resolved = settings_by_name(settings, self.controls)
        for name, value in resolved.items():
            if not math.isfinite(value):
                raise UsageError(f"`{name.lower()}` {value:g}: needs a number")
        return tuple(resolved.items())

    def encode(self, faces: Sequence[AlignedFace], photo: NDArray[np.uint8]) -> list[SmileCode]:
        """Encode faces, and estimate their degrees."""
        codes = self._base.encode(faces, photo)
        degrees = estimate_degrees([face.crop for face in faces])
        return [
            SmileCode(code, degree, self._look(code, degree))
            for code, degree in zip(codes, degrees, strict=True)
        ]

    def _look(self, code: FaceCode, degree: float) -> NDArray[np.float32]:
        """Return how much decodes of a face are seen to smile as the CVAE's degree moves."""
        moves = np.array(_KNOTS, np.float32)
        latents = code.latent + self._moved(code, degree, degree + moves)
        decoded = np.round(self._base.codec.decode(latents) * 255).astype(np.uint8)
        return np.maximum.accumulate(_regressor().raw_degrees(decoded))

    def _moved(
        self, code: FaceCode, own: float, degrees: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Return what leads from a face's own degree to others (N,), offsets (N, D)."""
        import torch

        latents = torch.from_numpy(code.latent).expand(len(degrees), -1)
        told = torch.full((len(degrees),), own)
        with torch.inference_mode():
            offsets: NDArray[np.float32] = self.cvae.offset(
                latents, told, torch.from_numpy(degrees)
            ).numpy()
        return offsets

    def changes(
        self, codes: Sequence[SmileCode], shots: Sequence[Shot]
    ) -> Iterator[list[list[FaceChange]]]:
        """Yield, for each shot, one step a face; none for a face that has the degree already."""
        for shot in shots:
            settings = dict(shot.settings)
            offsets = [self._offset(code, settings) for code in codes]
            moved = [(c, o) for c, o in zip(codes, offsets, strict=True) if o is not None]
            made = iter(
                self._base.smile_changes([code.face for code, _ in moved], [o for _, o in moved])
            )
            yield [[] if offset is None else next(made) for offset in offsets]

    def _offset(self, code: SmileCode, settings: Mapping[str, float]) -> NDArray[np.float32] | None:
        """Return what settings add to a latent (D,); None where the degree stays."""
        target = settings.get(SMILE.name, code.degree) + settings.get(SMILE_SHIFT.name, 0.0)
        if round(target - code.degree, _DECIMALS) == 0:
            return None
        # As far as the decode must go to be seen to smile so much more, and the gain beyond.
        change = raw_degree(target) - raw_degree(code.degree)
        wanted = code.seen[len(_KNOTS) // 2] + change * self.cvae.config.gain
        asked = target - code.degree
        limits = sorted((_LEAST * asked, _MOST * asked))
        move = min(max(float(np.interp(wanted, code.seen, _KNOTS)), limits[0]), limits[1])
        return self._moved(code.face, code.degree, np.array([code.degree + move], np.float32))[0]


def raw_degree(degree: float) -> float:
    """Return a degree on the regressor's raw scale; a line beyond 0.8, so that it has no end.

    Examples
    --------
    >>> round(raw_degree(0.5), 3), round(raw_degree(-1.0), 3)
    (0.549, -1.654)
    """
    inner = min(max(degree, -_LINEAR), _LINEAR)
    return math.atanh(inner) + (degree - inner) / (1 - _LINEAR**2)


@lru_cache(maxsize=1)
def _regressor() -> DegreeRegressor:
    from faceflex.models.checkpoint import load_network
    from faceflex.models.degree_regressor import DegreeRegressor

    return load_network(resolve(REGRESSOR), DegreeRegressor)


def estimate_degrees(crops: Sequence[NDArray[np.uint8]]) -> list[float]:
    """Estimate how much faces smile.

    Parameters
    ----------
    crops
        (128, 128, 3) uint8 RGB crops, aligned to the template.

    Returns
    -------
    Degrees from -1 to 1, to two decimals. Each is found on its own, so that a face has the same
    degree whatever else is in a photo.
    """
    return [round(float(_regressor().degrees(crop[None])[0]), _DECIMALS) for crop in crops]


def face_degrees(rgb: NDArray[np.uint8], faces: Sequence[Face]) -> list[float]:
    """Estimate how much the faces of an (H, W, 3) uint8 photo smile."""
    return estimate_degrees([align(rgb, face.points).crop for face in faces])


def make_method(options: MethodOptions) -> SmileDegreeMethod:
    """Make the method that these options ask for.

    Raises
    ------
    UsageError
        If something is to be kept: that is a matter of attribute vectors.
    """
    if options.condition_on:
        raise UsageError("`keep`: only attribute vectors can keep other attributes")
    return SmileDegreeMethod(
        options.model or "smile-cvae", options.vectors or "vectors", device=options.device
    )


@lru_cache(maxsize=2)
def _shared_method(model: str, vectors: str, device: str) -> SmileDegreeMethod:
    """Return this process' method of such a kind."""
    return SmileDegreeMethod(model, vectors, device=device)
