"""``faceflex evaluate affect``: edits by valence and arousal, as a judge sees them."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from faceflex.cli.common import DeviceOption, JsonOption, check_choice, note, progress


def affect(
    data: Annotated[
        list[Path], typer.Argument(help="Face sets with landmarks; held-out faces are used.")
    ],
    judge: Annotated[
        str, typer.Option(metavar="NAME|FILE", help="Regressor that judges edits.")
    ] = "affect-judge",
    model: Annotated[
        str | None, typer.Option(metavar="NAME|FILE", help="Model that edits, as for edit.")
    ] = None,
    faces: Annotated[int, typer.Option(min=1, help="Most faces of each set.")] = 40,
    neutral: Annotated[
        bool, typer.Option("--neutral", help="Only faces that the attribute judge sees not smile.")
    ] = False,
    steps: Annotated[int, typer.Option(min=2, help="Places along a side of the plane.")] = 7,
    seed: Annotated[int, typer.Option(help="Fixes which faces.")] = 0,
    mode: Annotated[
        str, typer.Option(metavar="transfer|difference|paste", help="How edits get into photos.")
    ] = "transfer",
    realism: Annotated[
        bool,
        typer.Option(
            "--realism",
            help="Measure, instead, how well a fresh network tells edits from real faces of the"
            " same feelings.",
        ),
    ] = False,
    json_: JsonOption = False,
    device: DeviceOption = "auto",
) -> None:
    """Edit faces to places all over the plane; report how far a judge sees them arrive.

    The judge must know none of the faces that edits learned from (train affect --for judge). Of
    labelled sets it also tells what the judge says of real faces, which is as far as edits can be
    seen to get.
    """
    import numpy as np

    from faceflex.api import make_editor
    from faceflex.assets import resolve
    from faceflex.compose.composer import MODES
    from faceflex.data.readers import read_any
    from faceflex.evaluate.affect import evaluate_affect, not_smiling
    from faceflex.evaluate.affect_real import feeling_realism, judge_real_faces
    from faceflex.evaluate.edits import Instruments
    from faceflex.models.affect_regressor import load_affect_regressor

    check_choice("--mode", mode, MODES)
    network = load_affect_regressor(resolve(judge))
    editor = make_editor("valence-arousal", model=model, device=device, mode=mode)
    for root in data:
        records = [r for r in read_any(root) if r.held_out and r.points is not None]
        order = np.random.default_rng(seed).permutation(len(records))
        chosen = [records[i] for i in order]
        chosen = not_smiling(chosen, faces) if neutral else chosen[:faces]
        with progress("editing", len(chosen)) as advance:
            if realism:
                measured = feeling_realism(
                    chosen, editor, Instruments().landmarks, seed=seed, progress=advance
                )
                figures = {"realism": measured.as_dict()}
            else:
                figures = evaluate_affect(chosen, editor, network, steps=steps, progress=advance)
                if real := judge_real_faces(records, network, steps):
                    figures["real_faces"] = real
        if json_:
            sys.stdout.write(json.dumps({"set": str(root), **figures}) + "\n")
        else:
            note(f"{root}: " + ", ".join(f"{k} {v}" for k, v in figures.items()))
