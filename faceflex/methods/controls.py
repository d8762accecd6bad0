"""Controls of a method, and what is known of a method before it is loaded; imports are light."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches

from faceflex.assets.registry import read_toml
from faceflex.errors import UsageError

Settings = tuple[tuple[str, float], ...]
"""Controls by their proper names, and their values."""


@dataclass(frozen=True)
class Control:
    """One thing that a method can change: an option, a slider, a key of the metadata.

    Attributes
    ----------
    name
        Its proper name.
    low, high
        The range in which it was measured to work; values beyond are allowed, with a note.
    neutral
        The value that changes nothing.
    about
        What it does, in a phrase.
    reliability
        ``good``, ``fair``, ``weak``, ``does not work``, or ``unknown``.
    variants
        How many kinds of it there are, such as kinds of smile.
    shift
        The control that shifts it: what its option means by a value with a plus sign. None: a plus
        sign says nothing.
    """

    name: str
    low: float
    high: float
    neutral: float = 0.0
    about: str = ""
    reliability: str = "unknown"
    variants: int = 1
    shift: str | None = None


@dataclass(frozen=True)
class MethodOptions:
    """What any method may be told when it is made.

    Attributes
    ----------
    model, vectors
        Registered names or paths of files; None: the method's own.
    condition_on
        Controls that edits of others should leave as they are.
    device
        ``auto``, ``cpu``, ``cuda`` or ``mps``.
    seed
        Fixes which variants are drawn.
    """

    model: str | None = None
    vectors: str | None = None
    condition_on: tuple[str, ...] = ()
    device: str = "auto"
    seed: int = 0


@dataclass(frozen=True)
class MethodEntry:
    """A method as the registry knows it.

    Attributes
    ----------
    name
        What people call it.
    factory
        ``module:callable``; called with :class:`MethodOptions`, gives an ``EditMethod``.
    about
        What it does, in a phrase.
    controls
        Those that are options of ``faceflex edit`` by their own name. A method whose controls come
        from a file has none: they are reached by their names.
    """

    name: str
    factory: str
    about: str
    controls: tuple[Control, ...] = ()


def find_control(name: str, controls: Iterable[str]) -> str:
    """Return the control that ``name`` means, whatever its case and separators.

    Raises
    ------
    UsageError
        If there is none; the message suggests a synonym, or the nearest.

    Examples
    --------
    >>> find_control("mouth-slightly open", ["Mouth_Slightly_Open", "Smiling"])
    'Mouth_Slightly_Open'
    """
    by_key = {_key(n): n for n in controls}
    wanted = _key(name)
    if wanted in by_key:
        return by_key[wanted]
    meant = _suggest(wanted, by_key)
    hint = f"; did you mean {meant}?" if meant else ""
    raise UsageError(f"unknown attribute {name!r}{hint} (see: faceflex attributes)")


def settings_by_name(settings: Mapping[str, float], controls: Iterable[str]) -> dict[str, float]:
    """Return settings under the controls' proper names.

    Raises
    ------
    UsageError
        If a control is unknown, or set twice.

    Examples
    --------
    >>> settings_by_name({"smiling": 1}, ["Smiling"])
    {'Smiling': 1.0}
    """
    known, resolved = tuple(controls), dict[str, float]()
    for given, value in settings.items():
        name = find_control(given, known)
        if name in resolved:
            raise UsageError(f"{name}: is set twice")
        resolved[name] = float(value)
    return resolved


def _suggest(wanted: str, by_key: Mapping[str, str]) -> str:
    """Return what an unknown name may mean: a control, or less of one; empty if nothing is near."""
    synonyms: dict[str, str] = read_toml("synonyms.toml")
    known = {word: c for word, c in synonyms.items() if c.lstrip("-") in by_key.values()}
    for words, cutoff in ((known, 1.0), (by_key, 0.75), (known, 0.8), (by_key, 0.5)):
        near = get_close_matches(wanted, words, n=1, cutoff=cutoff)
        if near:
            control = words[near[0]]
            less = control.startswith("-")
            return f"{control[1:]} with a negative strength" if less else control
    return ""


def _key(name: str) -> str:
    return name.strip().lower().replace("-", "_").replace(" ", "_")
