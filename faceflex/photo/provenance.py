"""Provenance of edits: version, method, models and settings, written into the file."""

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
    """How an edit was made.

    Attributes
    ----------
    method
        Name of the edit method.
    fingerprints
        Ids of the models, by role.
    settings
        Values of the method's controls.
    version
        Version of faceflex.
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
        """Return it as JSON."""
        return {
            "source_type": DIGITAL_SOURCE_TYPE,
            "version": self.version,
            "method": self.method,
            "models": dict(self.fingerprints),
            "settings": dict(self.settings),
        }


def made_by_faceflex(xmp: bytes | None) -> bool:
    """Return whether a file's XMP names faceflex as the software of its edit.

    Examples
    --------
    >>> made_by_faceflex(b'<rdf:Description Iptc4xmpExt:AISystemUsed="faceflex"/>')
    True
    """
    return xmp is not None and _OWN_MARK.search(xmp) is not None


def supports_provenance(file_format: str) -> bool:
    """Return whether a format can hold provenance, which is XMP."""
    return file_format not in _WITHOUT_XMP


def encode_with_provenance(
    photo: Photo,
    picture: NDArray[np.uint8],
    file_format: str,
    provenance: Provenance,
    *,
    mark: bool = True,
    signer: Signer | None = None,
    original: bytes | str | None = None,
) -> bytes:
    """Encode an edit with its provenance, and sign it.

    Parameters
    ----------
    photo
        The photo that was edited; its metadata is preserved.
    picture
        (H, W, 3) uint8 sRGB, the result.
    file_format
        Format of the output.
    provenance
        How the edit was made.
    mark
        Write the provenance to XMP, where the format supports it.
    signer
        Signs the file (content credentials, C2PA).
    original
        Content or path of the photo's file, the credentials' ingredient. By default the photo is
        encoded anew, without its own credentials.

    Raises
    ------
    PhotoError
        If it cannot be encoded or signed.
    """
    xmp = None
    if mark and supports_provenance(file_format):
        xmp = provenance_xmp(photo.xmp, SOFTWARE, provenance.software_version, provenance.settings)
    data = encode_photo(photo, picture, target=file_format, xmp=xmp)
    return data if signer is None else sign(data, file_format, photo, provenance, signer, original)


def sign(
    data: bytes,
    file_format: str,
    photo: Photo,
    provenance: Provenance | None,
    signer: Signer,
    original: bytes | str | None = None,
) -> bytes:
    """Sign the file of an edit; parameters as in :func:`encode_with_provenance`.

    Without provenance the credentials name the software alone.

    Raises
    ------
    PhotoError
        If the format cannot hold credentials, or signing fails.
    """
    if original is None:
        content = encode_photo(photo, photo.rgb)
    else:
        content = Path(original).read_bytes() if isinstance(original, str) else original
    parent = content, photo.format, Path(photo.name).name
    settings: dict[str, str] = {}
    version = SOFTWARE
    if provenance is not None:
        settings = {**provenance.settings, "method": provenance.method, **provenance.fingerprints}
        version = provenance.software_version
    return signer.sign(data, file_format, parent, (SOFTWARE, version), settings)
