"""``faceflex doctor``: what is installed, what is wrong, and how to mend it."""

from __future__ import annotations

import platform
import sys
from importlib import metadata

import typer

from faceflex.cli.common import JsonOption, print_json

_PACKAGES = (
    ("torch", "torch"),
    ("dlib", "dlib-bin"),
    ("cv2", "opencv-python-headless"),
    ("skimage", "scikit-image"),
    ("numpy", "numpy"),
    ("PIL", "pillow"),
    ("safetensors", "safetensors"),
    ("pooch", "pooch"),
    ("tifffile", "tifffile"),
)

_EXTRAS = {
    "heic": "pillow-heif",
    "c2pa": "c2pa-python",
    "evaluate": "face_recognition_models",
    "cluster": "distributed",
}


def _extras() -> dict[str, str]:
    """Return the version of each extra's package, or how to install it."""
    found = {}
    for extra, package in _EXTRAS.items():
        try:
            found[extra] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[extra] = f"not installed (pip install 'faceflex[{extra}]')"
    return found


def _versions() -> tuple[dict[str, str], list[str]]:
    from importlib import import_module

    found, wrong = {}, []
    for module, package in _PACKAGES:
        try:
            imported = import_module(module)
        except ImportError as error:
            wrong.append(f"{module} cannot be imported ({error}); run: pip install {package}")
            continue
        try:
            found[module] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[module] = str(getattr(imported, "__version__", "unknown"))
    return found, wrong


def doctor(json_: JsonOption = False) -> None:
    """Check versions, device, files and cache; exit code 1 when something is wrong."""
    import os

    from faceflex._version import __version__
    from faceflex.assets.registry import cache_dir, hash_matches, locate, registry

    packages, wrong = _versions()
    device = "unknown"
    if "torch" in packages:
        import torch

        from faceflex.models.device import pick_device

        device = f"{pick_device()} ({torch.get_num_threads()} threads)"
    files = {}
    for asset in registry().values():
        found = locate(asset, rehash=True)
        files[asset.name] = f"{found.source}: {found.path}" if found else "not fetched"
        if asset.bundled and found is None:
            wrong.append(
                f"{asset.name} is missing or damaged; run: pip install --force-reinstall faceflex"
            )
        cached = cache_dir() / asset.file
        if cached.exists() and not hash_matches(cached, asset):
            wrong.append(f"{cached} is not the registered file; move it away")
    place = cache_dir()
    nearest = next(p for p in (place, *place.parents) if p.exists())
    if not os.access(nearest, os.W_OK):
        wrong.append(f"{place} cannot be written; set FACEFLEX_HOME to another folder")
    report = {
        "faceflex": __version__,
        "python": platform.python_version(),
        "system": platform.platform(),
        "executable": sys.executable,
        "device": device,
        "cache": str(place),
        "packages": packages,
        "extras": _extras(),
        "files": files,
        "wrong": wrong,
    }
    if json_:
        print_json(report)
    else:
        for key, value in report.items():
            if isinstance(value, dict):
                typer.echo(f"{key}:")
                for name, text in value.items():
                    typer.echo(f"  {name:<12} {text}")
            elif key != "wrong":
                typer.echo(f"{key + ':':<12} {value}")
        for line in wrong:
            typer.echo(f"wrong: {line}")
        if not wrong:
            typer.echo("nothing is wrong")
    if wrong:
        raise typer.Exit(1)
