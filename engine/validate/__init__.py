"""Check requests before anything is changed, with the same error messages as Docker.

All functions are pure. They get the request and the records with which the request may conflict. They return, or raise
an `engine.errors` exception.
"""
