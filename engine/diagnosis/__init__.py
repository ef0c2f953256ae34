"""Finds out why a network does not work, and shows what there is: doctor and map."""
