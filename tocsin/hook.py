"""`python -m tocsin.hook [--strict] FILE…`: what pre-commit runs, in an environment that has the wheel alone."""

import sys

from tocsin import enter

if __name__ == "__main__":
    enter()
    from cli.hook import main

    sys.exit(main())
