"""Check requests before anything is changed, with the same error messages as Docker.

The functions change nothing. Their arguments are the request and the records with which the request may conflict. If a
check fails, they raise an exception of `engine.errors`.
"""
