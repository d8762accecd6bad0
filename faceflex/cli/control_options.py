"""Options of ``faceflex edit`` for the controls that methods have as their own."""

from __future__ import annotations

import inspect
import math
from typing import TYPE_CHECKING, Annotated, Any

import typer

from faceflex.cli.common import option_name
from faceflex.cli.edit import edit

if TYPE_CHECKING:
    from collections.abc import Callable

    from faceflex.methods.controls import Control


def _read_value(control: Control, text: str) -> tuple[str, float]:
    """Return which control a value is for, and the value: with a plus sign, the one that shifts.

    Raises
    ------
    UsageError
        If it is no finite number.
    """
    from faceflex.errors import UsageError

    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise UsageError(f"--{option_name(control.name)} {text}: is no number")
    shifts = control.shift is not None and text.strip().startswith("+")
    return (control.shift or "") if shifts else control.name, value


def with_control_options() -> Callable[..., None]:
    """Return :func:`edit` with options for each control that the methods have as their own.

    One sets it; another sweeps it.
    """
    from faceflex.methods.registry import method_entries

    known: dict[str, Control] = {}
    signature = inspect.signature(edit, eval_str=True)
    parameters = [p for p in signature.parameters.values() if p.name not in ("controls", "sweeps")]

    def add(name: str, option: Any, kind: Any) -> None:
        parameters.append(
            inspect.Parameter(
                name,
                inspect.Parameter.KEYWORD_ONLY,
                default=None,
                annotation=Annotated[kind | None, option],
            )
        )

    for entry in method_entries().values():
        for control in entry.controls:
            key = control.name.replace("-", "_").lower()
            known[key] = control
            text = f"{control.about} ({control.low:g} to {control.high:g}; {entry.name})."
            value = typer.Option(f"--{option_name(control.name)}", metavar="VALUE", help=text)
            add(f"control_{key}", value, str)
            swept = typer.Option(
                f"--{option_name(control.name)}-range",
                metavar="START STOP STEP",
                help=f"Sweep it: START in, STOP out ({entry.name}).",
            )
            add(f"sweep_{key}", swept, tuple[float, float, float])

    def command(**options: Any) -> None:
        from faceflex.errors import UsageError

        controls: dict[str, float] = {}
        sweeps: dict[str, tuple[float, float, float]] = {}
        for key, control in known.items():
            text, swept = options.pop(f"control_{key}"), options.pop(f"sweep_{key}")
            if swept is not None:
                sweeps[control.name] = swept
            if text is None:
                continue
            name, value = _read_value(control, text)
            if name in controls:
                raise UsageError(f"{name}: is set twice")
            controls[name] = value
        edit(**options, controls=controls, sweeps=sweeps)

    command.__doc__ = edit.__doc__
    command.__signature__ = signature.replace(  # type: ignore[attr-defined]
        parameters=parameters, return_annotation=None
    )
    command.__annotations__ = {p.name: p.annotation for p in parameters}
    return command
