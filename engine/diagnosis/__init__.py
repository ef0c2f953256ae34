"""Diagnosis: say why something can or cannot be reached. Nothing here changes records or networks."""
