"""What pre-commit runs before a commit of rules files: their mistakes and warnings, a line each.

    python -m tocsin.hook [--strict] FILE…

A mistake stops the commit; a warning does so with `--strict`. `tocsin check` also says what each rule means.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from chalicelib.rules.file import check
from cli.check import WRONG, pages, verdict


def main(given: Sequence[str] | None = None) -> int:
    """Check the files. Return 1 when the commit must not be made."""
    parser = argparse.ArgumentParser(prog="python -m tocsin.hook", description="Check rules files before a commit.")
    parser.add_argument("files", metavar="FILE", nargs="*", help="rules files")
    parser.add_argument("--strict", action="store_true", help="make warnings mistakes")
    arguments = parser.parse_args(given)
    found = [wrong(Path(name), strict=arguments.strict) for name in arguments.files]
    return int(any(found))


def wrong(path: Path, *, strict: bool) -> bool:
    """Print what is wrong with a file. Return whether it stops the commit."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        print(f"{path}: cannot be read ({error.__class__.__name__}); expected is a rules file in UTF-8")
        return True
    report = check(text, filename=str(path), runbooks=pages(path.parent / "runbook"))
    for finding in sorted((*report.mistakes, *report.warnings)):
        print(finding)
    return verdict(report, strict=strict) == WRONG


if __name__ == "__main__":
    sys.exit(main())
