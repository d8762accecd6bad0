"""Load a photo: decode its pixels upright, keep its metadata."""

from __future__ import annotations

import io
import stat
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image, JpegImagePlugin, UnidentifiedImageError

from faceflex.errors import PhotoError
from faceflex.photo.credentials import has_credentials
from faceflex.photo.formats import FORMATS, format_from_brands, missing_support
from faceflex.photo.iptc import read_resources
from faceflex.photo.metadata import orientation_of, read_xmp, upright_exif, upright_xmp
from faceflex.photo.options import bit_depth_of, encoding_options, without_texts
from faceflex.photo.parts import unsupported_jpeg
from faceflex.photo.pixels import Converter, Native, apply_orientation, native_mode, native_pixels

Result = TypeVar("Result")

MAX_FILE_BYTES = 3 << 29
"""Largest file that is read: Pillow's limit of pixels, with 16 bits and alpha."""

_MAX_PIXELS_PER_BYTE = 512  # Of a JPEG: at least one bit for each block of 64 pixels.


@dataclass(frozen=True)
class Photo:
    """A photo: upright pixels, metadata and encoding parameters.

    Attributes
    ----------
    name
        Name for messages: the path, or ``-``.
    native
        Upright pixels in the file's own mode: (H, W) or (H, W, C), uint8 or uint16.
    mode
        ``L``, ``LA``, ``RGB``, ``RGBA`` or ``CMYK``.
    format
        A key of :data:`faceflex.photo.formats.FORMATS`.
    exif, icc, xmp
        Metadata, corrected for the upright pixels; None when the file has none.
    options
        Encoding parameters, as keyword arguments of Pillow's ``save``.
    resources
        Image resource blocks (``8BIM``), with IPTC-IIM; None when the file has none.
    credentials
        Whether the file has content credentials (C2PA), which an edit invalidates.
    notes
        What of the file an edit cannot preserve, a phrase each.
    """

    name: str
    native: Native
    mode: str
    format: str
    exif: bytes | None = None
    icc: bytes | None = None
    xmp: bytes | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    resources: bytes | None = None
    credentials: bool = False
    notes: tuple[str, ...] = ()

    @property
    def is_16bit(self) -> bool:
        """Whether pixels have 16 bits per channel."""
        return bool(self.native.dtype == np.uint16)

    @cached_property
    def converter(self) -> Converter:
        """Conversion between the file's pixels and sRGB."""
        return Converter(self.mode, self.is_16bit, self.icc)

    @cached_property
    def rgb(self) -> NDArray[np.uint8]:
        """(H, W, 3) uint8 sRGB, upright; read-only."""
        rgb = self.converter.to_rgb(self.native)
        rgb.setflags(write=False)
        return rgb

    def without_metadata(self) -> Photo:
        """Return the photo without metadata, except colour profile and resolution."""
        options = without_texts(dict(self.options))
        return replace(self, exif=None, xmp=None, resources=None, options=options)


def _has_16bit_channels(image: Image.Image, data: bytes) -> bool:
    """Return whether a file has several channels of 16 bits, which Pillow reduces to 8."""
    if image.format == "PNG":
        return data[24:25] == b"\x10" and data[25:26] in (b"\x02", b"\x04", b"\x06")
    if image.format == "TIFF":
        bits = image.tag_v2.get(258, ())  # type: ignore[attr-defined]
        return isinstance(bits, tuple) and len(bits) > 1 and set(bits) == {16}
    return False


def _read_16bit(image: Image.Image, data: bytes) -> tuple[Native, str]:
    """Decode 16-bit channels; return pixels and mode."""
    if image.format == "TIFF":
        pixels, mode = _read_16bit_tiff(image.tag_v2, data)  # type: ignore[attr-defined]
    else:
        image.load()  # Detects damage; reads metadata after the pixels.
        pixels, mode = _read_with_cv2(data), ""
        if data[25:26] == b"\x04":
            pixels, mode = pixels[:, :, [0, -1]], "LA"
    if pixels.dtype != np.uint16 or pixels.ndim != 3:
        raise ValueError("this layout of 16-bit pixels is not supported")
    return np.ascontiguousarray(pixels), mode or ("RGB" if pixels.shape[2] == 3 else "RGBA")


def _read_with_cv2(data: bytes) -> Native:
    import cv2

    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None or pixels.ndim != 3:
        raise ValueError("16-bit pixels cannot be decoded")
    order = cv2.COLOR_BGRA2RGBA if pixels.shape[2] == 4 else cv2.COLOR_BGR2RGB
    return cv2.cvtColor(pixels, order)


def _read_16bit_tiff(tags: Mapping[int, Any], data: bytes) -> tuple[Native, str]:
    import tifffile

    photometric, extra = tags.get(262), tags.get(338, ())
    channels = tags.get(277, 1)
    extra = extra if isinstance(extra, tuple) else (extra,)
    if tags.get(259) == 5:  # LZW, for which tifffile needs imagecodecs.
        if photometric != 2 or tags.get(284, 1) != 1:
            raise ValueError("16-bit LZW is supported for RGB only; use another compression")
        pixels = _read_with_cv2(data)
    else:
        pixels = tifffile.imread(io.BytesIO(data))
        if tags.get(284, 1) == 2:
            pixels = np.moveaxis(pixels, 0, -1)
    if (photometric, channels) == (5, 4):
        return pixels, "CMYK"
    if photometric != 2 or channels not in (3, 4):
        raise ValueError("this layout of 16-bit channels is not supported")
    if channels == 4 and extra[:1] == (0,):
        return pixels[:, :, :3], "RGB"  # An unspecified fourth channel is dropped, as in Pillow.
    if channels == 4 and extra[:1] == (1,):
        alpha = pixels[:, :, 3:].astype(np.float64)
        straight = np.round(pixels[:, :, :3] * (65535 / np.maximum(alpha, 1)))
        straight = np.minimum(straight, 65535).astype(np.uint16)
        pixels = np.concatenate([straight, pixels[:, :, 3:]], axis=2)
    return pixels, "RGB" if channels == 3 else "RGBA"


def _open(data: bytes, name: str) -> Image.Image:
    if not data:
        raise PhotoError(f"{name}: the file is empty")
    file_format = format_from_brands(data)
    if file_format and (missing := missing_support(file_format)):
        raise PhotoError(f"{name}: {missing}; or convert the photo to JPEG")
    try:
        image = Image.open(io.BytesIO(data))
    except UnidentifiedImageError:
        if unsupported_jpeg(data):
            raise PhotoError(
                f"{name}: a rare kind of JPEG (12 bits or JPEG-LS) that cannot be read;"
                " save it as PNG or TIFF"
            ) from None
        formats = ", ".join(FORMATS)
        raise PhotoError(f"{name}: not a picture that can be read; use {formats}") from None
    except Image.DecompressionBombError:
        limit = f"more than {2 * (Image.MAX_IMAGE_PIXELS or 0) / 1e6:.0f} million"
        raise PhotoError(
            f"{name}: declares too many pixels ({limit}); shrink it, if it is not damaged"
        ) from None
    if image.format == "MPO":
        image.format = "JPEG"  # Multi-picture JPEG: the first picture is edited.
    elif getattr(image, "n_frames", 1) > 1:
        raise PhotoError(f"{name}: has several frames or pages; save one of them as its own file")
    if image.format == "JPEG" and image.width * image.height > _MAX_PIXELS_PER_BYTE * len(data):
        # libjpeg would allocate all pixels, and fill the missing ones with gray.
        raise PhotoError(f"{name}: damaged (it ends long before its pixels do)")
    if image.format not in FORMATS:
        formats = ", ".join(FORMATS)
        raise PhotoError(f"{name}: {image.format} cannot be written back; convert it to {formats}")
    return image


def _read_bytes(path: Path, name: str) -> bytes:
    """Read a regular file; a pipe could block for ever, and a device never end."""
    try:
        status = path.stat()
        if stat.S_ISFIFO(status.st_mode):
            raise PhotoError(f"{name}: is a pipe; give - and send the photo to standard input")
        if stat.S_ISDIR(status.st_mode):
            raise PhotoError(f"{name}: cannot be read (Is a directory)")
        if not stat.S_ISREG(status.st_mode):
            raise PhotoError(f"{name}: not a regular file; copy the photo into one")
        if status.st_size > MAX_FILE_BYTES:
            raise PhotoError(f"{name}: {status.st_size:,} bytes are too many for a photo")
        return path.read_bytes()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise PhotoError(f"{name}: cannot be read ({reason})") from None


def load_photo(source: str | Path | bytes, name: str | None = None) -> Photo:
    """Load a photo.

    Parameters
    ----------
    source
        Path, or content, of the file.
    name
        Name for messages; the path by default.

    Returns
    -------
    The photo, with its EXIF orientation applied.

    Raises
    ------
    PhotoError
        If it cannot be read; the message names file and cause.

    Examples
    --------
    >>> photo = load_photo("examples/portrait.jpg")
    >>> photo.format, photo.rgb.shape
    ('JPEG', (1350, 1350, 3))
    >>> load_photo(b"no photo", "note.txt")
    Traceback (most recent call last):
        ...
    faceflex.errors.PhotoError: note.txt: ...
    """
    return _read(source, name, _decode)


def read_header(source: str | Path | bytes, name: str | None = None) -> tuple[str, bytes | None]:
    """Read a photo's format and its XMP; quick, because its pixels are not decoded.

    A photo whose header is sound may still be damaged.

    Parameters
    ----------
    source, name
        As for :func:`load_photo`.

    Returns
    -------
    A key of :data:`faceflex.photo.formats.FORMATS`; and XMP as the file has it, None without.

    Raises
    ------
    PhotoError
        If it cannot be read; the message names file and cause.
    """

    def header(data: bytes, name: str) -> tuple[str, bytes | None]:
        image = _open(data, name)
        return str(image.format), read_xmp(image, data)

    return _read(source, name, header)


def _read(
    source: str | Path | bytes, name: str | None, decode: Callable[[bytes, str], Result]
) -> Result:
    """Decode a file's content; whatever goes wrong is a :class:`PhotoError` of one line."""
    if isinstance(source, bytes):
        data, name = source, name or "-"
        if len(data) > MAX_FILE_BYTES:
            raise PhotoError(f"{name}: more than {MAX_FILE_BYTES:,} bytes are too many for a photo")
    else:
        name = name or str(source)
        data = _read_bytes(Path(source), name)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return decode(data, name)
    except PhotoError:
        raise
    except MemoryError:
        raise PhotoError(f"{name}: too large for this machine's memory") from None
    except Exception as error:
        # Pillow's decoders raise nearly anything on damaged files.
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise PhotoError(f"{name}: damaged or not supported ({reason})") from error


def _decode(data: bytes, name: str) -> Photo:
    image = _open(data, name)
    mode = native_mode(image)
    if _has_16bit_channels(image, data):
        native, mode = _read_16bit(image, data)
    else:
        native = native_pixels(image, mode)
    # Read after the pixels: Pillow applies the orientation of a TIFF as it loads it.
    orientation = orientation_of(image)
    upright = apply_orientation(native, orientation)
    height, width = upright.shape[:2]
    xmp = read_xmp(image, data)
    return Photo(
        name,
        upright,
        mode,
        str(image.format),
        upright_exif(image, data, width, height),
        image.info.get("icc_profile") or None,
        upright_xmp(xmp, width, height),
        encoding_options(image, data, mode),
        read_resources(image, data, orientation != 1),
        has_credentials(image, data, xmp),
        _notes(image, data),
    )


def _notes(image: Image.Image, data: bytes) -> tuple[str, ...]:
    """Return what of a file an edit cannot preserve, a phrase each."""
    notes = []
    if (depth := bit_depth_of(image, data)) > 8:
        notes.append(f"has {depth} bits a channel; edited and written with 8")
    if isinstance(image, JpegImagePlugin.JpegImageFile) and not image.quantization:
        notes.append("is a lossless JPEG; written as an ordinary one of high quality")
    auxiliary = image.info.get("aux") or image.info.get("depth_images")
    if getattr(image, "n_frames", 1) > 1 or auxiliary:
        notes.append("holds further pictures (a gain map, depth or another view); left out")
    return tuple(notes)


def load_rgb(path: Path) -> NDArray[np.uint8]:
    """Return a photo's upright (H, W, 3) uint8 RGB pixels; see :func:`load_photo`."""
    return load_photo(path).rgb
