"""Examples in docstrings run as tests: pytest's ``--doctest-modules`` over the package."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).parent


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Leave modules without examples alone: to look into one is to import it, and what it needs."""
    if collection_path.suffix != ".py" or collection_path.name.startswith("test_"):
        return None
    return True if ">>> " not in collection_path.read_text("utf-8") else None


@pytest.fixture(autouse=True)
def _in_the_projects_folder(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Run examples where ``examples/portrait.jpg`` is, and without a network."""
    if isinstance(request.node, pytest.DoctestItem):
        monkeypatch.chdir(ROOT)
        monkeypatch.setenv("FACEFLEX_OFFLINE", "1")
