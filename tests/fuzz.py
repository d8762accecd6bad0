"""Coverage-guided fuzzing of the readers that are faceflex's own.

``python tests/fuzz.py TARGET [-max_total_time=60 and the like, or files to run once]``,
with the extra ``fuzz`` installed. Seeds are made here; what is found becomes a test.
"""

from __future__ import annotations

import contextlib
import io
import json
import pickle
import struct
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import atheris

sys.path.insert(0, str(Path(__file__).parent.parent))
import joblib
import numpy as np
from PIL import Image

with atheris.instrument_imports(include=["faceflex", "pickle"]):
    from faceflex.data.readers import read_celeba, read_labels
    from faceflex.errors import FaceflexError
    from faceflex.faces.dlib_format import check_predictor, read_predictor
    from faceflex.faces.trees import TreeCascade
    from faceflex.methods.vectors import AttributeVectors
    from faceflex.models.pickles import read_pickled_arrays
    from faceflex.photo import exif, formats, iptc, metadata, parts

from tests import hostile

FOLDER = Path(tempfile.mkdtemp())


def one_exif(data: bytes) -> None:
    block = exif.upright_block(data, 300, 200)
    if block is not None:
        assert exif.upright_block(block, 300, 200) is not None
        short = exif.shrink_exif(block, 200)
        assert short is None or len(short) <= 200
        tiff = hostile.saved("TIFF", SMALL)
        exif.add_to_tiff(tiff, block, {700: b"<xmp/>"})
    exif.upright_tags(data, 300, 200)


def one_xmp(data: bytes) -> None:
    metadata.upright_xmp(data, 300, 200)
    marked = metadata.provenance_xmp(data, "faceflex", "1", {"Smiling": "1"})
    assert metadata.DIGITAL_SOURCE_TYPE.encode() in marked
    short = metadata.shrink_xmp(marked, 900)
    assert short is None or len(short) <= 900


def one_chunks(data: bytes) -> None:
    for walk in (parts.jpeg_segments, parts.png_chunks, parts.riff_chunk_ids, parts.bmff_boxes):
        for _ in walk(data):
            pass
    parts.unsupported_jpeg(b"\xff\xd8" + data)
    formats.format_from_brands(data)


def one_iptc(data: bytes) -> None:
    bare = hostile.saved("JPEG", SMALL)
    size = min(len(data), 60000)
    segment = b"\xff\xed" + (size + 16).to_bytes(2, "big") + b"Photoshop 3.0\0" + data[:size]
    jpeg = bare[:2] + segment + bare[2:]
    image = Image.open(io.BytesIO(bare))
    kept = iptc.read_resources(image, jpeg, False)
    if kept is not None:
        again = iptc.add_to_jpeg(bare, kept)
        assert iptc.read_resources(image, again, False) == kept
        iptc.to_tiff_tags(kept)
        assert iptc._from_png_text(iptc.to_png_text(kept)[1]) == kept


def one_dlib(data: bytes) -> None:
    for read in (read_predictor, check_predictor):
        with contextlib.suppress(ValueError):
            read(data)


def _file(data: bytes, read: Callable[[Path], object]) -> None:
    path = FOLDER / "file"
    path.write_bytes(data)
    _refused(lambda: read(path))


def _refused(read: Callable[[], object]) -> None:
    told = ""
    try:
        read()
    except FaceflexError as error:
        told = str(error)
    assert "\n" not in told


def one_pickle(data: bytes) -> None:
    _file(data, read_pickled_arrays)


def one_labels(data: bytes) -> None:
    _file(data, lambda path: list(read_labels(FOLDER, path)))
    table, _, partition = data.partition(b"\0")
    (FOLDER / "list_attr_celeba.txt").write_bytes(table)
    (FOLDER / "list_eval_partition.txt").write_bytes(partition)
    _refused(lambda: list(read_celeba(FOLDER)))


def one_arrays(data: bytes) -> None:
    _file(data, AttributeVectors.load)
    _file(data, TreeCascade)


SMALL = hostile.face().resize((4, 4))


def _number(value: int) -> bytes:
    size = (abs(value).bit_length() + 7) // 8
    return bytes([size | (0x80 if value < 0 else 0)]) + abs(value).to_bytes(size, "little")


def _predictor() -> bytes:
    """Return a predictor of two points, as dlib writes it."""
    n, real = _number, b"\1\3\1\x7f"
    matrix = n(-4) + n(-1) + real * 4
    tree = n(1) + n(0) + n(1) + real + n(2) + matrix * 2
    return n(1) + matrix + n(1) + n(1) + tree + n(1) + n(1) + n(0) + n(1) + n(1) + real * 2


def _resources() -> bytes:
    """Return resources with a caption and a preview in IPTC, a thumbnail and an outline."""
    iim = b"\x1c\x02\x78\0\x02hi\x1c\x02\xca\x80\x01\x03abc"
    some = ((0x0404, iim), (0x0409, b"small"), (0x07D0, b"path"), (0x03ED, bytes(16)))
    return b"".join(iptc._block(b"8BIM", number, b"\x03abc", body) for number, body in some)


def _stored(kind: str, arrays: dict[str, np.ndarray], **more: str) -> bytes:
    from safetensors.numpy import save

    return save(arrays, {"kind": kind, **more})


def _trees() -> bytes:
    rng = np.random.default_rng(0)
    shapes = {"initial": ((68, 2), "f2"), "anchors": ((1, 3), "u1"), "deltas": ((1, 3, 2), "f2"),
              "features": ((1, 2, 1, 2), "u2"), "thresholds": ((1, 2, 1), "f2"),
              "leaves": ((1, 2, 2, 136), "i1"), "scales": ((1, 136), "f2")}  # fmt: skip
    made = {k: rng.integers(0, 3, shape).astype(kind) for k, (shape, kind) in shapes.items()}
    return _stored("faceflex-trees-1", made)


def _vectors() -> bytes:
    info = {"positive": 1, "negative": 1, "gap": 1.0, "auc": None, "agreement": 0.5,
            "estimator": "mean"}  # fmt: skip
    return _stored("faceflex-vectors-1", {"Smiling": np.ones((2, 3), np.float16)}, model="m",
                   info=json.dumps({"Smiling": info}))  # fmt: skip


def _dumped(value: object) -> bytes:
    buffer = io.BytesIO()
    joblib.dump(value, buffer)
    return buffer.getvalue()


def _seeds(target: str) -> list[bytes]:
    means = {"pos": [np.ones(3, np.float32)], "neg": [np.float64(2)]}
    made: dict[str, Callable[[], list[bytes]]] = {
        "exif": lambda: (
            [hostile.exif(), hostile.saved("TIFF", SMALL, exif=hostile.exif())]
            + [struct.pack("<4sI", b"II*\0", 8) + bytes(40)]
        ),
        "xmp": lambda: [hostile._XMP, metadata.provenance_xmp(None, "a", "b", {})],
        "chunks": lambda: [hostile.saved("PNG", SMALL), hostile.saved("WEBP", SMALL)],
        "iptc": lambda: [_resources()],
        "dlib": lambda: [_predictor()],
        "pickle": lambda: [_dumped(means), *(pickle.dumps(means, p) for p in range(6))],
        "labels": lambda: [b"file,A,B\na.jpg,1,0\n", b"1\nA B\na.jpg 1 -1\n\0a.jpg 0\n"],
        "arrays": lambda: [_trees(), _vectors()],
    }
    return made[target]()


TARGETS = {
    "exif": one_exif,
    "xmp": one_xmp,
    "chunks": one_chunks,
    "iptc": one_iptc,
    "dlib": one_dlib,
    "pickle": one_pickle,
    "labels": one_labels,
    "arrays": one_arrays,
}

if __name__ == "__main__":
    if sys.argv[1:2] == [] or sys.argv[1] not in TARGETS:
        sys.exit(f"usage: python tests/fuzz.py {'|'.join(TARGETS)} [libFuzzer options]")
    name = sys.argv.pop(1)
    corpus = Path(tempfile.mkdtemp())
    for number, seed in enumerate(_seeds(name)):
        (corpus / f"seed-{number}").write_bytes(seed)
    own = [word for word in sys.argv[1:] if not word.startswith("-")]  # Files to run once.
    atheris.Setup([*sys.argv, *([] if own else [str(corpus)])], TARGETS[name])
    atheris.Fuzz()
