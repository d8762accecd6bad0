"""Compare the pipeline with the classic one, that of Face Flex (2019), on the same model.

    python benchmarks/classic.py [--megapixels 12] [--outputs 25] [--classic-outputs 3]

The classic way finds faces on the photo enlarged twice, and makes one output at a time: a decode is
enlarged, padded to the whole frame and turned back in float64, a mask of the whole frame is
softened with a Gaussian over all of it, both are blended, and a PNG is written. Neither way counts
importing or loading the models. Both run in turn, in one process. Prints the seconds of finding
and of an output, and the ratios, as JSON. (The face is cut and turned by this package's alignment
in both.)
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

import dlib
import numpy as np
from cold_start import PORTRAIT, enlarged
from numpy.typing import NDArray
from PIL import Image
from skimage.draw import polygon2mask
from skimage.filters import gaussian
from skimage.transform import AffineTransform, rotate
from skimage.transform import warp as skimage_warp

from faceflex import load_photo, make_editor
from faceflex.edit.batch import edit_photos
from faceflex.edit.options import EditOptions, Target
from faceflex.edit.request import Request
from faceflex.edit.result import PhotoResult
from faceflex.faces import Face
from faceflex.faces.mask import face_outline
from faceflex.methods.attribute_vectors import AttributeVectorMethod
from faceflex.models.codec import decode_faces
from faceflex.parallel.process_pool import default_jobs


def classic_output(
    rgb: NDArray[np.uint8], face: Face, decoded: NDArray[np.uint8], path: Path
) -> None:
    """Put a decode into the photo as Face Flex does, and write a PNG."""
    height, width = rgb.shape[:2]
    p = face.points.astype(np.float64)
    across = p[42:48].mean(axis=0) - p[36:42].mean(axis=0)
    degrees = np.degrees(np.arctan2(across[1], across[0]))
    left, top = p.min(axis=0)
    side = float((p.max(axis=0) - p.min(axis=0)).max())
    place = AffineTransform(scale=side / 128, translation=(left, top))
    frame = skimage_warp(decoded / 255.0, place.inverse, output_shape=(height, width))
    frame = rotate(frame, -degrees, center=tuple(p.mean(axis=0)))
    outline = face_outline(face.points)[:, ::-1]
    mask = polygon2mask((height, width), outline).astype(np.float64)
    mask = gaussian(mask, 5 * side / 128)[:, :, None]
    mixed = frame * mask + (rgb / 255.0) * (1 - mask)
    Image.fromarray(np.round(255 * mixed).astype(np.uint8)).save(path, "PNG")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Compare with the classic way.")
    parser.add_argument("--megapixels", type=float)
    parser.add_argument("--outputs", type=int, default=25)
    parser.add_argument("--classic-outputs", type=int, default=3)
    options = parser.parse_args()
    editor = make_editor(device="cpu")
    method = editor.method
    assert isinstance(method, AttributeVectorMethod)
    with tempfile.TemporaryDirectory() as place:
        path = PORTRAIT
        if options.megapixels:
            path = enlarged(options.megapixels, Path(place) / "photo.jpg")
        photo = load_photo(path)
        rgb = photo.rgb
        opened = editor.open(rgb, ["1"])
        face = opened.faces[0].face
        (code,) = method.encode(opened.faces, rgb)
        vector = method.vectors.mean("Smiling")
        decode_faces(method.model, code.latent[None])

        started = time.perf_counter()
        dlib.get_frontal_face_detector()(rgb, 1)
        classic_find = time.perf_counter() - started
        started = time.perf_counter()
        for number in range(options.classic_outputs):
            (decoded,) = decode_faces(method.model, (code.latent + number * vector)[None])
            classic_output(rgb, face, decoded, Path(place) / f"{number}.png")
        classic_each = (time.perf_counter() - started) / options.classic_outputs

        started = time.perf_counter()
        editor.finder.find(rgb)
        find = time.perf_counter() - started
        values = tuple(2.5 * i / options.outputs for i in range(options.outputs))
        edits = EditOptions(Request(("Smiling",), values))
        tasks = [(str(path), Target(Path(place) / "out"))]
        started = time.perf_counter()
        results = list(edit_photos(edits, editor, tasks, lambda a: (a, a), jobs=default_jobs()))
        each = (time.perf_counter() - started - find) / options.outputs
        result = results[-1][1]
        assert isinstance(result, PhotoResult)
        assert result.outcome == "done", result.error
    report = {
        "photo": f"{rgb.shape[1]}x{rgb.shape[0]}",
        "face": face.width,
        "find": {"classic": round(classic_find, 2), "faceflex": round(find, 2)},
        "output": {"classic": round(classic_each, 3), "faceflex": round(each, 3)},
        "classic_over_faceflex": {
            "find": round(classic_find / find, 1),
            "output": round(classic_each / each, 1),
        },
    }
    sys.stdout.write(json.dumps(report) + "\n")


if __name__ == "__main__":
    main()
