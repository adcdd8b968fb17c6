"""What holds for all tests: nothing is timed, and an example that fails can be run again as it is printed."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("mqlstream", deadline=None, print_blob=True)
settings.load_profile("mqlstream")
