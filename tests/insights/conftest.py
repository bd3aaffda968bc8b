from hypothesis import settings

# The same examples on every run, and no clock: a slow machine must not fail a test.
settings.register_profile("insights", derandomize=True, deadline=None, max_examples=60)
settings.load_profile("insights")
