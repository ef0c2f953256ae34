"""``hawse trace``: find out why one place can or cannot reach another, and name the culprit."""
