"""Write clips: H.264 in MP4 with PyAV, GIF and animated WebP with Pillow; frame by frame.

Provenance is XMP. In MP4 it is a top-level ``uuid`` box (XMP specification part 3, 1.1.6), in GIF
an application extension (1.1.2), in WebP a chunk.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from faceflex.errors import PhotoError, UsageError

CLIP_FORMATS = {"MP4": ".mp4", "GIF": ".gif", "WEBP": ".webp"}
LARGEST_SIDE = {"MP4": 1920, "GIF": 640, "WEBP": 1280}
"""Default of the frames' long side in pixels, which all players take."""
_MAX_SIDE = {"MP4": 8192, "GIF": 65535, "WEBP": 16383}
_INSTALL = "MP4 needs a package: pip install 'faceflex[video]'; or write .gif or .webp"
_XMP_UUID = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")
_CRF = "16"  # Visually lossless.
_LARGE = 9_000_000  # Pixels of a frame from which on the encoder saves memory, and not bytes.
_BAYER = np.array([[0, 8, 2, 10], [12, 4, 14, 6], [3, 11, 1, 9], [15, 7, 13, 5]], np.float32)
_DITHER = 10.0  # Levels of 255; fixed in place, so that it does not flicker.

Picture = NDArray[np.uint8]


def clip_format(path: Path) -> str:
    """Return the format for a clip's suffix.

    Raises
    ------
    UsageError
        If it is none of a clip, or MP4 and PyAV is not installed.

    Examples
    --------
    >>> clip_format(Path("smile.GIF"))
    'GIF'
    """
    suffix = path.suffix.lower()
    for name, known in CLIP_FORMATS.items():
        if suffix == known:
            if name == "MP4":
                _import_av(path)
            return name
    known = ", ".join(CLIP_FORMATS.values())
    raise UsageError(f"{path}: cannot tell the format from {suffix!r}; use one of {known}")


def _import_av(path: Path) -> Any:
    try:
        import av
    except ImportError:
        raise UsageError(f"{path}: {_INSTALL}") from None
    return av


@dataclass(frozen=True)
class ClipFile:
    """How a clip is written.

    Attributes
    ----------
    format
        A key of :data:`CLIP_FORMATS`.
    fps
        Frames a second.
    xmp
        XMP packet; None for none.
    exif
        EXIF, which WebP alone keeps.
    """

    format: str
    fps: float
    xmp: bytes | None = None
    exif: bytes | None = None

    def write(
        self, path: Path, frames: Iterable[Picture], samples: Sequence[Picture] = ()
    ) -> tuple[int, int]:
        """Write a clip.

        Parameters
        ----------
        path
            The file.
        frames
            (H, W, 3) uint8 each, taken one at a time.
        samples
            Frames throughout the clip, of which a GIF's colors are chosen; by default the first.

        Returns
        -------
        Width and height of the clip: H.264 has even sides, an odd last row or column is left out.

        Raises
        ------
        PhotoError
            If it cannot be encoded.
        """
        iterator = iter(frames)
        first = next(iterator)
        height, width = first.shape[:2]
        if max(height, width) > _MAX_SIDE[self.format]:
            raise PhotoError(
                f"{path}: {self.format} holds frames of up to {_MAX_SIDE[self.format]} pixels; "
                "lower `max_side`"
            )
        every = _chain(first, iterator)
        try:
            if self.format == "MP4":
                self._write_mp4(path, every)
            elif self.format == "GIF":
                self._write_gif(path, every, samples or (first,))
            else:
                self._write_webp(path, every)
        except MemoryError:
            raise PhotoError(f"{path}: too large for this machine's memory") from None
        if self.format == "MP4":
            return width - width % 2, height - height % 2
        return width, height

    def _write_mp4(self, path: Path, frames: Iterator[Picture]) -> None:
        av = _import_av(path)
        rate = Fraction(self.fps).limit_denominator(1001)
        try:
            with av.open(str(path), "w", format="mp4", options={"movflags": "+faststart"}) as file:
                stream: Any = None
                for picture in frames:
                    height, width = (n - n % 2 for n in picture.shape[:2])
                    if stream is None:
                        stream = _h264_stream(file, rate, width, height)
                    even = np.ascontiguousarray(picture[:height, :width])
                    frame = av.VideoFrame.from_ndarray(even, format="rgb24")
                    del picture, even
                    frame = frame.reformat(
                        format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG"
                    )
                    file.mux(stream.encode(frame))
                    del frame
                file.mux(stream.encode())
        except av.FFmpegError as error:
            raise PhotoError(f"{path}: cannot be encoded as MP4 ({error.strerror})") from error
        if self.xmp:
            size = 24 + len(self.xmp)
            with path.open("ab") as raw:
                raw.write(size.to_bytes(4, "big") + b"uuid" + _XMP_UUID + self.xmp)

    def _write_gif(self, path: Path, frames: Iterator[Picture], samples: Sequence[Picture]) -> None:
        mosaic = Image.fromarray(np.concatenate(samples))
        palette = mosaic.quantize(256, Image.Quantize.MEDIANCUT)
        indexed = (
            _ordered_dither(picture).quantize(palette=palette, dither=Image.Dither.NONE)
            for picture in frames
        )
        buffer = io.BytesIO()
        next(indexed).save(
            buffer,
            "GIF",
            save_all=True,
            append_images=indexed,
            duration=round(1000 / self.fps),
            loop=0,
            optimize=False,
        )
        data = buffer.getvalue()
        path.write_bytes(_xmp_in_gif(data, self.xmp) if self.xmp else data)

    def _write_webp(self, path: Path, frames: Iterator[Picture]) -> None:
        first = Image.fromarray(next(frames))
        first.save(
            path,
            "WEBP",
            save_all=True,
            append_images=(Image.fromarray(frame) for frame in frames),
            duration=round(1000 / self.fps),
            loop=0,
            quality=85,
            method=3,
            xmp=self.xmp or b"",
            exif=self.exif or b"",
        )


def _h264_stream(file: Any, rate: Fraction, width: int, height: int) -> Any:
    """Add an H.264 stream (4:2:0, BT.709) to a container."""
    options = {"crf": _CRF, "preset": "veryfast"}
    if width * height > _LARGE:
        options |= {"preset": "ultrafast", "x264-params": "threads=1:sync-lookahead=0"}
    stream = file.add_stream("h264", rate=rate, options=options)
    stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
    context = stream.codec_context
    context.color_primaries = context.color_trc = context.colorspace = 1
    context.color_range = 1
    return stream


def _chain(first: Picture, rest: Iterator[Picture]) -> Iterator[Picture]:
    yield first
    yield from rest


def _ordered_dither(picture: Picture) -> Image.Image:
    """Return a picture with a fixed pattern added, which hides that colors are few."""
    height, width = picture.shape[:2]
    tile = (_BAYER / 16 - 15 / 32) * _DITHER
    pattern = np.tile(tile, (height // 4 + 1, width // 4 + 1))[:height, :width, None]
    return Image.fromarray(np.clip(picture + pattern, 0, 255).astype(np.uint8))


def _xmp_in_gif(data: bytes, xmp: bytes) -> bytes:
    """Insert XMP as an application extension behind the global colors.

    Readers that do not know it skip it as sub-blocks: whichever byte they take for a length leads
    them into the trailer, which leads to its end.
    """
    flags = data[10]
    at = 13 + (3 << ((flags & 7) + 1) if flags & 0x80 else 0)
    trailer = bytes([1, *range(255, -1, -1), 0])
    return b"GIF89a" + data[6:at] + b"!\xff\x0bXMP DataXMP" + xmp + trailer + data[at:]


def read_clip_xmp(data: bytes) -> bytes | None:
    """Return the XMP packet of an MP4 or a GIF that was written here; None without one."""
    mark = b"!\xff\x0bXMP DataXMP"
    if data[:3] == b"GIF":
        start = data.find(mark)
        end = data.find(bytes([1, *range(255, 250, -1)]), start)
        return data[start + len(mark) : end] if start >= 0 and end > start else None
    at = 0
    while at + 8 <= len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        if data[at + 4 : at + 8] == b"uuid" and data[at + 8 : at + 24] == _XMP_UUID:
            return data[at + 24 : at + size]
        if size == 1:
            size = int.from_bytes(data[at + 8 : at + 16], "big")
        if size < 8:
            return None
        at += size
    return None
