"""``faceflex generate``: faces of nobody, at a degree of smile."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from faceflex.cli.common import (
    OfflineOption,
    go_offline,
    note,
    progress,
    require_folder_of,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from faceflex.models.face_generator import FaceGenerator

_MOST = 1024
_TRAINED, _INSIDE = 1.0, 0.7  # Degrees of the training; a degree that many faces have.

ModelOption = Annotated[
    str, typer.Option(metavar="NAME|FILE", help="Smile CVAE, or one of the small networks.")
]


def generate(
    out: Annotated[Path, typer.Option(help="Picture to write: a grid of faces.")],
    smile: Annotated[
        float | None, typer.Option(metavar="DEGREE", help="Degree of all faces.")
    ] = None,
    sweep: Annotated[
        tuple[float, float, float] | None,
        typer.Option(
            metavar="START STOP STEP",
            help="A row for each degree, START in, STOP out; a column is one face.",
        ),
    ] = None,
    count: Annotated[
        int, typer.Option(min=1, max=_MOST, help="Faces; of a sweep, in each row.")
    ] = 64,
    seed: Annotated[int, typer.Option(min=0, help="Fixes which faces are drawn.")] = 0,
    spread: Annotated[
        float,
        typer.Option(
            min=0, max=2, help="Standard deviation of codes: less makes faces plainer and alike."
        ),
    ] = 0.9,
    nearest: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FOLDER",
            help="Face set of the training: also write OUT-nearest, each face above the nearest"
            " of the set; repeatable.",
        ),
    ] = None,
    cache: Annotated[Path, typer.Option(help="Folder for aligned faces of --nearest.")] = Path(
        "cache"
    ),
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace OUT.")] = False,
    model: ModelOption = "smile-cvae",
    offline: OfflineOption = False,
) -> None:
    """Generate faces from the smile CVAE's prior; nobody looks like that.

    Beyond -1 to 1 nothing was learned; what becomes of the variety of faces there is measured.
    """
    import math

    import numpy as np

    from faceflex.errors import UsageError

    if (smile is None) == (sweep is None):
        raise UsageError("give --smile DEGREE or --sweep START STOP STEP")
    if smile is not None and not math.isfinite(smile):
        raise UsageError(f"--smile {smile}: is no degree")
    require_folder_of(out)
    if out.exists() and not overwrite:
        raise UsageError(f"{out}: exists; use --overwrite or another --out")
    go_offline(offline)
    from faceflex.assets import resolve
    from faceflex.edit.request import strengths
    from faceflex.evaluate.generation import diversity
    from faceflex.models.face_generator import load_generator
    from faceflex.photo.formats import format_for
    from faceflex.photo.grid import captioned_grid, make_grid

    format_for(out)
    degrees = [smile] if smile is not None else strengths(*sweep) if sweep else []
    if count * len(degrees) > _MOST:
        raise UsageError(f"{count} faces at {len(degrees)} degrees: {_MOST:,} in all at most")
    generator = load_generator(resolve(model), resolve("vae"))
    if not generator.conditional:
        note(f"{model}: has no condition; degrees make no difference")
    codes = np.float32(spread) * generator.draw(count, seed)
    rows = [generator.decode(codes, np.full(count, d, np.float32)) for d in degrees]
    for degree, row in zip(degrees, rows, strict=True):
        if abs(degree) > _TRAINED and count > 1:
            inside = np.full(count, math.copysign(_INSIDE, degree), np.float32)
            ratio = diversity(row) / max(diversity(generator.decode(codes, inside)), 1e-9)
            note(
                f"degree {degree:g}: beyond the trained range of -1 to 1; its faces differ"
                f" {ratio:.2f} times as much as those at {inside[0]:.1f}"
            )
    if smile is not None:
        side = math.ceil(math.sqrt(count))
        picture = make_grid([rows[0][i : i + side] for i in range(0, count, side)])
    else:
        picture = captioned_grid(
            [
                [(f"{degree:+.2g}" if i == 0 else "", face) for i, face in enumerate(row)]
                for degree, row in zip(degrees, rows, strict=True)
            ]
        )
    write_picture(out, picture)
    note(f"{count * len(degrees)} faces written to {out}")
    if nearest:
        _nearest(generator, rows, nearest, cache, out.with_stem(f"{out.stem}-nearest"))


def write_picture(path: Path, picture: object) -> None:
    """Write a picture in the format of its name."""
    import numpy as np
    from PIL import Image

    from faceflex.files import atomic_write

    with atomic_write(path) as temporary:
        Image.fromarray(np.asarray(picture)).save(temporary)


def _nearest(
    generator: FaceGenerator, rows: Sequence[object], folders: list[Path], cache: Path, out: Path
) -> None:
    """Write generated faces above the nearest of a face set, and say how near they are."""
    import numpy as np

    from faceflex.data.cache import open_cache
    from faceflex.evaluate.generation import diversity, face_vectors, nearest, pairs_picture
    from faceflex.photo.grid import thumbnail

    with progress("aligning", None) as advance:
        faces = open_cache(folders, cache, advance)
    parts = (range(i, min(i + 512, len(faces))) for i in range(0, len(faces), 512))
    known = np.concatenate([face_vectors(faces.crops(list(part))) for part in parts])
    generated = np.concatenate([np.asarray(row) for row in rows])
    which, distances = nearest(generated, known)
    # How near two different real faces come to each other, to compare with.
    sample = np.random.default_rng(0).permutation(len(known))
    half = len(sample) // 2
    some = faces.crops(sample[: min(half, 256)])
    _, usual = nearest(some, known[sample[half:]])
    first = np.asarray(rows[0])
    ratio = diversity(first) / max(diversity(some[: len(first)]), 1e-9)
    neighbours = np.stack([thumbnail(f, generator.size) for f in faces.crops(which)])
    write_picture(out, pairs_picture(generated, neighbours, distances))
    note(
        f"nearest of {len(faces):,} faces: {distances.min():.1f} gray levels or more away, median"
        f" {np.median(distances):.1f} (real faces from other real ones: median"
        f" {np.median(usual):.1f}); written to {out}"
    )
    if len(first) > 1:
        note(f"generated faces differ {ratio:.2f} times as much as the same number of real ones")
