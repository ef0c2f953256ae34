"""Check requests before anything is changed, with the same error messages as Docker.

The functions change nothing. Their arguments are the request and the records that may conflict with the request. If a
check fails, they raise an exception of `engine.errors`.
"""
