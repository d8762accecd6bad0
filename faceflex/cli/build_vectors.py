"""``faceflex build-vectors``: attribute vectors from labelled faces."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from faceflex.cli.common import (
    ClusterOption,
    DeviceOption,
    check_choice,
    note,
    progress,
    require_folder_of,
    whole_path,
)

if TYPE_CHECKING:
    from faceflex.methods.vectors import AttributeVectors


def build_vectors(
    data: Annotated[
        Path,
        typer.Argument(
            help="CelebA's folder (list_attr_celeba.txt and img_align_celeba/), or, with --labels,"
            " any folder of photos."
        ),
    ],
    out: Annotated[Path, typer.Option(help="File to write.")] = Path("vectors.safetensors"),
    labels: Annotated[
        Path | None,
        typer.Option(
            metavar="CSV",
            help="Labels of your own: a line file,NAME,... and then one a photo, with 1, 0 or"
            " nothing (not known).",
        ),
    ] = None,
    attr: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Only these; repeatable.")
    ] = None,
    estimator: Annotated[
        str,
        typer.Option(
            metavar="balanced|mean|ridge|logistic|lda", help="How directions are estimated."
        ),
    ] = "balanced",
    versions: Annotated[int, typer.Option(min=1, help="Versions of each attribute.")] = 25,
    seed: Annotated[int, typer.Option(help="Fixes the groups of faces.")] = 0,
    extend: Annotated[
        bool,
        typer.Option(
            "--extend", help="Write the bundled attributes as well, so that both can be edited."
        ),
    ] = False,
    model: Annotated[str, typer.Option(metavar="NAME|FILE", help="Face model.")] = "vae",
    cache: Annotated[
        Path, typer.Option(help="Folder for latents; a stopped run goes on from there.")
    ] = Path("cache"),
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Processes; all cores by default.")
    ] = None,
    cluster: ClusterOption = None,
    device: DeviceOption = "auto",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace FILE.")] = False,
) -> None:
    """Compute attribute vectors from labelled faces: detect, align, encode, estimate.

    CelebA is read as it is distributed, at full size or half, with its partition and its five
    points if they are there. Pictures without a usable face are counted and listed beside FILE.
    """
    from faceflex.errors import UsageError
    from faceflex.methods.directions import ESTIMATORS

    check_choice("--estimator", estimator, ESTIMATORS)
    if cluster is not None:
        data, model = data.absolute(), whole_path(model)
    if out.exists() and not overwrite:
        raise UsageError(f"{out}: exists; use --overwrite or another --out")
    require_folder_of(out)
    from faceflex.assets import resolve
    from faceflex.data.latents import encode_records
    from faceflex.data.readers import read_any, read_labels
    from faceflex.files import atomic_write
    from faceflex.models.device import pick_device
    from faceflex.models.model_id import read_id
    from faceflex.train import vectors as estimation

    records = list(read_any(data) if labels is None else read_labels(data, labels))
    if not any(r.labels for r in records):
        raise UsageError(f"{data}: has no labels; give CelebA's folder, or --labels CSV")
    identity = read_id(resolve(model))
    base = _bundled(identity)
    if extend and base is None:
        raise UsageError("--extend: the bundled vectors belong to another model")
    with progress("encoding", None) as advance:
        faces = encode_records(
            records,
            model,
            cache,
            jobs=jobs,
            cluster=cluster,
            device=pick_device(device),
            progress=advance,
        )
    made = estimation.build_vectors(
        faces,
        identity,
        attributes=attr,
        estimator=estimator,
        versions=versions,
        seed=seed,
        base=base,
    )
    if extend and base is not None:
        for name in base.names:
            made.versions.setdefault(name, base.versions[name])
            made.info.setdefault(name, base.info[name])
    made.save(out)
    if faces.left_out:
        beside = out.with_name(f"{out.stem}-left-out.txt")
        with atomic_write(beside) as temporary:
            lines = (f"{name}\t{reason}\n" for name, reason in faces.left_out.items())
            temporary.write_text("".join(lines))
        reasons = Counter(faces.left_out.values()).most_common()
        told = ", ".join(f"{reason} {count:,}" for reason, count in reasons)
        note(f"{len(faces.left_out):,} pictures left out ({told}); listed in {beside}")
    note(f"{len(made.names)} attributes from {len(faces.records):,} faces written to {out}")


def _bundled(identity: str) -> AttributeVectors | None:
    """Return the bundled vectors, if they belong to the model."""
    from faceflex.assets import resolve
    from faceflex.errors import AssetError
    from faceflex.methods.vectors import AttributeVectors

    try:
        return AttributeVectors.load(resolve("vectors"), identity)
    except AssetError:
        return None
