"""What holds for all tests: nothing is timed, an example that fails can be run again as it is printed, Ctrl-C is heard."""

from __future__ import annotations

import signal

from hypothesis import settings

# A shell that starts the tests in the background has interrupts ignored, and what the tests start would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)

settings.register_profile("mqlstream", deadline=None, print_blob=True)
settings.load_profile("mqlstream")
