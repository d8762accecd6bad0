"""Choice of the device to compute on."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from faceflex.errors import UsageError

if TYPE_CHECKING:
    import torch

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
    import torch

    if wanted == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    available = {
        "cpu": True,
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
    }
    if wanted not in available:
        raise UsageError(f"unknown device {wanted!r}; use one of {', '.join(DEVICES)}")
    if not available[wanted]:
        names = ", ".join(name for name, is_available in available.items() if is_available)
        raise UsageError(f"no {wanted} device on this machine; there is: {names}")
    return wanted


def is_accelerated(device: str) -> bool:
    """Tell whether something else than a CPU computes, without importing torch where none can."""
    if device == "cpu":
        return False
    if device == "auto" and sys.platform == "linux":
        drivers = ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg")  # Nvidia's, AMD's, Windows' below.
        if not any(Path(d).exists() for d in drivers):
            return False
    return pick_device(device) != "cpu"


def computes_bfloat16(device: torch.device | str) -> bool:
    """Tell whether matrix units compute in bfloat16: only there is autocast worth it.

    CPUs have such units since AMX (autocast is 3 to 6 times faster there); AVX-512 BF16 alone gains
    nothing, and without it autocast is emulated, 3 to 7 times slower than float32. NVIDIA's GPUs
    have them since Ampere.
    """
    import torch

    device = torch.device(device)
    if device.type == "cpu":
        return bool(getattr(torch.cpu, "_is_amx_tile_supported", lambda: False)())
    return device.type == "cuda" and torch.cuda.get_device_capability(device) >= (8, 0)
