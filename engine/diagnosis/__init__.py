"""Diagnosis: trace, doctor and map say why something does not work, and show what there is."""
