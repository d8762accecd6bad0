"""``faceflex rate``: the game that makes smile degrees."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from faceflex.cli.common import expand, note, require_folder_of

if TYPE_CHECKING:
    from faceflex.data.ratings import Ratings


def rate(
    photos: Annotated[list[str], typer.Argument(help="Photos of one face each, or folders.")],
    out: Annotated[Path, typer.Option(help="CSV of degrees to write: file,degree,raters.")],
    rater: Annotated[str, typer.Option(metavar="NAME", help="Who answers.")] = "rater",
    ratings: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="SQLite file of all raters' answers; they go on there.  [default: OUT.sqlite]",
        ),
    ] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 for any free one.")] = 0,
) -> None:
    """Rate smiles: a local page shows one face at a time; press F or J as fast as you can.

    Answers and reaction times are stored as they come; stopped with Ctrl-C and started again, it
    goes on. Run it once for each rater. Degrees are the answers' signs times their speed, averaged.
    """
    from faceflex.data.ratings import Ratings
    from faceflex.errors import UsageError
    from faceflex.web.rating_server import RatingServer

    require_folder_of(out)
    paths = [Path(name) for name in expand(photos)]
    names = [path.name for path in paths]
    missing = next((path for path in paths if not path.is_file()), None)
    if missing is not None:
        raise UsageError(f"{missing}: no such photo")
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise UsageError(f"{twice}: two photos have this name; degrees are kept by name")
    if not rater.strip() or not rater.isprintable():
        raise UsageError("--rater: needs a name")
    store = Ratings(ratings or out.with_suffix(".sqlite"))
    try:
        server = RatingServer(paths, store, rater, port=port)
    except OSError as error:
        store.close()
        raise UsageError(f"--port {port}: cannot be used ({error.strerror})") from error
    try:
        if not server.finished.is_set():
            server.start()
            note(f"open this page (it works on this machine alone): {server.address}")
            server.finished.wait()
    finally:  # Also when it is stopped: what has been answered is kept.
        server.stop()
        _write_degrees(store, out)
        store.close()


def _write_degrees(store: Ratings, out: Path) -> None:
    """Write degrees, and say how many answers they come from and how far raters agree."""
    import csv

    from faceflex.data.ratings import agreement, degrees_of
    from faceflex.files import atomic_write

    answers = store.answers()
    if not answers:
        note("no answers yet; nothing written")
        return
    raters = {name: sum(a.name == name for a in answers) for name in {a.name for a in answers}}
    with atomic_write(out) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("file", "degree", "raters"))
        writer.writerows((name, d, raters[name]) for name, d in degrees_of(answers).items())
    people = len({a.rater for a in answers})
    note(f"{len(raters)} degrees from {len(answers)} answers of {people} raters: {out}")
    if people > 1:
        alpha = agreement(answers)
        shown = "unknown: no two rated the same faces" if alpha is None else f"{alpha:.2f}"
        note(f"agreement between raters (Krippendorff's alpha): {shown}")
