"""The order of the package: who may import whom, and where the command line's words stand.

Everything is read from the source (its syntax trees); nothing is imported.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

PACKAGE = Path(__file__).parents[1] / "faceflex"

ORDER = (
    ("faceflex", "__main__"),  # The lazy names of the public API, and the program's start.
    ("cli", "web"),
    ("api",),
    ("evaluate", "train"),
    ("data",),
    ("edit",),
    ("methods",),
    ("models",),
    ("compose",),
    ("faces",),
    ("photo",),
    ("parallel",),
    ("assets",),
    ("files", "tensors", "errors", "_version"),
)
"""From the top: each layer may import itself and what stands below it."""

WITHOUT_MODELS = ("faces", "compose", "photo", "edit")
METHODS_FOR_EDIT = {
    "faceflex.methods",
    *(f"faceflex.methods.{m}" for m in ("base", "controls", "registry")),
}
MOST_ROOT_MODULES = 8
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]*")
OTHER_PROGRAMS = re.compile(r"(pip install|torchrun) [^`)]*")


class Import(NamedTuple):
    """An import of a module: where it stands, and of what."""

    importer: str
    line: int
    target: str
    runs: bool  # At module level, when the module is loaded: not in a function, not for types only.

    def __str__(self) -> str:
        return f"{self.importer}:{self.line} imports {self.target}"


@cache
def sources() -> dict[str, tuple[Path, ast.Module]]:
    """Return path and syntax tree of each module of the package, by name."""
    modules = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        modules[name] = path, ast.parse(path.read_text("utf-8"), str(path))
    return modules


def is_type_checking(node: ast.AST) -> bool:
    """Tell whether a statement is ``if TYPE_CHECKING:``."""
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)


def statements(body: list[ast.stmt], runs: bool = True) -> Iterator[tuple[ast.stmt, bool]]:
    """Yield all statements, nested ones too, and whether they run when the module is loaded."""
    for node in body:
        yield node, runs
        inside = runs and not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        for field in ("body", "orelse", "finalbody", "handlers", "cases"):
            children = getattr(node, field, [])
            parts = (
                [c for child in children for c in getattr(child, "body", [child])]
                if field in ("handlers", "cases")
                else children
            )
            yield from statements(
                parts, inside and not (field == "body" and is_type_checking(node))
            )


def targets(node: ast.stmt, importer: str, is_package: bool) -> list[str]:
    """Return the modules that a statement imports: those of faceflex in full, others' roots."""
    if isinstance(node, ast.Import):
        names = [alias.name for alias in node.names]
    elif isinstance(node, ast.ImportFrom):
        base = node.module or ""
        if node.level:
            parents = importer.split(".")[: None if is_package and node.level == 1 else -node.level]
            base = ".".join([*parents, *([node.module] if node.module else [])])
        inside = [f"{base}.{alias.name}" for alias in node.names]
        modules = [name for name in inside if name in sources()]
        # What is no module is an attribute of the one that is named.
        names = modules + ([base] if len(modules) < len(inside) else [])
    else:
        return []
    return [name if name.startswith("faceflex") else name.split(".")[0] for name in names]


@cache
def imports() -> list[Import]:
    """Return all imports of the package."""
    return [
        Import(name, node.lineno, target, runs)
        for name, (path, tree) in sources().items()
        for node, runs in statements(tree.body)
        for target in targets(node, name, path.name == "__init__.py")
    ]


def folder(module: str) -> str:
    """Return the folder or root module below ``faceflex`` that a module belongs to."""
    return (module.split(".") + ["faceflex"])[1] if "." in module else module


def layer(module: str) -> int:
    """Return the number of a module's layer in :data:`ORDER`, from the top."""
    return next(i for i, names in enumerate(ORDER) if folder(module) in names)


def test_every_module_has_its_place_in_the_order():
    known = {name for names in ORDER for name in names}
    assert {folder(module) for module in sources()} <= known


def test_arrows_point_down_only():
    upward = [
        str(i)
        for i in imports()
        if i.target.startswith("faceflex") and layer(i.target) < layer(i.importer)
    ]
    assert not upward, "\n".join(upward)


def loaded_by(module: str) -> set[str]:
    """Return the modules of faceflex that loading a module loads next, packages included."""
    direct = {i.target for i in imports() if i.importer == module and i.runs}
    own = {t for t in direct if t.startswith("faceflex.")}
    return {t for t in own if t in sources()} - {module}


def test_no_module_imports_itself_over_others():
    graph = {module: loaded_by(module) for module in sources()}
    done: set[str] = set()
    cycles: list[str] = []

    def visit(module: str, path: tuple[str, ...]) -> None:
        if module in path:
            cycles.append(" -> ".join([*path[path.index(module) :], module]))
        elif module not in done:
            for target in sorted(graph[module]):
                visit(target, (*path, module))
            done.add(module)

    for module in graph:
        visit(module, ())
    assert not cycles, "\n".join(cycles)


def test_geometry_photos_and_edits_know_no_network():
    wrong = [
        str(i)
        for i in imports()
        if folder(i.importer) in WITHOUT_MODELS
        and (i.target == "torch" or i.target.startswith("faceflex.models"))
    ]
    assert not wrong, "\n".join(wrong)


def test_edits_know_methods_by_their_interface_only():
    wrong = [
        str(i)
        for i in imports()
        if folder(i.importer) == "edit"
        and i.target.startswith("faceflex.methods")
        and i.target not in METHODS_FOR_EDIT
    ]
    assert not wrong, "\n".join(wrong)


def test_the_packages_root_stays_small():
    assert len(list(PACKAGE.glob("*.py"))) <= MOST_ROOT_MODULES


def test_no_folder_hides_a_public_name():
    """Python makes a folder an attribute of the package when something in it is imported."""
    (public,) = (
        ast.literal_eval(node.value)
        for node in sources()["faceflex"][1].body
        if isinstance(node, ast.Assign) and ast.dump(node.targets[0]).count("'__all__'")
    )
    hidden = {folder(module) for module in sources()} & set(public)
    assert not hidden, f"faceflex.{hidden.pop()} is a folder as well"


def test_only_the_command_line_speaks_of_options():
    """The library names parameters in backticks; the command line's ``option_names`` translates."""
    offenders = []
    for module, (_, tree) in sources().items():
        if folder(module) in ("cli", "__main__"):
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                words = OPTION.findall(OTHER_PROGRAMS.sub("", node.value))
                offenders += [f"{module}:{node.lineno} {word}" for word in words]
    assert not offenders, "\n".join(offenders)
