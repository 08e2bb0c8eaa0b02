"""`.env.example` names whatever may be set."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

_READ = re.compile(r"""(?:setting|secret|_duration)\(\s*(?:clients,\s*)?"([A-Z]+(?:_[A-Z0-9]+)+)\"""")
_LISTED = re.compile(r"^(?:SECRETS|TOKENS)[^=\n]*=\s*\(([^)]*)\)", re.MULTILINE)
STAND_INS = {"SLACK_API_URL", "VERCEL_API_URL", "CLOUDFLARE_API_URL"}
"""Where the inbox is instead of a vendor; nobody sets them by hand."""


def test_whatever_the_code_reads_is_in_the_example() -> None:
    """Every setting and secret that is asked for by its name, and every secret of a source."""
    read = set()
    for path in sorted((ROOT / "chalicelib").rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        read |= set(_READ.findall(text))
        read |= {name for listed in _LISTED.findall(text) for name in re.findall(r'"([A-Z_]+)"', listed)}
    example = (ROOT / ".env.example").read_text(encoding="utf-8")
    named = set(re.findall(r"^#([A-Z][A-Z0-9_]*)=", example, re.MULTILINE))
    assert {"SLACK_BOT_TOKEN", "DELIVERY_MAX_AGE", "API_TOKEN", "SENTRY_CLIENT_SECRET"} <= read
    unnamed = sorted(read - STAND_INS - named)
    assert not unnamed, f"add to .env.example a line #NAME= for each of {', '.join(unnamed)}"


@pytest.mark.parametrize(
    ("name", "ignored"), [(".env", True), ("prod.env", True), ("a/b.env", True), (".env.example", False)]
)
def test_files_of_secrets_are_not_committed(name: str, ignored: bool, tmp_path: Path) -> None:
    """Given a file of values for a deploy → git ignores it by the project's list; the example is committed."""
    shutil.copy(ROOT / ".gitignore", tmp_path)
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    found = subprocess.run(["git", "check-ignore", "-q", name], cwd=tmp_path, check=False)
    assert found.returncode == (0 if ignored else 1)
