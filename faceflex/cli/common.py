"""What the verbs share: options, the console on standard error, JSON lines, finding photos."""

from __future__ import annotations

import glob
import json
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from faceflex.errors import FaceflexError, UsageError
from faceflex.files import discard_stdout

if TYPE_CHECKING:
    from rich.console import Console

    from faceflex.photo.credentials import Signer

LandmarkModelOption = Annotated[
    str,
    typer.Option(
        metavar="NAME|FILE",
        help="Landmark predictor: landmarks68 (bundled), dlib68, or a file.",
    ),
]
DetectorOption = Annotated[
    str, typer.Option(metavar="hog|cnn", help="Face detector; cnn is slower and finds more.")
]
MinScoreOption = Annotated[
    float,
    typer.Option(
        metavar="SCORE",
        help="Leave faces alone of which the detector is less sure (0 is its own threshold).",
    ),
]
FaceOption = Annotated[
    list[str] | None,
    typer.Option(metavar="N|largest|X,Y", help="Which faces; all by default; repeatable."),
]
ProvenanceOption = Annotated[bool, typer.Option(help="Mark outputs as made with a model (XMP).")]
StripOption = Annotated[
    bool,
    typer.Option(
        "--strip",
        help="Leave out the photo's metadata (EXIF, place, XMP, IPTC, comments); its colour"
        " profile and the provenance mark stay.",
    ),
]
CertificateOption = Annotated[
    Path | None,
    typer.Option(
        metavar="PEM",
        help="Sign outputs (content credentials, C2PA) with this certificate and those that"
        " lead to its root; needs faceflex[c2pa].",
    ),
]
KeyOption = Annotated[
    Path | None, typer.Option(metavar="PEM", help="The certificate's private key.")
]
OverwriteOption = Annotated[bool, typer.Option("--overwrite", help="Replace outputs.")]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Only print what would be written.")]
DeviceOption = Annotated[str, typer.Option(metavar="auto|cpu|cuda|mps", help="Where to compute.")]
ClusterOption = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS", help="Work on the machines of a Dask cluster that see the same files."
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, one object a line.")]
OfflineOption = Annotated[bool, typer.Option("--offline", help="Never download anything.")]


def console() -> Console:
    """Return the console for progress and notes: standard error, plain when not a terminal."""
    from rich.console import Console

    return Console(stderr=True, highlight=False, soft_wrap=True)


def printable(text: str) -> str:
    """Return one line without what would steer a terminal; file names may hold such."""
    line = " ".join(text.splitlines())
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in line)


def note(text: str) -> None:
    """Print one line on standard error; parameters that it names become options."""
    sys.stderr.write(printable(option_names(text)) + "\n")


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1) -> None:
    """Print aligned columns on standard output; nothing is cut off, however narrow the terminal.

    Parameters
    ----------
    header, rows
        Their cells.
    left
        How many columns, from the first, are aligned to the left; the others are figures.
    """
    table = [list(map(printable, row)) for row in (header, *rows)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for row in table:
        cells = (
            cell.ljust(width) if number < left else cell.rjust(width)
            for number, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        typer.echo("  ".join(cells).rstrip())


def option_names(text: str) -> str:
    """Turn the names of parameters in a message of the library into options.

    Examples
    --------
    >>> option_names("`max_identity_distance` -1: needs more than 0")
    '--max-identity-distance -1: needs more than 0'
    >>> option_names("`o` out.png: is there")
    '-o out.png: is there'
    """

    def option(match: re.Match[str]) -> str:
        name = match[1].replace("_", "-")
        return f"--{name}" if len(name) > 1 else f"-{name}"

    return re.sub(r"`([a-z_]+)`", option, text)


def option_name(control: str) -> str:
    """Return a control's name as it stands in its option.

    Examples
    --------
    >>> option_name("Smile_Shift")
    'smile-shift'
    """
    return control.replace("_", "-").lower()


def report_error(error: FaceflexError) -> None:
    """Print an error's line on standard error."""
    note(f"faceflex: error: {error}")


def print_json(value: dict[str, Any]) -> None:
    """Print an object as one line on standard output; errors in it name options.

    When nobody reads it any more, the work goes on without.

    Raises
    ------
    FaceflexError
        If it cannot be written.
    """
    if isinstance(value.get("error"), str):
        value = value | {"error": option_names(value["error"])}
    text = json.dumps(value, ensure_ascii=False)
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:  # Names that are not UTF-8, or a terminal that is not.
        text = json.dumps(value)
    try:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        discard_stdout()
    except OSError as error:
        discard_stdout()
        raise FaceflexError(f"standard output: cannot be written ({error.strerror})") from None


def go_offline(wanted: bool) -> None:
    """Make this process never download when ``wanted``."""
    if wanted:
        os.environ["FACEFLEX_OFFLINE"] = "1"


def check_choice(option: str, value: str, choices: Sequence[str]) -> None:
    """Raise ``UsageError`` unless ``value`` is one of ``choices``."""
    if value not in choices:
        raise UsageError(f"{option} {value}: use one of {', '.join(choices)}")


def require_folder_of(out: Path) -> None:
    """Raise ``UsageError`` unless the folder that ``out`` is to be written to is there."""
    if not out.parent.is_dir():
        raise UsageError(f"{out.parent}: no such folder")


def expand(arguments: Sequence[str]) -> list[str]:
    """Return the photos that arguments name; see :func:`expand_with_folders`."""
    return list(expand_with_folders(arguments))


def expand_with_folders(arguments: Sequence[str]) -> dict[str, Path | None]:
    """Return the photos that arguments name: files, ``-``, folders (their photos) and patterns.

    Returns
    -------
    Names of photos, in order, each with the folder that was given for it; None where the photo
    itself was named.

    Raises
    ------
    UsageError
        If a folder or a pattern has no photo.
    """
    from faceflex.photo.formats import FORMATS

    suffixes = {s for group in FORMATS.values() for s in group}
    photos: dict[str, Path | None] = {}
    for argument in arguments:
        path = Path(argument)
        if argument != "-" and os.path.isdir(path):  # noqa: PTH112 - False where it cannot tell.
            try:
                inside = sorted(p for p in path.iterdir() if p.suffix.lower() in suffixes)
            except OSError as error:
                raise UsageError(f"{argument}: cannot be read ({error.strerror})") from None
            if not inside:
                raise UsageError(f"{argument}: no photos in this folder")
            for inner in inside:
                photos.setdefault(str(inner), path)
        elif argument != "-" and not os.path.lexists(path) and glob.has_magic(argument):
            matches = sorted(glob.glob(argument, recursive=True))  # noqa: PTH207 - any pattern.
            if not matches:
                raise UsageError(f"{argument}: no photo matches")
            photos.update(dict.fromkeys(matches))
        else:
            photos[argument] = None
    return photos


def whole_path(name: str) -> str:
    """Return the absolute path of a file, for other machines; other names, and ``-``, as is."""
    return str(Path(name).absolute()) if name != "-" and Path(name).exists() else name


def read_source(argument: str) -> tuple[bytes | str, str]:
    """Return what ``load_photo`` takes for an argument, and its name: standard input for ``-``."""
    if argument == "-":
        from faceflex.photo.load import MAX_FILE_BYTES

        parts, room = [], MAX_FILE_BYTES + 1  # One byte more: the photo is then refused.
        while room > 0 and (part := sys.stdin.buffer.read(min(room, 1 << 24))):
            parts.append(part)
            room -= len(part)
        return b"".join(parts), "standard input"
    return argument, argument


@contextmanager
def progress(text: str, total: int | None) -> Iterator[Callable[[int, int], None]]:
    """Show a progress bar on standard error, if that is a terminal.

    Yields
    ------
    A function to call with (done, in all).
    """
    from rich.progress import Progress

    out = console()
    with Progress(console=out, disable=not out.is_terminal, transient=True) as bar:
        task = bar.add_task(text, total=total)

        def advance(done: int, everything: int) -> None:
            bar.update(task, completed=done, total=everything)

        yield advance


def read_signer(
    certificate: Path | None, key: Path | None, timestamp: str | None = None
) -> Signer | None:
    from faceflex.errors import UsageError

    if certificate is None or key is None:
        if (certificate, key, timestamp) == (None, None, None):
            return None
        raise UsageError("signing needs both --sign-certificate and --sign-key")
    from faceflex.photo.credentials import Signer

    return Signer.read(certificate, key, timestamp)
