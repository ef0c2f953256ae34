"""Settings of the unit tests."""

from hypothesis import settings

settings.register_profile("unhurried", deadline=None)  # a busy machine takes longer than the 200 ms of the default
settings.load_profile("unhurried")
