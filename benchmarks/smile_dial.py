"""Figures of docs/smile.md that no command prints: reconstruction, identity, held-out degrees.

    python benchmarks/smile_dial.py UTKFace/ utkface_smile_degree.csv neutral/

The tenth of UTKFace whose names' crc32 is divisible by 10 is held out; of the hand-made degrees
also the quarter that the bundled regressor's training holds out. ``neutral/`` are photos of one
face each.
"""

from __future__ import annotations

import sys
import zlib
from pathlib import Path

import cv2
import numpy as np
import torch
from scipy.stats import pearsonr, spearmanr

from faceflex import make_editor
from faceflex.assets import resolve
from faceflex.data.cache import align_record
from faceflex.data.degrees import match_degrees
from faceflex.data.readers import read_any
from faceflex.data.records import is_held_out
from faceflex.faces.recognition import IdentityMeter
from faceflex.methods.smile_degree import estimate_degrees
from faceflex.models.attribute_classifier import load_classifier
from faceflex.models.codec import decode_faces, encode_faces
from faceflex.models.face_generator import load_generator
from faceflex.photo import load_rgb
from faceflex.train.degree import degree_fold

FACES, SIDE = 120, 675


def say(text):
    """Print a line."""
    sys.stdout.write(f"{text}\n")


def crops_of(records):
    """Return names and aligned crops of the records that have a usable face."""
    aligned = [(r.path.name, align_record(r)) for r in records]
    kept = [(name, a[0].crop) for name, a in aligned if not isinstance(a, str)]
    return [name for name, _ in kept], np.stack([crop for _, crop in kept])


def degrees(records, path):
    """Print how held-out hand-made degrees agree with the regressor's and the classifier's."""
    known, _ = match_degrees(path, [r.path.name for r in records])
    held_out = [
        r
        for r in records
        if (n := r.path.name) in known
        and (degree_fold(n) == 0 or is_held_out(n) or zlib.crc32(n.encode()) % 10 == 0)
    ]
    names, crops = crops_of(held_out)
    truth = np.array([known[n] for n in names])
    found = np.array(estimate_degrees(list(crops)))
    judge = load_classifier(resolve("judge"))
    smiling = judge.scores(crops)[:, judge.config.names.index("Smiling")]
    say(f"{len(names)} held-out degrees: Spearman {spearmanr(found, truth)[0]:.3f}, Pearson"
          f" {pearsonr(found, truth)[0]:.3f}, mean error {np.abs(found - truth).mean():.3f};"
          f" judge: Spearman {spearmanr(smiling, truth)[0]:.3f}; a perfect yes or no:"
          f" {spearmanr(np.sign(truth), truth)[0]:.3f}")  # fmt: skip


def reconstruction(records):
    """Print the PSNR of faces through the face model, and through the CVAE."""
    held_out = [r for r in records if zlib.crc32(r.path.name.encode()) % 10 == 0 and r.labels]
    order = np.random.default_rng(0).permutation(len(held_out))[:FACES]
    _, crops = crops_of([held_out[i] for i in order])
    generator = load_generator(resolve("smile-cvae"), resolve("vae"))
    own = np.float32(estimate_degrees(list(crops)))
    plain = decode_faces(generator.face_model, encode_faces(generator.face_model, crops))
    through = generator.decode(generator.encode(crops, own), own)
    for name, pictures in (("face model", plain), ("smile CVAE", through)):
        squares = np.square((pictures.astype(float) - crops) / 255).mean(axis=(1, 2, 3))
        say(f"{name}: PSNR {(-10 * np.log10(squares)).mean():.2f} dB over {len(crops)} faces")


def identity(photos):
    """Print how far identity moves: by the dial, and by an attribute vector."""
    dial, vectors = make_editor("smile-degree", device="cpu"), make_editor(device="cpu")
    for editor, settings in (
        (dial, {"Smile": 0.5}),
        (dial, {"Smile": 0.7}),
        (vectors, {"Smiling": 1.5}),
    ):
        distances = []
        for path in photos:
            rgb = cv2.resize(load_rgb(path), (SIDE, SIDE), interpolation=cv2.INTER_AREA)
            opened = editor.open(rgb, ["largest"], name=path.name)
            points = [face.face.points for face in opened.faces]
            meter = IdentityMeter(editor.finder.landmarks, rgb, points)
            (picture,) = opened.render([opened.shot(**settings)])
            distances += [d for d in meter.distances(picture) if d is not None]
        say(f"{settings}: identity distance, median {np.median(distances):.3f}, largest"
              f" {max(distances):.3f}, {len(distances)} photos")  # fmt: skip


if __name__ == "__main__":
    torch.set_num_threads(1)
    folder, table, neutral = map(Path, sys.argv[1:])
    pictures = [r for r in read_any(folder) if r.points is not None]
    degrees(pictures, table)
    reconstruction(pictures)
    identity(sorted(neutral.glob("*.jpg")))
