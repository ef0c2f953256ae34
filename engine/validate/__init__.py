"""Check requests before anything changes, with messages equal to Docker's.

All functions are pure: they get the request and the records that it may conflict with. They return, or raise an
`engine.errors` exception.
"""
