"""Content credentials (C2PA): found in a photo, which an edit makes untrue, and signed anew.

The places are those of the C2PA specification 2.1, appendix A
(https://spec.c2pa.org/specifications/specifications/2.1/specs/C2PA_Specification.html).
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image

from faceflex.errors import PhotoError, UsageError
from faceflex.photo.exif import tag_bytes
from faceflex.photo.metadata import DIGITAL_SOURCE_TYPE, references_credentials
from faceflex.photo.parts import bmff_boxes, jpeg_segments, png_chunks, riff_chunk_ids

_TIFF_TAG = 0xCD41
_BOX = bytes.fromhex("d8fec3d61b0e483c92975828877ec481")
_TYPES = {
    "JPEG": "image/jpeg",
    "PNG": "image/png",
    "WEBP": "image/webp",
    "TIFF": "image/tiff",
    "AVIF": "image/avif",
    "HEIF": "image/heic",
}
_NO_THUMBNAILS = {"builder": {"thumbnail": {"enabled": False}}}
_INSTALL = "signing needs a package: pip install 'faceflex[c2pa]'"


def has_credentials(image: Image.Image, data: bytes, xmp: bytes | None) -> bool:
    """Tell whether a photo has content credentials, in its file or, by its XMP, elsewhere."""
    if image.format == "JPEG":
        found = any(
            marker == 0xEB and data[at + 4 : at + 6] == b"JP" and b"c2pa" in data[at:end]
            for marker, at, end in jpeg_segments(data)
        )
    elif image.format == "PNG":
        found = any(kind == b"caBX" for kind, _ in png_chunks(data))
    elif image.format == "WEBP":
        found = b"C2PA" in riff_chunk_ids(data)
    elif image.format == "TIFF":
        found = tag_bytes(data, _TIFF_TAG) is not None
    else:
        found = any(kind == b"uuid" and body.startswith(_BOX) for kind, body in bmff_boxes(data))
    return found or references_credentials(xmp)


@dataclass(frozen=True)
class Signer:
    """Signs pictures with a user's own certificate.

    Attributes
    ----------
    certificate
        PEM, the leaf first, then the authorities between it and the root.
    key
        Its private key, PKCS #8 PEM.
    algorithm
        ``es256``, ``es384``, ``es512``, ``ps256`` or ``ed25519``.
    timestamp
        Address of a time stamp authority; None asks nobody.
    """

    certificate: bytes
    key: bytes = field(repr=False)
    algorithm: str
    timestamp: str | None = None

    @classmethod
    def read(cls, certificate: Path, key: Path, timestamp: str | None = None) -> Signer:
        """Read certificate and key from PEM files, and check that they can sign.

        Raises
        ------
        UsageError
            If a file cannot be read, they do not belong together, the certificate cannot sign
            pictures, or the package for signing is missing.
        """
        try:
            import c2pa
            from cryptography import x509
            from cryptography.hazmat.primitives import serialization as pem
        except ImportError:
            raise UsageError(f"{certificate}: {_INSTALL}") from None
        try:
            chain = certificate.read_bytes()
            public = x509.load_pem_x509_certificates(chain)[0].public_key()
        except OSError as error:
            raise UsageError(f"{certificate}: cannot be read ({error.strerror})") from None
        except ValueError:
            raise UsageError(f"{certificate}: holds no certificate in PEM form") from None
        try:
            private = pem.load_pem_private_key(key.read_bytes(), None)
        except OSError as error:
            raise UsageError(f"{key}: cannot be read ({error.strerror})") from None
        except TypeError:
            raise UsageError(f"{key}: is encrypted; give it without a password") from None
        except Exception:  # Several kinds, by the form of the damage.
            raise UsageError(f"{key}: holds no private key in PEM form") from None
        if private.public_key() != public:
            raise UsageError(f"{key}: is not the key of the first certificate in {certificate}")
        found = cls(
            chain,
            private.private_bytes(pem.Encoding.PEM, pem.PrivateFormat.PKCS8, pem.NoEncryption()),
            _algorithm(private, key),
            timestamp,
        )
        try:
            found._open().close()
        except c2pa.C2paError as error:
            raise UsageError(f"{certificate}: cannot sign ({_reason(error)})") from None
        return found

    def _open(self) -> Any:
        import c2pa

        info = c2pa.C2paSignerInfo(self.algorithm, self.certificate, self.key, self.timestamp)
        return c2pa.Signer.from_info(info)

    def sign(
        self,
        data: bytes,
        form: str,
        parent: tuple[bytes, str, str],
        software: tuple[str, str],
        settings: Mapping[str, str],
    ) -> bytes:
        """Sign a picture.

        Parameters
        ----------
        data, form
            The picture's file, and its format.
        parent
            The photo that was edited: its file, its format, its name. Credentials of its own
            become part of the new ones.
        software
            Name and version of what edited it.
        settings
            What was done, by name.

        Returns
        -------
        The file with its credentials.

        Raises
        ------
        PhotoError
            If its format can hold none, or signing fails.
        """
        import c2pa

        original, original_form, name = parent
        if form not in _TYPES:
            known = ", ".join(_TYPES)
            raise PhotoError(f"{name}: {form} cannot hold content credentials; use {known}")
        manifest = _manifest(name, software, settings)
        out = io.BytesIO()
        try:
            with self._open() as signer, c2pa.Context.from_dict(_NO_THUMBNAILS) as context:
                builder = c2pa.Builder(manifest, context)
                builder.add_ingredient(
                    {"title": name, "relationship": "parentOf", "instance_id": _PARENT},
                    _TYPES.get(original_form, "application/octet-stream"),
                    io.BytesIO(original),
                )
                builder.sign(signer, _TYPES[form], io.BytesIO(data), out)
        except c2pa.C2paError as error:
            raise PhotoError(f"{name}: cannot be signed ({_reason(error)})") from error
        return out.getvalue()


_PARENT = "parent"


def _manifest(name: str, software: tuple[str, str], settings: Mapping[str, str]) -> dict[str, Any]:
    """Return what the credentials say, in the terms of C2PA's actions."""
    agent = {"name": software[0], "version": software[1]}
    opened = {"action": "c2pa.opened", "parameters": {"ingredientIds": [_PARENT]}}
    edited = {
        "action": "c2pa.edited",
        "digitalSourceType": DIGITAL_SOURCE_TYPE,
        "softwareAgent": agent,
        "parameters": dict(settings),
    }
    actions = {"label": "c2pa.actions.v2", "data": {"actions": [opened, edited]}}
    return {"title": name, "claim_generator_info": [agent], "assertions": [actions]}


def _algorithm(private: Any, path: Path) -> str:
    """Return the name of the signature that a private key makes."""
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

    if isinstance(private, ed25519.Ed25519PrivateKey):
        return "ed25519"
    if isinstance(private, rsa.RSAPrivateKey):
        return "ps256"
    curves = {"secp256r1": "es256", "secp384r1": "es384", "secp521r1": "es512"}
    if isinstance(private, ec.EllipticCurvePrivateKey) and private.curve.name in curves:
        return curves[private.curve.name]
    raise UsageError(f"{path}: is of a kind that cannot sign; use EC (P-256), RSA or Ed25519")


def _reason(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
