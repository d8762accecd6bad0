"""Files that faceflex needs: bundled with the package, fetched on demand, or placed by hand."""

from faceflex.assets.registry import locate
from faceflex.assets.resolution import resolve

__all__ = ["locate", "resolve"]
