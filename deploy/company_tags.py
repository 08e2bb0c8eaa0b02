"""TOCSIN_TAGS: the tags that a company puts on what it owns, such as `team=ops,cost-center=42`."""

import os
import re
from collections.abc import Mapping

from deploy.errors import DeployError

ENVIRONMENT = "TOCSIN_TAGS"
RESERVED = ("app", "stage", "aws-chalice")
"""Tags that the deploy and Chalice set."""
MAX_TAGS = 50 - len(RESERVED)
"""AWS takes 50 tags on a resource. https://docs.aws.amazon.com/tag-editor/latest/userguide/tagging.html"""
MAX_KEY, MAX_VALUE = 128, 256
ALLOWED = re.compile(r"[A-Za-z0-9 _.:/=+@-]*")
EXPECTED = "expected is name=value,name=value"


def company_tags(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the tags by name; raise DeployError for what AWS would refuse."""
    found: dict[str, str] = {}
    for part in (each.strip() for each in environment.get(ENVIRONMENT, "").split(",")):
        if part:
            name, value = _tag(part)
            if name in found:
                raise DeployError(f"{ENVIRONMENT}: {name} is there twice")
            found[name] = value
    if len(found) > MAX_TAGS:
        raise DeployError(f"{ENVIRONMENT}: {len(found)} tags; AWS takes {MAX_TAGS} beside those of the deploy")
    return found


def _tag(part: str) -> tuple[str, str]:
    name, separator, value = (each.strip() for each in part.partition("="))
    if not separator or not name:
        raise DeployError(f"{ENVIRONMENT}: {part[:60]!r} is no tag; {EXPECTED}")
    if name.lower().startswith("aws:") or name in RESERVED:
        raise DeployError(f"{ENVIRONMENT}: the name {name[:60]!r} is taken by AWS or by the deploy; choose another")
    for text, most in ((name, MAX_KEY), (value, MAX_VALUE)):
        if len(text) > most or not ALLOWED.fullmatch(text):
            allowed = f"at most {most} letters, digits, spaces and _ . : / = + @ -"
            raise DeployError(f"{ENVIRONMENT}: {text[:60]!r} is refused by AWS; {allowed}")
    return name, value
