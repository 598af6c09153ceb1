"""``python -m spatialnorm``."""

import sys

from spatialnorm._cli import main

if __name__ == "__main__":
    sys.exit(main())
