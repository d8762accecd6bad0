"""How old a face looks, and what some more or fewer years do to it."""

from __future__ import annotations

import threading
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from faceflex.assets import resolve
from faceflex.faces.aligned_face import AlignedFace
from faceflex.faces.infant import is_infant
from faceflex.methods.years import CHILD, Appearance, Years

if TYPE_CHECKING:
    from faceflex.models.age_regressor import AgeRegressor

_INFANT = 1.0


class Looks(NamedTuple):
    """How a face looks: years, and the probability that it is a woman's."""

    age: float
    female: float

    @property
    def child(self) -> bool:
        """Whether they are those of a child."""
        return self.age < CHILD


class FaceYears:
    """Statistics of years and the regressor of ages, loaded when they are first needed.

    Sent to another process, it arrives without them and loads them there; equal ones are one in
    that process.

    Parameters
    ----------
    years, regressor
        Registered names or paths of their files.
    """

    def __init__(self, years: str | Path = "years", regressor: str | Path = "age") -> None:
        self._names, self._lock = (years, regressor), threading.Lock()
        self._years: Years | None = None
        self._regressor: AgeRegressor | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        return shared_years, self._names

    @property
    def years(self) -> Years:
        """What years do to faces."""
        with self._lock:
            if self._years is None:
                self._years = Years.load(resolve(self._names[0]))
        return self._years

    @property
    def regressor(self) -> AgeRegressor:
        """Reads ages."""
        from faceflex.models.age_regressor import AgeRegressor
        from faceflex.models.checkpoint import load_network

        with self._lock:
            if self._regressor is None:
                self._regressor = load_network(resolve(self._names[1]), AgeRegressor)
        return self._regressor

    def looks(self, face: AlignedFace) -> Looks:
        """Return how old a face looks, and whether like a woman's."""
        age, female = (float(v) for v in self.regressor.read(face.crop[None])[0])
        return Looks(min(age, _INFANT) if is_infant(face.landmarks) else age, female)

    def is_child(self, face: AlignedFace) -> bool:
        """Return whether a face is a child's, as far as its looks tell."""
        return self.looks(face).child

    def change(self, face: AlignedFace, years: float) -> Appearance:
        """Return what some years do to a face."""
        return self.years.of_face(*self.looks(face), years)


@lru_cache(maxsize=2)
def shared_years(years: str | Path = "years", regressor: str | Path = "age") -> FaceYears:
    """Return this process' statistics and regressor of such files."""
    return FaceYears(years, regressor)
