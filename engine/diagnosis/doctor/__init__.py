"""The checks of ``hawse doctor``.

They compare the kernel with the records, and check the host, hawse's processes, the store and the cluster. Each module
checks one area and yields `engine.api.Check` values. Without ``--fix``, nothing is changed.
"""
