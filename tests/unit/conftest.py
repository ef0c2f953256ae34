"""Settings of the unit tests."""

from hypothesis import settings

settings.register_profile("unhurried", deadline=None)  # a busy machine needs more than the default of 200 ms
settings.load_profile("unhurried")
