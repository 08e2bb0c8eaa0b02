"""Secrets and settings of a stage in the Parameter Store. None that is there is overwritten unless a value is given for it."""

import secrets
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from chalicelib.core import sign_in
from chalicelib.ingest import heartbeats
from deploy.names import APP


def parameters(ssm: Any, stage: str) -> dict[str, str]:
    """Return the parameters of a stage by name, decrypted."""
    found = {}
    prefix = f"/{APP}/{stage}/"
    for page in ssm.get_paginator("get_parameters_by_path").paginate(Path=prefix, WithDecryption=True):
        found.update({each["Name"].removeprefix(prefix): each["Value"] for each in page["Parameters"]})
    return found


def put_parameters(ssm: Any, stage: str, values: Mapping[str, str], *, there: Mapping[str, str]) -> None:
    """Write those that are not there with that value, as SecureStrings."""
    for name, value in values.items():
        if there.get(name) != value:
            ssm.put_parameter(Name=f"/{APP}/{stage}/{name}", Value=value, Type="SecureString", Overwrite=True)


def delete_parameters(ssm: Any, stage: str, names: Iterable[str]) -> None:
    """Take those away; names that are not there are left out."""
    for name in names:
        try:
            ssm.delete_parameter(Name=f"/{APP}/{stage}/{name}")
        except ssm.exceptions.ParameterNotFound:
            continue


OWN = (sign_in.KEY, *heartbeats.SECRETS)
"""Secrets that nobody else needs to know: a deploy makes them, and keeps those that are there."""
KEY_BYTES = 32
OURS = ("execute-api", "/restapis/")
"""Addresses that AWS and the embedded AWS give to an API."""


def page_address(ssm: Any, stage: str, url: str) -> None:
    """Keep the address of the stage, by which Slack leads to its page. One of a domain of the team's own stays."""
    there = parameters(ssm, stage)
    kept = there.get(sign_in.PAGE_URL, "")
    if not kept or is_ours(kept):
        put_parameters(ssm, stage, {sign_in.PAGE_URL: url}, there=there)


def is_ours(address: str) -> bool:
    """Return whether an address is one of an API, and not of a domain of the team's own."""
    return any(part in address for part in OURS)


def own_secrets(ssm: Any, stage: str) -> Iterator[str]:
    """Make the secrets of a stage that are its own and not there yet. Yield a line for each."""
    there = parameters(ssm, stage)
    for name in OWN:
        if not there.get(name):
            put_parameters(ssm, stage, {name: secrets.token_hex(KEY_BYTES)}, there=there)
            yield f"made the secret {name}"
