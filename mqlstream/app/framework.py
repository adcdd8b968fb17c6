"""Faust, loaded so that it takes nothing from the command line or the environment and leaves nothing on disk.

Everything in `mqlstream.app` that needs Faust imports this module before it. What the Apps do is not decided here.
"""

from __future__ import annotations

import logging
import sys
from typing import Any

_argv, sys.argv = sys.argv, sys.argv[:1]  # at import Faust looks for options of its own in it, `-L` for one
try:
    import faust
finally:
    sys.argv = _argv

LOGGER = logging.getLogger("faust.app")


class _Settings(faust.Settings):
    def getenv(self, env_name: str) -> Any:
        # Faust would let variables such as WEB_PORT win over what is set here, and Kubernetes makes up such names.
        return None


class QuietApp(faust.App):
    """A Faust App with no settings but those it is given."""

    Settings = _Settings
    logger = LOGGER  # that it starts and stops is said by us

    def _create_directories(self) -> None:
        """Faust's tables keep nothing on disk here."""
