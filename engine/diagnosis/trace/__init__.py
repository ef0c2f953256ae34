"""``hawse trace``: find out whether SOURCE can reach TARGET, and name the cause if not."""
