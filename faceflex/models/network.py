"""What every network that is kept in a checkpoint says of itself."""

from __future__ import annotations

from typing import Any, ClassVar

from torch import nn


class Network(nn.Module):
    """A network whose checkpoints :mod:`faceflex.models.checkpoint` writes and reads.

    It is made of its configuration alone: ``config_type(...)`` -> ``network(config)``. So the class
    is the registry's entry for its kind of file, and a new network is one new file.

    Attributes
    ----------
    kind
        What the metadata of its files says they are.
    label
        What messages call such a file.
    config_type
        Dataclass of its shape; kept as JSON. Its ``__post_init__`` may refuse a file's values.
    config
        The shape of this one.
    """

    kind: ClassVar[str]
    label: ClassVar[str]
    config_type: ClassVar[type[Any]]
    config: Any
