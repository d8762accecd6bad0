"""``faceflex import``: other programs' files, turned into ours."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from faceflex.cli.common import note

app = typer.Typer(help="Import models.", no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def _imports() -> None:
    pass


@app.command("face-flex")
def face_flex(
    weights: Annotated[Path, typer.Argument(help="Face Flex's weights.pth.")],
    vectors: Annotated[list[Path], typer.Argument(help="Its vectors: Smiling.pkl and the like.")],
    out: Annotated[Path, typer.Option(help="Folder to write to.")] = Path(),
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files.")] = False,
) -> None:
    """Import Face Flex's published weights and vectors; nothing in them is executed.

    Writes OUT/face-flex.safetensors and OUT/face-flex-vectors.safetensors, for edit's --model and
    --vectors. The model has its own network and crop; strengths are Face Flex's own (0 to 5).
    """
    from faceflex.errors import UsageError

    model, found = out / "face-flex.safetensors", out / "face-flex-vectors.safetensors"
    if not out.is_dir():
        raise UsageError(f"{out}: no such folder")
    for path in (model, found):
        if path.exists() and not overwrite:
            raise UsageError(f"{path}: exists; use --overwrite or another --out")
    from faceflex.methods.face_flex_import import import_vectors, import_weights, read_versions

    latent = read_versions(vectors[0]).shape[1]
    identity = import_weights(weights, model)
    made = import_vectors(vectors, identity, latent)
    made.save(found)
    note(
        f"{', '.join(made.names)}: faceflex edit PHOTO --model {model} --vectors {found}"
        f" --attr {made.names[0]} --range 0 5 1"
    )
