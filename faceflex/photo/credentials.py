"""Content credentials (C2PA): detected in photos, whose edits invalidate them, and signed anew.

Where files embed them: C2PA specification 2.1, appendix A
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
_UUID = bytes.fromhex("d8fec3d61b0e483c92975828877ec481")
_MIME_TYPES = {
    "JPEG": "image/jpeg",
    "PNG": "image/png",
    "WEBP": "image/webp",
    "TIFF": "image/tiff",
    "AVIF": "image/avif",
    "HEIF": "image/heic",
}
_CLIP_TYPES = {"MP4": "video/mp4", "GIF": "image/gif"}
_NO_THUMBNAILS = {"builder": {"thumbnail": {"enabled": False}}}
_PARENT = "parent"  # Label of the ingredient.
_INSTALL = "signing needs a package: pip install 'faceflex[c2pa]'"


def has_credentials(image: Image.Image, data: bytes, xmp: bytes | None) -> bool:
    """Return whether a photo has content credentials: embedded, or referenced by its XMP."""
    if image.format == "JPEG":
        embedded = any(
            marker == 0xEB and data[at + 4 : at + 6] == b"JP" and b"c2pa" in data[at:end]
            for marker, at, end in jpeg_segments(data)
        )
    elif image.format == "PNG":
        embedded = any(kind == b"caBX" for kind, _ in png_chunks(data))
    elif image.format == "WEBP":
        embedded = b"C2PA" in riff_chunk_ids(data)
    elif image.format == "TIFF":
        embedded = tag_bytes(data, _TIFF_TAG) is not None
    else:
        embedded = any(
            kind == b"uuid" and body.startswith(_UUID) for kind, body in bmff_boxes(data)
        )
    return embedded or references_credentials(xmp)


@dataclass(frozen=True)
class Signer:
    """Signs images with the user's certificate.

    Attributes
    ----------
    certificate
        Certificate chain in PEM: the leaf, then intermediate certificates.
    key
        Private key of the leaf, PKCS #8 in PEM.
    algorithm
        ``es256``, ``es384``, ``es512``, ``ps256`` or ``ed25519``.
    timestamp
        URL of a time-stamping authority (RFC 3161); None for no time stamp.
    """

    certificate: bytes
    key: bytes = field(repr=False)
    algorithm: str
    timestamp: str | None = None

    @classmethod
    def read(cls, certificate: Path, key: Path, timestamp: str | None = None) -> Signer:
        """Read certificate chain and key from PEM files; check that they can sign.

        Raises
        ------
        UsageError
            If a file cannot be read, key and certificate do not match, the certificate cannot sign
            images, or the package for signing is missing.
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
            raise UsageError(f"{key}: is encrypted; save it without a password") from None
        except Exception:  # Several types, depending on the damage.
            raise UsageError(f"{key}: holds no private key in PEM form") from None
        if private.public_key() != public:
            raise UsageError(f"{key}: is not the key of the first certificate in {certificate}")
        signer = cls(
            chain,
            private.private_bytes(pem.Encoding.PEM, pem.PrivateFormat.PKCS8, pem.NoEncryption()),
            _algorithm(private, key),
            timestamp,
        )
        try:
            signer._open().close()
        except c2pa.C2paError as error:
            raise UsageError(f"{certificate}: cannot sign ({_reason(error)})") from None
        return signer

    def _open(self) -> Any:
        import c2pa

        info = c2pa.C2paSignerInfo(self.algorithm, self.certificate, self.key, self.timestamp)
        return c2pa.Signer.from_info(info)

    def sign(
        self,
        data: bytes,
        file_format: str,
        parent: tuple[bytes, str, str],
        software: tuple[str, str],
        settings: Mapping[str, str],
    ) -> bytes:
        """Sign an image file.

        Parameters
        ----------
        data, file_format
            Content of the file, and its format.
        parent
            The photo that was edited: content, format and name of its file. Its credentials become
            an ingredient of the new ones.
        software
            Name and version of the editor.
        settings
            Parameters of the edit, by name.

        Returns
        -------
        The signed file.

        Raises
        ------
        PhotoError
            If the format cannot hold credentials, or signing fails.
        """
        import c2pa

        original, original_format, name = parent
        types = _MIME_TYPES | _CLIP_TYPES
        if file_format not in types:
            formats = ", ".join(_MIME_TYPES)
            raise PhotoError(
                f"{name}: {file_format} cannot hold content credentials; use {formats}"
            )
        manifest = _manifest(name, software, settings)
        out = io.BytesIO()
        try:
            with self._open() as signer, c2pa.Context.from_dict(_NO_THUMBNAILS) as context:
                builder = c2pa.Builder(manifest, context)
                builder.add_ingredient(
                    {"title": name, "relationship": "parentOf", "instance_id": _PARENT},
                    _MIME_TYPES.get(original_format, "application/octet-stream"),
                    io.BytesIO(original),
                )
                builder.sign(signer, types[file_format], io.BytesIO(data), out)
        except c2pa.C2paError as error:
            raise PhotoError(f"{name}: cannot be signed ({_reason(error)})") from error
        return out.getvalue()


def _manifest(name: str, software: tuple[str, str], settings: Mapping[str, str]) -> dict[str, Any]:
    """Return the manifest: the photo was opened and edited, as C2PA actions."""
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
    """Return C2PA's name of the signature algorithm of a private key."""
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

    if isinstance(private, ed25519.Ed25519PrivateKey):
        return "ed25519"
    if isinstance(private, rsa.RSAPrivateKey):
        return "ps256"
    curves = {"secp256r1": "es256", "secp384r1": "es384", "secp521r1": "es512"}
    if isinstance(private, ec.EllipticCurvePrivateKey) and private.curve.name in curves:
        return curves[private.curve.name]
    raise UsageError(f"{path}: this type of key cannot sign; use EC (P-256), RSA or Ed25519")


def _reason(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
