"""``faceflex attributes``: what can be edited."""

from __future__ import annotations

from typing import Annotated

import typer

from faceflex.cli.common import (
    JsonOption,
    OfflineOption,
    go_offline,
    note,
    print_json,
    print_table,
)


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
    from faceflex.methods.attribute_styles import DRAWN
    from faceflex.methods.vectors import HIDDEN, AttributeVectors

    known = AttributeVectors.load(resolve(vectors))
    names = [n for n in known.names if all_ or n not in HIDDEN]
    if json_:
        for name in names:
            info = known.info[name]
            print_json(
                {
                    "attribute": name,
                    "reliability": DRAWN.get(name, info.reliability),
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

    def share(value: float | None, form: str) -> str:
        return "-" if value is None else format(value, form)

    rows = []
    for name in sorted(names, key=lambda n: -(known.info[n].success or 0)):
        info = known.info[name]
        seen, auc = share(info.success, ".0%"), share(info.auc, ".2f")
        rows.append((name, DRAWN.get(name, info.reliability), seen, auc, f"{info.positive:,}"))
    print_table(("attribute", "reliability", "seen", "AUC", "faces with it"), rows, left=2)
    for line in _legend(len(names), [n for n in known.names if n not in names]):
        note(line)


def _legend(listed: int, hidden: list[str]) -> list[str]:
    """Return what the columns mean, and which attributes are not listed."""
    count = f"{listed} attributes"
    if hidden:
        count = f"{listed} of {listed + len(hidden)} attributes; --all also lists "
        count += f"{', '.join(hidden)}, which judges people"
    return [
        "reliability  how far edits can be relied on: good, fair, weak, or does not work",
        "seen         share of faces without it in which a classifier sees it after strength 2",
        "             (Mustache and Young have measures of their own: docs/years.md)",
        "AUC          how well the face model knows it: 1 always, 0.5 by chance",
        count,
    ]
