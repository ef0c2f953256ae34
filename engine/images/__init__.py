"""Import root file systems (``docker save``, OCI layouts and plain tar archives) and store them under HAWSE_ROOT."""

from engine.images.store import ImageStore

__all__ = ["ImageStore"]
