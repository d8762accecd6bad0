"""``faceflex fetch``: get the registered files, or check them."""

from __future__ import annotations

from typing import Annotated

import typer

from faceflex.cli.common import OfflineOption, note, report_error


class _Bar:
    """A rich progress bar with the four methods that pooch calls."""

    def __init__(self, name: str) -> None:
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

        from faceflex.cli.common import console

        out = console()
        columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
        self._progress = Progress(*columns, console=out, disable=not out.is_terminal)
        self._task = self._progress.add_task(name, total=None)
        self._progress.start()

    @property
    def total(self) -> float | None:
        """Bytes in all."""
        return self._progress.tasks[0].total

    @total.setter
    def total(self, value: int) -> None:
        self._progress.update(self._task, total=value)

    def update(self, count: int) -> None:
        """Count more bytes."""
        self._progress.advance(self._task, count)

    def reset(self) -> None:
        """Start counting anew."""
        self._progress.reset(self._task)

    def close(self) -> None:
        """Take the bar away."""
        self._progress.stop()


def fetch(
    name: Annotated[
        str | None, typer.Argument(help="Registered file; see: faceflex models")
    ] = None,
    all_: Annotated[bool, typer.Option("--all", help="All registered files.")] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Only check what is there, by hash; fetch nothing.")
    ] = False,
    offline: OfflineOption = False,
) -> None:
    """Fetch files that the package does not carry, into FACEFLEX_HOME or the user's cache."""
    from faceflex.assets.registry import cache_dir, find_asset, is_offline, locate, registry
    from faceflex.errors import AssetError, FaceflexError, UsageError

    if (name is None) == (not all_) and not (check and name is None):
        raise UsageError(f"fetch: give one name or --all; there are: {', '.join(registry())}")
    wanted = [find_asset(name)] if name else list(registry().values())
    failed = False
    for asset in wanted:
        try:
            found = locate(asset, rehash=True)
            if found is not None:
                note(f"{asset.name}: {found.path} is whole and right")
                continue
            if check:
                there = cache_dir() / asset.file
                state = "is not the registered file" if there.exists() else "is not there"
                if name is None and not asset.bundled and not there.exists():
                    note(f"{asset.name}: not fetched")
                    continue
                raise AssetError(f"{asset.name}: {there} {state}; run: faceflex fetch {asset.name}")
            if offline or is_offline():
                raise AssetError(f"{asset.name}: is not here, and faceflex is offline")
            from faceflex.assets.download import fetch as download

            note(f"{asset.name}: fetched to {download(asset, progress=_Bar)}")
        except FaceflexError as error:
            failed = True
            report_error(error)
    if failed:
        raise typer.Exit(1)
