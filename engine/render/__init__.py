"""Records to the JSON documents of Docker's Engine API (v1.45), keys in Docker's order.

Pure functions that return plain dicts; Go prints maps sorted by key, so every map here is sorted as text.
"""
