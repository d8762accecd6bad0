"""``faceflex attributes``: what can be edited."""

from __future__ import annotations

from typing import Annotated

import typer

from faceflex.cli.common import JsonOption, OfflineOption, go_offline, print_json


def attributes(
    vectors: Annotated[
        str, typer.Option(metavar="NAME|FILE", help="Vector file; the bundled one by default.")
    ] = "vectors",
    all_: Annotated[
        bool, typer.Option("--all", help="Also those that judge people, like Attractive.")
    ] = False,
    json_: JsonOption = False,
    offline: OfflineOption = False,
) -> None:
    """List the attributes that can be edited, and how far each can be relied on.

    Names are those of CelebA's labels: what a group of annotators saw, not what a person is.
    "Seen" is the share of faces on which an independent judge sees the attribute after an edit of
    strength 2; reliability follows from it and from how consistent the labels are.
    """
    go_offline(offline)
    from faceflex.assets import resolve
    from faceflex.methods.vectors import HIDDEN, AttributeVectors

    known = AttributeVectors.load(resolve(vectors))
    names = [n for n in known.names if all_ or n not in HIDDEN]
    if json_:
        for name in names:
            info = known.info[name]
            print_json(
                {
                    "attribute": name,
                    "reliability": info.reliability,
                    "seen": info.success,
                    "judge_auc": info.judged,
                    "auc": info.auc,
                    "agreement": info.agreement,
                    "estimator": info.estimator,
                    "versions": len(known.versions[name]),
                    "faces_with": info.positive,
                    "faces_without": info.negative,
                }
            )
        return
    from rich.console import Console
    from rich.table import Table

    def share(value: float | None, form: str) -> str:
        return "-" if value is None else format(value, form)

    table = Table("attribute", "reliability", "seen", "AUC", "faces with it", box=None)
    for name in sorted(names, key=lambda n: -(known.info[n].success or 0)):
        info = known.info[name]
        seen, auc = share(info.success, ".0%"), share(info.auc, ".2f")
        table.add_row(name, info.reliability, seen, auc, f"{info.positive:,}")
    Console(soft_wrap=True, highlight=False).print(table)
