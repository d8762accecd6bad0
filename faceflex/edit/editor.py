"""The pipeline: find faces, align them, let a method change them, compose the photo.

It is given its parts, and knows nothing of models.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from copy import copy
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from faceflex.compose.change import FaceChange
from faceflex.compose.composer import Composer
from faceflex.edit.automatic_strength import AttributeScorer, AutomaticStrength, automatic_shots
from faceflex.edit.request import DEFAULT_UNTIL
from faceflex.edit.selection import choose_faces
from faceflex.errors import NoFaceError, UsageError
from faceflex.faces import Face
from faceflex.faces.aligned_face import AlignedFace, align_faces
from faceflex.faces.find import FaceFinder
from faceflex.methods.base import EditMethod, MeasuringMethod, Shot, TellingMethod, WarningMethod
from faceflex.photo.provenance import Provenance

Steps = Sequence[Sequence[FaceChange]]
"""For each face of a photo, what is done to it, step by step."""


class Editor:
    """Edits photos with a method.

    Parameters
    ----------
    finder
        Finds faces and their landmarks.
    method
        Makes changes of faces.
    composer
        Puts changes into photos.
    scorer
        Judges automatic strengths; without one there are none.

    Examples
    --------
    >>> import faceflex
    >>> editor = faceflex.make_editor()
    >>> sorted(editor.method.controls)[:2]
    ['5_o_Clock_Shadow', 'Arched_Eyebrows']
    """

    def __init__(
        self,
        finder: FaceFinder,
        method: EditMethod[Any],
        composer: Composer,
        scorer: AttributeScorer | None = None,
    ) -> None:
        self.finder, self.method, self.composer, self.scorer = finder, method, composer, scorer

    def open(
        self,
        rgb: NDArray[np.uint8],
        select: Sequence[str] = (),
        *,
        name: str = "photo",
        faces: Sequence[Face] | None = None,
    ) -> OpenPhoto:
        """Find, align and encode the faces of a photo; then it can be rendered any number of times.

        Parameters
        ----------
        rgb
            (H, W, 3) uint8 RGB photo, upright.
        select
            Which faces: numbers from the left, ``largest``, or points ``x,y``; all by default, but
            for those of which the detector is less sure than the finder's ``min_score``.
        name
            The photo's name, for messages.
        faces
            Its faces, where they are known already.

        Raises
        ------
        NoFaceError
            If the photo has no such face.
        UsageError
            If a selector makes no sense.
        """
        detected = list(faces) if faces is not None else self.finder.find(rgb)
        if faces is not None and not detected:
            raise NoFaceError(f"{name}: no face given")
        chosen = choose_faces(detected, select, name, self.finder.min_score)
        aligned = align_faces(
            rgb, chosen, self.finder.landmarks, hog_scores=self.finder.detector == "hog"
        )
        return OpenPhoto(self, rgb, detected, aligned)

    def provenance(self, shot: Shot | Sequence[Shot]) -> Provenance:
        """Return how a picture is made, for its metadata.

        Parameters
        ----------
        shot
            Of all its faces, or one for each: values that differ stand side by side.
        """
        shots = [shot] if isinstance(shot, Shot) else list(shot)
        shot, values = shots[0], dict[str, list[str]]()
        for one in shots:
            for name, value in one.settings:
                values.setdefault(name, []).append(f"{value:.10g}")
        settings = {k: v[0] if len(set(v)) == 1 else "/".join(v) for k, v in values.items()}
        if shot.variant > 0:
            settings["sample"] = str(shot.variant)
        fingerprints = {**self.method.fingerprints, "content": self.composer.content.fingerprint}
        return Provenance(self.method.name, fingerprints, settings)


class OpenPhoto:
    """A photo whose faces are ready to be edited, again and again.

    What depends on the photo alone (faces, landmarks, lips, masks, codes) was made when it was
    opened. Several threads may render at once.

    Attributes
    ----------
    rgb
        (H, W, 3) uint8 photo; never written to.
    detected
        All its faces, left to right.
    faces
        Those that are edited, aligned.
    """

    def __init__(
        self,
        editor: Editor,
        rgb: NDArray[np.uint8],
        detected: Sequence[Face],
        faces: Sequence[AlignedFace],
    ) -> None:
        self.editor, self.rgb = editor, rgb
        self.detected, self.faces = tuple(detected), tuple(faces)
        self._composer = editor.composer
        self._codes = editor.method.encode(self.faces, rgb)
        if isinstance(editor.method, WarningMethod):
            self.faces = tuple(
                replace(face, warnings=(*face.warnings, *editor.method.warnings(code)))
                for face, code in zip(self.faces, self._codes, strict=True)
            )

    def shot(self, **settings: float) -> Shot:
        """Return a shot of these settings of the method's controls.

        Raises
        ------
        UsageError
            If a control is unknown.
        """
        return Shot(self.editor.method.resolve(settings))

    def own_values(self, number: int) -> Mapping[str, float]:
        """Return what the method measures of the face ``number`` (from 0) of :attr:`faces`.

        Values of its controls at which the face stays as it is.

        Raises
        ------
        UsageError
            If the method measures nothing.
        """
        method = self.editor.method
        if not isinstance(method, MeasuringMethod):
            raise UsageError(f"`method` {method.name}: does not measure faces")
        return method.own_values(self._codes[number])

    @property
    def left_alone(self) -> tuple[Face, ...]:
        """Faces that were detected but are not edited."""
        edited = {a.face.index for a in self.faces}
        return tuple(f for f in self.detected if f.index not in edited)

    def render(self, shots: Sequence[Shot]) -> Iterator[NDArray[np.uint8]]:
        """Make one picture for each shot.

        Yields
        ------
        (H, W, 3) uint8; outside the edited faces' masks, and where nothing changes, the photo's own
        pixels.
        """
        for steps in self.changes(shots):
            yield self.compose(steps)

    def changes(self, shots: Sequence[Shot]) -> Iterator[Steps]:
        """Yield, for each shot, what is done to each face; what :meth:`compose` takes."""
        yield from self.editor.method.changes(self._codes, shots)

    def face_changes(self, number: int, shots: Sequence[Shot]) -> Iterator[Sequence[FaceChange]]:
        """Yield, for each shot, what is done to the face ``number`` (from 0) of :attr:`faces`."""
        for steps in self.editor.method.changes([self._codes[number]], shots):
            yield steps[0]

    def automatic(
        self,
        shot: Shot,
        automatic: Mapping[str, float],
        *,
        max_distance: float | None = None,
    ) -> list[tuple[Shot, list[AutomaticStrength]]]:
        """Find strengths; see :func:`faceflex.edit.automatic_strength.automatic_shots`.

        Raises
        ------
        UsageError
            If nothing can judge one of the controls.
        """
        scorer = self.editor.scorer
        if scorer is None:
            raise UsageError("this editor has no scorer, which automatic strengths need")
        return automatic_shots(self, shot, automatic, scorer, max_distance)

    def auto(
        self, control: str, until: float = DEFAULT_UNTIL, **settings: float
    ) -> tuple[AutomaticStrength, ...]:
        """Find, for each face, the smallest value of a control at which a classifier sees it.

        Parameters
        ----------
        control
            The control.
        until
            The classifier's score to reach; below 0.5: to fall to.
        settings
            Other controls, with fixed values.

        Returns
        -------
        What was found, in the order of :attr:`faces`.

        Raises
        ------
        UsageError
            If a control is unknown, or nothing can judge it.

        Examples
        --------
        >>> import faceflex
        >>> opened = faceflex.open_photo("examples/portrait.jpg")
        >>> (found,) = opened.auto("Smiling", until=0.8)
        >>> found.outcome, found.score_before < 0.8 <= found.score_after
        ('reached', True)
        """
        method = self.editor.method
        ((name, _),) = method.resolve({control: 1.0})
        shots = self.automatic(self.shot(**settings), {name: until})
        return tuple(found for _, (found,) in shots)

    def describe(self, shot: Shot) -> list[Mapping[str, object]]:
        """Return what the method says of each face in a shot; nothing if it says none."""
        method = self.editor.method
        if not isinstance(method, TellingMethod):
            return [{} for _ in self._codes]
        return [method.describe(code, shot) for code in self._codes]

    def remarks(self, number: int, shot: Shot) -> tuple[str, ...]:
        """Return what a shot leaves undone of the face ``number`` (from 0), a phrase each."""
        remark = getattr(self.editor.method, "remarks", None)
        return () if remark is None else tuple(remark(self._codes[number], shot))

    def steps_for_each(self, shots: Sequence[Shot]) -> Steps:
        """Return what :meth:`compose` takes, of a shot for each face."""
        return [next(self.face_changes(n, [s])) for n, s in enumerate(shots)]

    def render_each(self, shots: Sequence[Shot]) -> NDArray[np.uint8]:
        """Make one picture of a shot for each of :attr:`faces`; (H, W, 3) uint8."""
        return self.compose(self.steps_for_each(shots))

    def compose(self, steps: Steps) -> NDArray[np.uint8]:
        """Return the photo, (H, W, 3) uint8, with each face's changes made."""
        canvas = self.rgb.copy()
        for face, changes in zip(self.faces, steps, strict=True):
            self._composer.apply(canvas, face, changes)
        return canvas

    def for_clips(self) -> OpenPhoto:
        """Return this photo for frames of clips: rendered more quickly, and less exactly."""
        quicker = copy(self)
        quicker._composer = self.editor.composer.for_clips()
        quicker.faces = tuple(
            face if face.region is None else replace(face, region=face.region.for_clips())
            for face in self.faces
        )
        return quicker
