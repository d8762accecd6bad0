"""Wires the verbs together; each lives in a file of its own and imports what it needs when run."""

from __future__ import annotations

from typing import Annotated

import typer

from faceflex._version import __version__
from faceflex.cli import (
    animate,
    attributes,
    bias,
    build_vectors,
    control_options,
    doctor,
    evaluate,
    evaluate_affect,
    evaluate_smiles,
    faces,
    fetch,
    generate,
    import_,
    inspect,
    models,
    rate,
    train,
    train_affect,
    train_smile,
    train_smiles,
    train_years,
)

app = typer.Typer(
    name="faceflex",
    help="Edit faces in your photos: a smile, years, a mustache, at the photo's own resolution.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"faceflex {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    _: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


evaluate.app.command("affect")(evaluate_affect.affect)
train.app.command("degree")(train_smile.degree)
train.app.command("cvae")(train_smile.cvae)
train.app.command("affect")(train_affect.affect)
train.app.command("affect-plane")(train_affect.affect_plane)
train.app.command("caae")(train_affect.caae)
evaluate.app.command("smile-video")(evaluate_smiles.smile_video)
train.app.command("action-motion")(train_smiles.action_motion)
train.app.command("smile-dynamics")(train_smiles.smile_dynamics)
train.app.command("years")(train_years.years)
train.app.command("age")(train_years.age)
train.app.add_typer(train_smiles.cmm_net, name="cmm-net")

app.command("edit")(control_options.with_control_options())
app.command("animate")(animate.animate)
app.command("faces")(faces.faces)
app.command("bias")(bias.bias)
app.command("attributes")(attributes.attributes)
app.command("build-vectors")(build_vectors.build_vectors)
app.add_typer(evaluate.app, name="evaluate")
app.add_typer(train.app, name="train")
app.command("generate")(generate.generate)
app.add_typer(import_.app, name="import")
app.command("inspect")(inspect.inspect)
app.command("fetch")(fetch.fetch)
app.command("rate")(rate.rate)
app.command("models")(models.models)
app.command("doctor")(doctor.doctor)
