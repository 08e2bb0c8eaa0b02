"""python -m chalicelib.rules.file compile [FOLDER] | schema"""

import sys
from pathlib import Path as FilePath

from chalicelib.core.errors import RulesError
from chalicelib.rules.file import write_compiled, write_schema

PACKAGE = FilePath(__file__).parents[2]
"""The folder that holds alert-rules.yaml as Lambda gets it, and its compiled form."""


def main(words: list[str]) -> int:
    """Write compiled-rules.json beside alert-rules.yaml (`compile [FOLDER]`), or the JSON Schema in docs/ (`schema`)."""
    if words == ["schema"]:
        write_schema(PACKAGE.parent)
    elif words[:1] == ["compile"] and len(words) <= 2:
        try:
            write_compiled(FilePath(words[1]) if len(words) == 2 else PACKAGE)
        except RulesError as error:
            print(error, file=sys.stderr)
            return 2
    else:
        print("expected is: compile [FOLDER], or schema", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
