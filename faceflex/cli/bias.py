"""``faceflex bias``: who smiles in a face set, and what the smile dial changes beside the smile."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from faceflex.cli.common import OfflineOption, go_offline, note, print_table, progress
from faceflex.cli.generate import write_picture

if TYPE_CHECKING:
    from faceflex.data.records import Record
    from faceflex.evaluate.bias import Person, Row

_DEGREES = (-1.0, -0.7, 0.0, 0.7, 1.0)
_JUDGED = ("Smiling", "Male", "Young")


def bias(
    labels: Annotated[
        Path,
        typer.Argument(
            help="UTKFace's folder, or a CSV of smile degrees (file, degree) of its pictures."
        ),
    ],
    out: Annotated[Path, typer.Option(help="Folder for tables and figures.")],
    edits: Annotated[
        int,
        typer.Option(min=0, help="Held-out photos of the folder to edit and to judge; 0: none."),
    ] = 100,
    model: Annotated[
        str, typer.Option(metavar="NAME|FILE", help="Smile CVAE that edits.")
    ] = "smile-cvae",
    regressor: Annotated[
        str,
        typer.Option(
            metavar="NAME|FILE",
            help="Judges the degrees of edits; the bundled one is looked at by the dial itself.",
        ),
    ] = "smile-degree",
    cache: Annotated[Path, typer.Option(help="Folder for aligned faces.")] = Path("cache"),
    offline: OfflineOption = False,
) -> None:
    """Show who smiles, by sex, age and ethnic group; and whether the dial changes sex or age.

    Labels are the set's own, what somebody wrote down. The judge is the bundled attribute
    classifier, which takes no part in edits.
    """
    go_offline(offline)
    from faceflex.errors import UsageError
    from faceflex.evaluate.bias import smile_table
    from faceflex.evaluate.charts import bars

    people, records = _people(labels, cache)
    if not people:
        raise UsageError(f"{labels}: none of its names says age, gender and race as UTKFace's do")
    out.mkdir(parents=True, exist_ok=True)
    rows = smile_table(people)
    _write_csv(out / "smiles.csv", rows)
    single = [r for r in rows if [r["gender"], r["age"], r["group"]].count("all") >= 2]
    print_table(
        ("who", "faces", "smiling", "95 %", "mean degree"),
        [
            (
                _who(r),
                f"{r['faces']:,}",
                f"{r['smiling']:.1%}",
                f"{r['low']:.1%}-{r['high']:.1%}",
                f"{r['degree']:+.2f}",
            )
            for r in single
        ],
    )
    shares = [(f"{_who(r)} ({r['faces']:,})", r["smiling"], r["low"], r["high"]) for r in single]
    write_picture(out / "smiles.png", bars(shares, "share of faces that smile"))
    held_out = [r for r in records if r.held_out and r.points is not None]
    if records and edits:
        if not held_out:
            raise UsageError(f"{labels}: no held-out photo with landmarks; give --edits 0")
        _edits(held_out, edits, model, regressor, out)
    note(f"tables and figures in {out}")


def _people(labels: Path, cache: Path) -> tuple[list[Person], list[Record]]:
    """Return the persons of a folder or of a CSV, and the folder's pictures."""
    from faceflex.assets import resolve
    from faceflex.data.cache import open_cache
    from faceflex.data.degrees import read_degrees
    from faceflex.data.readers import read_any
    from faceflex.evaluate.bias import labels_of_name, persons
    from faceflex.models.checkpoint import load_network
    from faceflex.models.degree_regressor import DegreeRegressor

    if not labels.is_dir():
        degrees = read_degrees(labels)
        return persons([labels_of_name(name) for name in degrees], list(degrees.values())), []
    records = list(read_any(labels))
    with progress("aligning", None) as advance:
        faces = open_cache([labels], cache, advance)
    regressor, found = load_network(resolve("smile-degree"), DegreeRegressor), list[float]()
    with progress("estimating degrees", len(faces)) as advance:
        for start in range(0, len(faces), 256):
            index = list(range(start, min(len(faces), start + 256)))
            found += regressor.degrees(faces.crops(index)).tolist()
            advance(len(found), len(faces))
    return persons(faces.labels, found), records


def _edits(records: list[Record], count: int, model: str, regressor: str, out: Path) -> None:
    """Edit held-out photos, judge them, and write what changed."""
    import numpy as np

    from faceflex.api import make_editor
    from faceflex.assets import resolve
    from faceflex.errors import FaceflexError
    from faceflex.evaluate.bias import dial_quality, drift, edit_scores
    from faceflex.evaluate.charts import bars
    from faceflex.models.attribute_classifier import load_classifier
    from faceflex.models.checkpoint import load_network
    from faceflex.models.degree_regressor import DegreeRegressor

    order = np.random.default_rng(0).permutation(len(records))[:count]
    chosen = [records[i] for i in order]
    editor = make_editor("smile-degree", model=model, device="cpu")
    judge, scores = load_classifier(resolve("judge")), []
    degrees = load_network(resolve(regressor), DegreeRegressor)
    with progress("editing", len(chosen)) as advance:
        for row in edit_scores(editor, judge, chosen, _DEGREES, _JUDGED, degrees):
            scores.append(row)
            advance(len(scores), len(chosen))
    if len(scores) < 2:
        raise FaceflexError("fewer than two photos could be edited")
    table = np.stack(scores)
    rows = drift(table, _DEGREES, _JUDGED)
    _write_csv(out / "drift.csv", rows)
    changes = [r for r in rows if r["judged"] != "Smiling"]
    print_table(
        ("judged", "degree", "faces", "mean change", "95 %"),
        [
            (
                r["judged"],
                f"{r['degree']:+g}",
                str(r["faces"]),
                f"{r['change']:+.3f}",
                f"{r['low']:+.3f} to {r['high']:+.3f}",
            )
            for r in changes
        ],
    )
    lines = [(f"{r['judged']} at {r['degree']:+g}", r["change"], r["low"], r["high"])
             for r in changes]  # fmt: skip
    title = "what the dial changes of the judged score"
    write_picture(out / "drift.png", bars(lines, title, low=-0.2, high=0.2))
    quality = {
        "smiling": dial_quality(table[:, :, 0], _DEGREES),
        "degree": dial_quality(table[:, :, -1], _DEGREES),
    }
    (out / "dial.json").write_text(json.dumps(quality, indent=1) + "\n")
    for name, by in (("smiling", "attribute classifier"), ("degree", "degree regressor")):
        found = quality[name]
        note(
            f"requested degrees against the {by}, {found['faces']} photos: Spearman correlation"
            f" {found['spearman']:.3f}, monotone in {found['monotone']:.1%}"
        )


def _who(row: Row) -> str:
    known = [row[k] for k in ("gender", "age", "group") if row[k] != "all"]
    return ", ".join(known) or "all"


def _write_csv(path: Path, rows: list[dict[str, Any]]) -> None:
    from faceflex.files import atomic_write

    with atomic_write(path) as temporary, temporary.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
