"""`python -m tocsin`: the command line."""

import sys

from tocsin import main

if __name__ == "__main__":
    sys.exit(main())
