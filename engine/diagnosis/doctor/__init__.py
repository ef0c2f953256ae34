"""The checks of ``hawse doctor``: records against the kernel, the host, hawse's processes, the store and the cluster.

Each module checks one area and yields `engine.api.Check` values. Without ``--fix``, nothing is changed.
"""
