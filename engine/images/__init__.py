"""Imported root file systems: what ``docker save``, OCI tools and plain tar give, unpacked under HAWSE_ROOT."""

from engine.images.store import ImageStore

__all__ = ["ImageStore"]
