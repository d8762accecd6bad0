"""The ways to edit that there are: faceflex's own, and those that other packages add.

A package adds a method by an entry point of the group ``faceflex.methods`` that names a
:class:`~faceflex.methods.controls.MethodEntry`. Its controls then are options of ``faceflex edit``,
its name one that can be chosen there; nothing else is to be done.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

from faceflex.errors import UsageError
from faceflex.methods.affect_controls import CONTROLS as AFFECT_CONTROLS
from faceflex.methods.controls import Control, MethodEntry, MethodOptions

if TYPE_CHECKING:
    from faceflex.methods.base import EditMethod

GROUP = "faceflex.methods"
DEFAULT = "attribute-vectors"

SMILE_SHIFT = Control(
    "Smile_Shift", -2.0, 2.0, 0.0, "Shift of the degree by which a face smiles", "good"
)
SMILE = Control(
    "Smile",
    -1.0,
    1.0,
    0.0,
    "Degree of the smile; +VALUE shifts the face's own",
    "good",
    shift=SMILE_SHIFT.name,
)

_OWN = (
    MethodEntry(
        DEFAULT,
        "faceflex.methods.attribute_vectors:make_method",
        "CelebA's attributes as directions in a VAE's latent space (Face Flex)",
    ),
    MethodEntry(
        "smile-degree",
        "faceflex.methods.smile_degree:make_method",
        "the degree of a smile as a dial (SmileCVAE)",
        (SMILE, SMILE_SHIFT),
    ),
    MethodEntry(
        "valence-arousal",
        "faceflex.methods.valence_arousal:make_method",
        "valence and arousal: a feeling as a place in a plane",
        AFFECT_CONTROLS,
    ),
    MethodEntry(
        "smile-video",
        "faceflex.methods.smile_video:make_method",
        "smiles over time, posed or spontaneous, in many modes (after CMM-Net)",
    ),
    MethodEntry(
        "cmm-net",
        "faceflex.methods.cmm_net:make_method",
        "smiles over time by CMM-Net's own networks, of 64 pixels: a reference, to be trained",
    ),
)


@cache
def method_entries() -> dict[str, MethodEntry]:
    """Return all methods by name.

    Raises
    ------
    UsageError
        If an installed package's method cannot be loaded, or two have one name.
    """
    entries = {entry.name: entry for entry in _OWN}
    for point in entry_points(group=GROUP):
        try:
            entry = point.load()
        except Exception as error:
            raise UsageError(f"method {point.name!r} ({point.value}): {error}") from error
        if not isinstance(entry, MethodEntry):
            raise UsageError(f"method {point.name!r} ({point.value}): is not a MethodEntry")
        if entry.name in entries:
            raise UsageError(f"method {entry.name!r}: is there twice")
        entries[entry.name] = entry
    return entries


def method_of(control: str) -> str:
    """Return the name of the method that has a control as an option of its own."""
    for entry in method_entries().values():
        if any(c.name == control for c in entry.controls):
            return entry.name
    raise UsageError(f"no method has a control {control!r}")


def make_method(name: str = DEFAULT, options: MethodOptions | None = None) -> EditMethod[Any]:
    """Make a method.

    Parameters
    ----------
    name
        One of :func:`method_entries`.
    options
        Models, device, seed.

    Raises
    ------
    UsageError
        If there is no such method.

    Examples
    --------
    >>> make_method().name
    'attribute-vectors'
    >>> make_method("sorcery")
    Traceback (most recent call last):
        ...
    faceflex.errors.UsageError: `method` sorcery: use one of attribute-vectors...
    """
    entries = method_entries()
    if name not in entries:
        raise UsageError(f"`method` {name}: use one of {', '.join(entries)}")
    module, _, factory = entries[name].factory.partition(":")
    method: EditMethod[Any] = getattr(import_module(module), factory)(options or MethodOptions())
    return method
