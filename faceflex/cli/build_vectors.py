"""``faceflex build-vectors``: attribute vectors from labelled faces."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from faceflex.cli.common import DeviceOption, note, progress, require_folder_of


def build_vectors(
    data: Annotated[
        Path, typer.Argument(help="CelebA's folder: list_attr_celeba.txt and img_align_celeba/.")
    ],
    out: Annotated[Path, typer.Option(help="File to write.")] = Path("vectors.safetensors"),
    attr: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Only these; repeatable.")
    ] = None,
    versions: Annotated[int, typer.Option(min=1, help="Versions of each attribute.")] = 25,
    seed: Annotated[int, typer.Option(help="Fixes the groups of faces.")] = 0,
    model: Annotated[str, typer.Option(metavar="NAME|FILE", help="Face model.")] = "vae",
    cache: Annotated[Path, typer.Option(help="Folder for aligned faces.")] = Path("cache"),
    device: DeviceOption = "auto",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace FILE.")] = False,
) -> None:
    """Compute attribute vectors from CelebA: detect, align and encode, then average groups."""
    from faceflex.errors import UsageError

    if out.exists() and not overwrite:
        raise UsageError(f"{out}: exists; use --overwrite or another --out")
    require_folder_of(out)
    from faceflex.assets import resolve
    from faceflex.data.cache import open_cache
    from faceflex.data.readers import read_any
    from faceflex.models.checkpoint import load_vae
    from faceflex.models.device import pick_device
    from faceflex.train import vectors as estimation

    network, identity = load_vae(resolve(model), pick_device(device))
    first = next(iter(read_any(data)))
    if not first.labels:
        raise UsageError(f"{data}: has no labels; CelebA's list_attr_celeba.txt is needed")
    with progress("aligning", None) as advance:
        faces = open_cache([data], cache, advance)
    with progress("encoding", None) as advance:
        made = estimation.build_vectors(
            faces,
            network,
            identity,
            attributes=attr,
            versions=versions,
            seed=seed,
            progress=advance,
        )
    made.save(out)
    note(f"{len(made.names)} attributes from {len(faces):,} faces written to {out}")
