"""The command line as a child of the demo: the same as `python -m mqlstream`, but it ends with its parent."""

import runpy

from mqlstream.demo.lifeline import end_with_parent

if __name__ == "__main__":
    end_with_parent()
    runpy.run_module("mqlstream", run_name="__main__")
