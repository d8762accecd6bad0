"""Where to compute."""

from __future__ import annotations

import torch

from faceflex.errors import UsageError

DEVICES = ("auto", "cpu", "cuda", "mps")


def pick_device(wanted: str = "auto") -> str:
    """Return the device to use.

    Parameters
    ----------
    wanted
        ``auto`` (CUDA where there is one, the CPU otherwise), ``cpu``, ``cuda`` or ``mps``.

    Raises
    ------
    UsageError
        If there is no such device here.
    """
    if wanted == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    there = {
        "cpu": True,
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
    }
    if wanted not in there:
        raise UsageError(f"unknown device {wanted!r}; use one of {', '.join(DEVICES)}")
    if not there[wanted]:
        here = ", ".join(name for name, is_there in there.items() if is_there)
        raise UsageError(f"no {wanted} device on this machine; there is: {here}")
    return wanted
