"""Where the results of ``faceflex edit`` go."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from faceflex.edit.options import Target
    from faceflex.edit.request import Request


def make_targets(
    request: Request, folders: dict[str, Path | None], out: Path | None, file: Path | None
) -> list[Target]:
    """Return where each photo's results go."""
    from faceflex.edit.options import Target
    from faceflex.errors import UsageError

    names, count = list(folders), request.outputs
    if out is not None and file is None and _is_picture(out):
        if len(names) > 1 or count > 1:
            pictures = len(names) * count
            raise UsageError(
                f"--out {out}: is one file; {pictures} pictures are asked for; give a folder"
            )
        out, file = None, out
    if file is not None:
        if out is not None:
            raise UsageError("--out and -o: give one of them")
        if len(names) > 1 or count > 1:
            raise UsageError(f"-o {file}: is one file; {len(names) * count} pictures are asked for")
        if str(file) == "-":
            return [Target(Path(), stdout=True)]
        from faceflex.photo.formats import format_for

        format_for(file)
        return [Target(file.parent, file)]
    if names == ["-"] and count == 1 and out is None:
        return [Target(Path(), stdout=True)]
    labels = distinct_stems(names)
    if not request.sweep:
        # Photos of one name come from several folders; one of each format may share its stem.
        stems = _distinct(_stems(names), [Path(name).suffix.lower() for name in names])
        pairs = zip(labels, stems, strict=True)
        return [
            Target(out or Path(), label=label, stem=stem)
            if out is not None or folder is None
            else Target(_beside(folder), label=label, stem=Path(name).stem, keep_name=True)
            for (label, stem), (name, folder) in zip(pairs, folders.items(), strict=True)
        ]
    swept = "-".join(request.sweep)
    if out is None:
        places = [Path(f) for f in _distinct([f"{x}-{swept}" for x in _stems(names)])]
    else:
        places = [out / label if len(names) > 1 else out for label in labels]
    return [Target(f, label=label) for f, label in zip(places, labels, strict=True)]


def _is_picture(path: Path) -> bool:
    """Tell whether a path is meant as a picture's: by its suffix, unless such a folder exists."""
    from faceflex.photo.formats import FORMATS

    suffixes = (suffix for group in FORMATS.values() for suffix in group)
    return path.suffix.lower() in suffixes and not path.is_dir()


def _beside(folder: Path) -> Path:
    """Return the folder for the results of a folder: beside it, ``FOLDER-edited``."""
    named = folder if folder.name not in ("", "..") else folder.resolve()
    return named.with_name(f"{named.name or 'photos'}-edited")


def distinct_stems(names: list[str]) -> list[str]:
    """Return photos' names without folders and suffixes; ``-2`` and so on keep them apart."""
    return _distinct(_stems(names))


def _stems(names: list[str]) -> list[str]:
    """Return photos' names without folders and suffixes."""
    return ["stdin" if name == "-" else Path(name).stem for name in names]


def _distinct(stems: list[str], endings: list[str] | None = None) -> list[str]:
    """Return stems of which no two are equal, with their endings: ``-2`` and so on are added."""
    found: dict[tuple[str, str], None] = {}
    for stem, ending in zip(stems, endings or [""] * len(stems), strict=True):
        unique, number = stem, 2
        while (unique, ending) in found:
            unique, number = f"{stem}-{number}", number + 1
        found[unique, ending] = None
    return [stem for stem, _ in found]
