"""Checks of requests before anything is touched, with messages equal to Docker's.

Pure functions: they get the request and the records it may collide with, and raise an `engine.errors` kind or return.
"""
