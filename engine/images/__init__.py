"""Import images from archives, pull images from registries, and store their root file systems under HAWSE_ROOT.

An archive is the output of ``docker save``, an OCI layout, or a plain tar archive of a root file system.
"""

from engine.images.store import ImageStore

__all__ = ["ImageStore"]
