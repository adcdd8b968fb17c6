"""`python -m mqlstream`: the same command line as the `mqlstream` script."""

from mqlstream.cli import main

if __name__ == "__main__":
    main()
