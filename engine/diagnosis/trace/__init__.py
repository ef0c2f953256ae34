"""``hawse trace``: find out whether one place can reach another, and name the cause if it cannot."""
