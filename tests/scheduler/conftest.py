"""Property tests here check results, not speed: a loaded machine must not fail them."""

from hypothesis import settings

settings.register_profile("patient", deadline=None)
settings.load_profile("patient")
