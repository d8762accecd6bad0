"""``faceflex attributes``: what can be edited."""

from __future__ import annotations

from typing import Annotated

import typer

from faceflex.cli.common import JsonOption, OfflineOption, go_offline, print_json


def attributes(
    vectors: Annotated[
        str, typer.Option(metavar="NAME|FILE", help="Vector file; the bundled one by default.")
    ] = "vectors",
    json_: JsonOption = False,
    offline: OfflineOption = False,
) -> None:
    """List the attributes that can be edited, and how reliable each is.

    Names are those of CelebA's labels: what a group of annotators saw, not what a person is.
    Reliability is how well a linear reader of the model's latents tells held-out faces with the
    attribute from those without (AUC): good from 0.93, fair from 0.85, weak below.
    """
    go_offline(offline)
    from faceflex.assets import resolve
    from faceflex.vectors import AttributeVectors

    known = AttributeVectors.load(resolve(vectors))
    if json_:
        for name in known.names:
            info = known.info[name]
            print_json(
                {
                    "attribute": name,
                    "reliability": info.reliability,
                    "auc": info.auc,
                    "agreement": info.agreement,
                    "versions": len(known.versions[name]),
                    "faces_with": info.positive,
                    "faces_without": info.negative,
                }
            )
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("attribute", "reliability", "AUC", "versions agree", "faces with it", box=None)
    for name in sorted(known.names, key=lambda n: -(known.info[n].auc or 0)):
        info = known.info[name]
        auc = "-" if info.auc is None else f"{info.auc:.2f}"
        table.add_row(name, info.reliability, auc, f"{info.agreement:.2f}", f"{info.positive:,}")
    Console(soft_wrap=True, highlight=False).print(table)
