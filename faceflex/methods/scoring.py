"""The bundled attribute classifier as the judge of automatic strengths."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from faceflex.errors import UsageError
from faceflex.methods.controls import find_control

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from faceflex.models.attribute_classifier import AttributeClassifier


class ClassifierScorer:
    """Scores aligned crops with an attribute classifier.

    It shares nothing with the networks that make edits, so it cannot be pleased by their faults.
    Sent to another process, it loads the classifier there.

    Parameters
    ----------
    classifier
        Registered name or path of its file.
    """

    def __init__(self, classifier: str = "judge") -> None:
        self._classifier = classifier

    def attribute_of(self, control: str) -> str:
        """Return the attribute that a control is for.

        Raises
        ------
        UsageError
            If the classifier does not know it.
        """
        names = _load(self._classifier).config.names
        try:
            return find_control(control, names)
        except UsageError:
            raise UsageError(
                f"{control}: its strength cannot be automatic; the attribute classifier does not"
                " know it"
            ) from None

    def score(self, crop: NDArray[np.uint8], attribute: str) -> float:
        """Return the probability of an attribute in a (128, 128, 3) uint8 aligned crop."""
        classifier = _load(self._classifier)
        return float(classifier.scores(crop[None])[0, classifier.config.names.index(attribute)])


@cache
def _load(name: str) -> AttributeClassifier:
    from faceflex.assets import resolve
    from faceflex.models.attribute_classifier import load_classifier

    return load_classifier(resolve(name))
