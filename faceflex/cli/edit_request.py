"""What ``faceflex edit`` is asked to do: options become a request, checked against its method."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from faceflex.cli.common import note, option_name
from faceflex.cli.edit_plane import feeling_controls

if TYPE_CHECKING:
    from faceflex.edit.editor import Editor
    from faceflex.edit.request import Request


def with_feeling(
    controls: dict[str, float], feeling: str | None, strength: float | None
) -> dict[str, float]:
    """Return the controls with those of a named feeling."""
    from faceflex.errors import UsageError

    named = feeling_controls(feeling, strength)
    for name in named:
        if name in controls or f"{name}_shift" in controls:
            raise UsageError(f"`feeling` and `{name}`: give one of them")
    return controls | named


def method_name(method: str | None, controls: list[str]) -> str:
    """Return the method that is asked for, by name or by its controls' options."""
    from faceflex.errors import UsageError
    from faceflex.methods.registry import DEFAULT, method_of

    named = {method_of(control) for control in controls} | ({method} if method else set())
    if len(named) > 1:
        raise UsageError(f"{' and '.join(sorted(named))}: edit with one method at a time")
    return named.pop() if named else DEFAULT


def with_sweeps(
    attr: list[str],
    range_: tuple[float, float, float] | None,
    sweeps: dict[str, tuple[float, float, float]],
) -> tuple[list[str], tuple[float, float, float] | None]:
    """Return what to sweep and over which range, a control's own range option among it."""
    from faceflex.errors import UsageError

    if not sweeps:
        return attr, range_
    options = [f"--{option_name(name)}-range" for name in sweeps]
    if attr or range_ is not None:
        raise UsageError(f"{options[0]}: sweeps by itself; leave out --attr and --range")
    if len(options) > 1:
        raise UsageError(f"{' and '.join(options)}: give one of them")
    ((name, given),) = sweeps.items()
    return [name], given


def make_request(
    attr: list[str],
    range_: tuple[float, float, float] | None,
    samples: int,
    pairs: list[str],
    controls: dict[str, float],
    until: float | None,
) -> Request:
    from faceflex.edit.request import (
        DEFAULT_RANGE,
        DEFAULT_UNTIL,
        Request,
        parse_settings,
        strengths,
    )
    from faceflex.errors import UsageError

    given = parse_settings(pairs)
    settings = {k: v for k, v in given.items() if v is not None} | controls
    automatic = tuple(k for k, v in given.items() if v is None)
    if until is not None and not 0 < until < 1:
        raise UsageError(f"--until {until:g}: needs a score between 0 and 1, like 0.8")
    if until is not None and range_ is not None:
        raise UsageError("--until and --range: give one of them")
    if until is not None and not attr and not automatic:
        raise UsageError("--until: needs --attr NAME, or --set NAME=auto")
    settings_given = bool(given or controls)
    if not attr and not settings_given:
        raise UsageError("nothing to do: give --attr NAME (a sweep) or --set NAME=STRENGTH")
    if not attr and range_ is not None:
        raise UsageError("--range: needs an --attr NAME to sweep")
    if samples < 1:
        raise UsageError(f"--samples {samples}: needs 1 or more")
    values: tuple[float | None, ...] = ()
    if attr:
        swept = until is None
        values = tuple(strengths(*(range_ or DEFAULT_RANGE))) if swept else (None,)
    samples = samples if attr else 1
    return Request(tuple(attr), values, samples, settings, automatic, until or DEFAULT_UNTIL)


def checked_request(request: Request, editor: Editor) -> Request:
    """Return the request with controls by their proper names, all of them known."""
    from faceflex.errors import UsageError

    method = editor.method
    sweep = tuple(dict.fromkeys(method.resolve({name: 1.0})[0][0] for name in request.sweep))
    for name in sweep:
        count = method.controls[name].variants
        if request.samples > count:
            raise UsageError(f"{request.samples} samples asked; {name} has 1 to {count}")
    settings = dict(method.resolve(request.settings))
    searched = tuple(name for name, _ in method.resolve(dict.fromkeys(request.automatic, 1.0)))
    request = replace(request, sweep=sweep, settings=settings, automatic=searched)
    for name in request.automatic_controls:
        if name in settings or (name in searched and name in sweep):
            raise UsageError(f"{name}: is set twice")
        if editor.scorer is not None:
            editor.scorer.attribute_of(name)  # Says now what it does not know.
    return request


def say_limits(request: Request, editor: Editor) -> None:
    """Say, once a run, what the controls that are asked for are known not to do well."""
    swept = [value for value in request.values if value is not None]
    for name in request.controls:
        control = editor.method.controls[name]
        fixed = request.settings.get(name, 0.0)
        values = [fixed + value for value in swept] if name in request.sweep else []
        values.append(fixed)
        if control.reliability in ("weak", "does not work"):
            verb = "is weak" if control.reliability == "weak" else control.reliability
            note(f"{name}: {verb}: most faces will not show it (see: faceflex attributes)")
        if max(values) > control.high or min(values) < control.low:
            note(
                f"{name}: strengths were measured from {control.low:g} to {control.high:g};"
                " beyond, faces may come apart"
            )
