"""The rules at run time: from compiled-rules.json while it belongs to alert-rules.yaml, else from the file itself.

Reading YAML and checking it with pydantic costs a cold start hundreds of milliseconds (`bench/rules.py`), so the deploy
compiles the file. The hash of the text decides: a compiled file of another text is never used.
"""

import importlib
import json
import os
from pathlib import Path
from typing import Protocol, cast

from chalicelib.core.errors import RulesError
from chalicelib.core.rule import Rules
from chalicelib.rules.compiled import COMPILED_NAME, COMPILED_VERSION, RULES_NAME, Values, built, source_hash


class RulesFile(Protocol):
    """The package that reads YAML, as far as a worker without a compiled file needs it."""

    def load(self, text: str, *, filename: str, tolerate_templates: bool, variables: Values | None) -> Rules:
        """Return the rules of a file. Raise RulesError for its mistakes."""
        ...


def load_rules(folder: Path | str, variables: Values | None = os.environ.get) -> Rules:
    """Return the rules in a folder. RulesError when there are none or they have mistakes.

    `variables` returns the value of a `${NAME}` of the file; a compiled file has its values already. With None they stay.
    """
    text = rules_text(folder)
    return _compiled(Path(folder) / COMPILED_NAME, text) or _from_yaml(text, variables)


def rules_text(folder: Path | str) -> str:
    """Return the rules file of a folder. RulesError where it cannot be read."""
    path = Path(folder) / RULES_NAME
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise RulesError(
            f"{RULES_NAME}: cannot be read ({error.strerror}); allowed is a file beside the code"
        ) from None
    except UnicodeDecodeError:
        raise RulesError(f"{RULES_NAME}: is not UTF-8; allowed is UTF-8 text") from None


def _compiled(path: Path, text: str) -> Rules | None:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if (
        not isinstance(content, dict)
        or content.get("v") != COMPILED_VERSION
        or content.get("sha256") != source_hash(text)
    ):
        return None
    return built(content)


def _from_yaml(text: str, variables: Values | None) -> Rules:
    rules_file = cast("RulesFile", importlib.import_module("chalicelib.rules.file"))
    return rules_file.load(text, filename=RULES_NAME, tolerate_templates=True, variables=variables)
