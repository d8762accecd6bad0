"""``faceflex inspect``: what a conditional model's codes hold."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from faceflex.cli.common import OfflineOption, go_offline, note, print_json, progress
from faceflex.cli.generate import ModelOption, write_picture

_SHOWN = 20  # Numbers whose histograms are shown: those that vary most.


def inspect(
    out: Annotated[Path, typer.Option(help="Folder for the pictures.")],
    model: ModelOption = "smile-cvae",
    data: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FOLDER",
            help="Face set to encode: for histograms, PCA axes and explained variance; repeatable.",
        ),
    ] = None,
    faces: Annotated[int, typer.Option(min=20, help="Faces of the set to encode.")] = 2000,
    axis: Annotated[
        list[int] | None,
        typer.Option(min=0, help="Numbers of the code to move; by default those that vary most."),
    ] = None,
    count: Annotated[int, typer.Option(min=1, max=20, help="Axes to show.")] = 6,
    degree: Annotated[float, typer.Option(help="Degree of the faces that are moved.")] = 0.0,
    cache: Annotated[Path, typer.Option(help="Folder for aligned faces.")] = Path("cache"),
    offline: OfflineOption = False,
) -> None:
    """Look inside a model: the variance of each number of its code, and what moving it does.

    Of a model in the folder of its training, also how that variance went, epoch by epoch.
    """
    go_offline(offline)
    import numpy as np

    from faceflex.assets import resolve
    from faceflex.errors import UsageError
    from faceflex.evaluate.charts import heat_map, histograms
    from faceflex.evaluate.inspection import fit_pca, traverse, traverse_degree
    from faceflex.models.face_generator import load_generator
    from faceflex.train.latent_usage import FILE, read_usage
    from faceflex.train.training_log import draw_curves

    path = resolve(model)
    generator = load_generator(path, resolve("vae"))
    wrong = [k for k in axis or () if k >= generator.width]
    if wrong:
        raise UsageError(f"--axis {wrong[0]}: codes have numbers 0 to {generator.width - 1}")
    out.mkdir(parents=True, exist_ok=True)
    report: dict[str, Any] = {"model": model, "width": generator.width}
    variance = np.ones(generator.width)
    usage = path.with_name(FILE)
    if usage.is_file():
        table = read_usage(usage)
        write_picture(out / "usage.png", heat_map(table.T, "variance of each number, by epoch"))
        variance = table[-1].astype(np.float64)
        report["epochs"] = len(table)
    start = np.zeros((1, generator.width), np.float32)
    codes = _encode(generator, data, faces, cache) if data else None
    if codes is not None:
        variance = codes.var(axis=0)
        order = np.argsort(-variance)[:_SHOWN]
        write_picture(
            out / "histograms.png",
            histograms(codes[:, order], [f"{k}: variance {variance[k]:.2f}" for k in order]),
        )
        pca = fit_pca(codes)
        directions = [
            (f"PCA {k}", pca.axes[k] * pca.deviations[k])
            for k in range(min(count, len(pca.deviations)))
        ]
        write_picture(out / "pca.png", traverse(generator, start + pca.mean, directions, degree))
        explained = pca.explained
        write_picture(out / "explained.png", draw_curves({"explained variance": explained}))
        report["faces"] = len(codes)
        report["axes_for_90_percent"] = int(np.searchsorted(explained, 0.9)) + 1
        report["explained"] = [round(float(v), 4) for v in explained[:_SHOWN]]
        start = start + codes.mean(axis=0)
    chosen = list(axis or np.argsort(-variance)[:count].tolist())
    unit = np.eye(generator.width, dtype=np.float32)
    moved = [(f"number {k}", unit[k] * np.float32(np.sqrt(variance[k]))) for k in chosen]
    write_picture(out / "axes.png", traverse(generator, start, moved, degree))
    if generator.conditional:
        drawn = np.concatenate([start, generator.draw(2, 0)])
        write_picture(out / "degree.png", traverse_degree(generator, drawn))
    report["used"] = int((variance > 0.01).sum())
    report["axes"] = chosen
    print_json(report)
    note(f"{len(list(out.glob('*.png')))} pictures in {out}")


def _encode(generator: Any, data: list[Path], most: int, cache: Path) -> Any:
    """Return the codes (N, D) of a face set, of the degrees that its faces are seen to have."""
    import numpy as np

    from faceflex.assets import resolve
    from faceflex.data.cache import open_cache
    from faceflex.models.checkpoint import load_network
    from faceflex.models.degree_regressor import DegreeRegressor

    with progress("aligning", None) as advance:
        faces = open_cache(data, cache, advance)
    regressor = load_network(resolve("smile-degree"), DegreeRegressor)
    index = np.sort(np.random.default_rng(0).permutation(len(faces))[:most])
    rows = []
    with progress("encoding", len(index)) as advance:
        for i in range(0, len(index), 64):
            crops = faces.crops(index[i : i + 64])
            rows.append(generator.encode(crops, regressor.degrees(crops)))
            advance(i + len(crops), len(index))
    return np.concatenate(rows)
