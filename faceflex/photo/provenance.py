"""How an edited picture came about, and how its file says so: one writer for all callers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from faceflex._version import __version__
from faceflex.photo.load import Photo
from faceflex.photo.metadata import DIGITAL_SOURCE_TYPE, provenance_xmp
from faceflex.photo.save import encode_photo

if TYPE_CHECKING:
    from faceflex.photo.credentials import Signer

SOFTWARE = "faceflex"
_WITHOUT_XMP = ("BMP",)
# As an attribute, or as an element: other programs write the same XMP differently.
_OWN_MARK = re.compile(rb"""AISystemUsed\s*(?:=\s*["']|>)\s*faceflex\b""")


@dataclass(frozen=True)
class Provenance:
    """How a picture was made.

    Attributes
    ----------
    method
        Name of the way of editing.
    fingerprints
        Identities of the models that made it, by role.
    settings
        What was asked for, by control.
    version
        Of faceflex.
    """

    method: str
    fingerprints: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict)
    version: str = __version__

    @property
    def software_version(self) -> str:
        """Version, method and models, in one line."""
        models = ", ".join(f"{role} {name}" for role, name in self.fingerprints.items())
        return f"{self.version} ({self.method}; {models})"

    def as_json(self) -> dict[str, object]:
        """Return it for ``--json``."""
        return {
            "source_type": DIGITAL_SOURCE_TYPE,
            "version": self.version,
            "method": self.method,
            "models": dict(self.fingerprints),
            "settings": dict(self.settings),
        }


def made_by_faceflex(xmp: bytes | None) -> bool:
    """Tell whether a file's XMP says that faceflex made its picture.

    Examples
    --------
    >>> made_by_faceflex(b'<rdf:Description Iptc4xmpExt:AISystemUsed="faceflex"/>')
    True
    """
    return xmp is not None and _OWN_MARK.search(xmp) is not None


def supports_provenance(form: str) -> bool:
    """Tell whether files of a format can say that a model edited them."""
    return form not in _WITHOUT_XMP


def encode_with_provenance(
    photo: Photo,
    picture: NDArray[np.uint8],
    form: str,
    provenance: Provenance,
    *,
    mark: bool = True,
    signer: Signer | None = None,
    original: bytes | str | None = None,
) -> bytes:
    """Return the file of an edited picture, marked and signed.

    Parameters
    ----------
    photo
        The photo that was edited; its metadata is kept.
    picture
        (H, W, 3) uint8, the result.
    form
        The format to write.
    provenance
        How it was made.
    mark
        Say so in XMP, where the format has it.
    signer
        Signs it (content credentials, C2PA).
    original
        The content or the path of the photo's file, which the credentials refer to; encoded anew
        by default, without what the credentials of the photo say.

    Raises
    ------
    PhotoError
        If it cannot be encoded or signed.
    """
    xmp = None
    if mark and supports_provenance(form):
        xmp = provenance_xmp(photo.xmp, SOFTWARE, provenance.software_version, provenance.settings)
    data = encode_photo(photo, picture, target=form, xmp=xmp)
    if signer is None:
        return data
    if original is None:
        before = encode_photo(photo, photo.rgb)
    else:
        before = Path(original).read_bytes() if isinstance(original, str) else original
    parent = before, photo.format, Path(photo.name).name
    settings = {**provenance.settings, "method": provenance.method, **provenance.fingerprints}
    return signer.sign(data, form, parent, (SOFTWARE, provenance.software_version), settings)
