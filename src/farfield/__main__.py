"""``python -m farfield``."""

import sys

from farfield.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
