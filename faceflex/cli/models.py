"""``faceflex models``: the registered files."""

from __future__ import annotations

from typing import Annotated

import typer

from faceflex.cli.common import JsonOption, print_json


def models(
    json_: JsonOption = False,
    licence: Annotated[
        bool, typer.Option("--licence", help="Say under which terms each file may be used.")
    ] = False,
) -> None:
    """List models, vectors and landmark predictors: what is here, where, and its hash."""
    from faceflex.assets.registry import locate, registry

    rows = []
    for asset in registry().values():
        found = locate(asset)
        rows.append(
            {
                "name": asset.name,
                "about": asset.about,
                "where": found.source if found else "not fetched",
                "path": str(found.path) if found else None,
                "bytes": asset.size,
                "sha256": asset.sha256,
                "licence": asset.licence,
            }
        )
    if json_:
        for row in rows:
            print_json(row)
        return
    for row in rows:
        typer.echo(f"{row['name']:<12} {row['about']}")
        typer.echo(
            f"{'':<12} {row['where']}: {row['path'] or 'faceflex fetch ' + str(row['name'])}"
        )
        typer.echo(f"{'':<12} {row['bytes']:,} bytes, sha256 {row['sha256']}")
        if licence:
            typer.echo(f"{'':<12} licence: {row['licence']}")
