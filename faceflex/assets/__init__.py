"""Asset files: bundled with the package, downloaded on demand, or placed by hand."""

from faceflex.assets.registry import locate
from faceflex.assets.resolution import resolve

__all__ = ["locate", "resolve"]
