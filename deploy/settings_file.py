"""Reads `.env`: lines NAME=value, with # for comments; quotes around a value are taken off. No other shell syntax."""

import re
from pathlib import Path

from chalicelib.core.errors import TocsinError

_LINE = re.compile(r"(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=\s*(.*)")
_QUOTED = re.compile(r"""(["'])(.*)\1(?:\s+#.*)?""")


class SettingsFileError(TocsinError):
    """A line that cannot be read; the text names file and line, never the value."""


def read_settings(path: Path) -> dict[str, str]:
    """Return the values by name, empty ones left out; nothing when there is no file. SettingsFileError for a wrong line."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsFileError(f"{path.name} cannot be read ({type(error).__name__}); allowed is UTF-8 text") from None
    found = {}
    for number, line in enumerate(text.splitlines(), 1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        match = _LINE.fullmatch(line)
        if not match:
            raise SettingsFileError(f"{path.name}:{number}: is not NAME=value")
        quoted = _QUOTED.fullmatch(match[2])
        value = quoted[2] if quoted else re.sub(r"\s+#.*", "", match[2]).strip()
        if value:
            found[match[1]] = value
    return found
