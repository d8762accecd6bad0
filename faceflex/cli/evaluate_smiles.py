"""``faceflex evaluate smile-video``: how real smiles over time are, and what clips show."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from faceflex.cli.common import expand, note, progress, read_source, require_folder_of


def smile_video(
    clips: Annotated[
        Path,
        typer.Argument(
            metavar="FILE|FOLDER",
            help="Real smiles: UvA-NEMO's action units (.npz), or a folder of recordings.",
        ),
    ],
    photos: Annotated[
        list[str] | None,
        typer.Option("--photo", metavar="PHOTO", help="Neutral photos, folders; repeatable."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="File for the report (JSON); standard output by default.")
    ] = None,
    style: Annotated[str, typer.Option(metavar="spontaneous|posed", help="Of the clips.")] = (
        "spontaneous"
    ),
    modes: Annotated[int, typer.Option(min=1, max=7, help="Modes besides the usual one.")] = 3,
    frames: Annotated[int, typer.Option(min=4, help="Frames of a clip, 25 a second.")] = 50,
    smiles: Annotated[int, typer.Option(min=10, help="Smiles to draw of each style.")] = 400,
    seed: Annotated[int, typer.Option(min=0, help="Fixes them.")] = 0,
) -> None:
    """Measure smile videos: dynamics against held-out people's, and clips of photos.

    Of photos: whether modes differ (dynamic time warping), smiles in the last frames, identity,
    flicker against the warp alone, pixels of the background that change, and frames a second.
    """
    from faceflex.api import make_editor
    from faceflex.cli.common import check_choice
    from faceflex.data.smile_videos import read_smiles
    from faceflex.evaluate.smile_dynamics import evaluate_dynamics
    from faceflex.methods.smile_video import SmileVideoMethod

    check_choice("--style", style, ("spontaneous", "posed"))
    if out is not None:
        require_folder_of(out)
    names = expand(photos or [])
    method = SmileVideoMethod(seed=seed)
    report: dict[str, Any] = {
        "dynamics": evaluate_dynamics(
            read_smiles(clips), [method.modes(0), method.modes(1)], smiles, seed
        )
    }
    if names:
        report["clips"] = _clips(names, style, modes, frames, seed, make_editor)
    text = json.dumps(report, indent=1)
    if out is None:
        typer.echo(text)
    else:
        from faceflex.photo import write_file

        write_file(out, text.encode() + b"\n", overwrite=True)
        note(f"written to {out}")


def _clips(
    names: list[str], style: str, modes: int, frames: int, seed: int, make_editor: Any
) -> dict[str, Any]:
    """Measure clips of photos."""
    from faceflex.edit.clip import ClipRequest
    from faceflex.evaluate.edits import Instruments
    from faceflex.evaluate.smile_clips import (
        measure_clip,
        modes_apart,
        open_for,
        speed_of,
        summarise_clips,
    )
    from faceflex.photo import load_photo

    editors = [make_editor("smile-video", seed=seed + k) for k in (0, 1)]
    settings = editors[0].method.resolve(
        {
            "intensity": 1.0,
            "spontaneous": float(style == "spontaneous"),
            "seconds": (frames - 1) / 25,
        }
    )
    request, instruments = ClipRequest(settings, modes, frames), Instruments()
    rows, apart, speeds = [], [], []
    with progress("measuring clips", len(names)) as advance:
        for number, argument in enumerate(names):
            source, name = read_source(argument)
            rgb = load_photo(source, name).rgb
            opened = [open_for(editor, rgb, name) for editor in editors]
            apart.append(modes_apart(opened.__getitem__, request))
            rows += [measure_clip(opened[0], request, m, instruments) for m in range(modes + 1)]
            region = opened[0].faces[0].region
            side = 0 if region is None else max(region.size)
            speeds.append({"face": side, **speed_of(opened[0], request)})
            advance(number + 1, len(names))
    return summarise_clips(rows, apart) | {"speed": speeds}
