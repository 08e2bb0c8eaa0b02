"""Secrets and settings of a stage in the Parameter Store. None that is there is overwritten unless a value is given for it."""

from collections.abc import Iterable, Mapping
from typing import Any

from deploy.names import APP


def parameters(ssm: Any, stage: str) -> dict[str, str]:
    """The parameters of a stage by name, decrypted."""
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
