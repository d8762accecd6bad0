"""What a way to edit faces is: its controls, and how it makes changes of them.

A method joins a model to composition. It turns aligned faces into a code of its own, and settings
of its controls into changes of those faces; detection, alignment, warping, new content and cloning
are the same for all methods.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeVar, runtime_checkable

from faceflex.methods.controls import Control, Settings

if TYPE_CHECKING:  # A command line is checked before any of this is loaded.
    import numpy as np
    from numpy.typing import NDArray

    from faceflex.compose.change import FaceChange
    from faceflex.faces.aligned_face import AlignedFace

Code = TypeVar("Code")


@dataclass(frozen=True)
class Shot:
    """One picture to make: a still, or a moment of a clip.

    Attributes
    ----------
    settings
        From :meth:`EditMethod.resolve`.
    variant
        Which kind of the controls: 0 is the usual one, 1 and up are others.
    varied
        The controls that the variant is meant for; all of them when empty.
    time
        Moment of a clip, 0 to 1; None for a still.
    """

    settings: Settings
    variant: int = 0
    varied: tuple[str, ...] = ()
    time: float | None = None


class EditMethod(Protocol[Code]):
    """A way to edit faces. The type of its codes is its own business.

    Attributes
    ----------
    name
        What people call it.
    """

    name: str

    @property
    def fingerprints(self) -> Mapping[str, str]:
        """Identities of the models it works with, by role; part of an output's provenance."""
        ...

    @property
    def controls(self) -> Mapping[str, Control]:
        """What can be set, by proper name."""
        ...

    @property
    def accelerated(self) -> bool:
        """Whether something else than the CPU computes."""
        ...

    def load(self) -> None:
        """Load the models now, before threads share them."""
        ...

    def resolve(self, settings: Mapping[str, float]) -> Settings:
        """Return settings under their controls' proper names, each checked once.

        Raises
        ------
        UsageError
            If a control is unknown, or a value makes no sense.
        """
        ...

    def encode(self, faces: Sequence[AlignedFace], photo: NDArray[np.uint8]) -> Sequence[Code]:
        """Return a code for each face of an (H, W, 3) uint8 photo; needed once a photo."""
        ...

    def changes(
        self, codes: Sequence[Code], shots: Sequence[Shot]
    ) -> Iterator[Sequence[Sequence[FaceChange]]]:
        """Yield, for each shot, the steps of change of each face; none where nothing changes."""
        ...


Measured = TypeVar("Measured", contravariant=True)


@runtime_checkable
class MeasuringMethod(Protocol[Measured]):
    """A method that knows where a face is on its controls' scales."""

    def own_values(self, code: Measured) -> Mapping[str, float]:
        """Return the controls' values at which a face of this code stays as it is."""
        ...


@runtime_checkable
class TellingMethod(Protocol[Measured]):
    """A method that has something to tell of each face and shot, for reports."""

    def describe(self, code: Measured, shot: Shot) -> Mapping[str, object]:
        """Return what there is to tell, by name; values fit for JSON."""
        ...


@runtime_checkable
class WarningMethod(Protocol[Measured]):
    """A method that can foresee, from a face's code, that edits of it may fail."""

    def warnings(self, code: Measured) -> Sequence[str]:
        """Return the names of what is in the way; see :mod:`faceflex.faces.warnings`."""
        ...
