"""Photo files: upright pixels and metadata, read, and written atomically."""

from faceflex.photo.load import Photo, load_photo, load_rgb
from faceflex.photo.save import encode_photo, write_file

__all__ = ["Photo", "encode_photo", "load_photo", "load_rgb", "write_file"]
