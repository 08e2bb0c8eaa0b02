"""Addresses that are their own secret: written in the rules file, or by a name whose parameter holds them.

`discord: ops` is the address in DISCORD_OPS_URL, `discord: true` that in DISCORD_DEFAULT_URL. No target of its own.
"""

import re
from collections.abc import Callable
from typing import Any

from chalicelib.core.delivery.target_kind import DEFAULT_ADDRESS, TargetCheck
from chalicelib.core.errors import FieldError, TargetRejectedError
from chalicelib.core.field import masked, text_value
from chalicelib.core.ports import Clients
from chalicelib.core.rule import Target
from chalicelib.targets._http import LOOPBACK_SETTING, check_address

_LOOPBACK = re.compile(r"http://(?:127\.0\.0\.1|localhost|\[::1\])(?::\d{1,5})?(?:/\S{0,2000})?")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


def is_address(address: str) -> bool:
    """Return whether a target is an address itself, and no name of one."""
    return "://" in address


def setting_name(kind: str, name: str, what: str = "URL") -> str:
    """Return the parameter of a name: `DISCORD_OPS_URL`."""
    return f"{kind.upper()}_{re.sub(r'[^A-Z0-9]', '_', name.upper())}_{what}"


def words(title: str, address: str) -> str:
    """Return what people call a target: its vendor, and its name where it is not the default."""
    return title if address == DEFAULT_ADDRESS else f"{title} ({address})"


def place(kind: str, address: str) -> str:
    """Return where the address of a target stands, as the end of a sentence."""
    return "in the rules file" if is_address(address) else f"in {setting_name(kind, address)}"


def address_of(kind: str, address: str, clients: Clients, *, title: str) -> str:
    """Return the web address of a target. Raise TargetRejectedError when its parameter is not set."""
    if is_address(address):
        return address
    setting = setting_name(kind, address)
    found = (clients.secret(setting) or clients.setting(setting, "")).strip()
    if not found:
        raise TargetRejectedError(f"{title}: {setting} is not set")
    return found


def read_address(value: Any, *, title: str, is_right: Callable[[str], bool], allowed: str) -> Any:
    """Return true, a name, or an address of the vendor. Raise FieldError for anything else."""
    if value is True:
        return value
    text = text_value(value)
    if _NAME.fullmatch(text) or _LOOPBACK.fullmatch(text) or is_right(text):
        return text
    raise FieldError(f"is no target of {title}: {masked(text)!r}", allowed)


def parameters_of(kind: str, address: str) -> tuple[str, ...]:
    """Return what may be read for an address."""
    return (LOOPBACK_SETTING,) if is_address(address) else (setting_name(kind, address), LOOPBACK_SETTING)


def checked_address(
    kind: str, target: Target, clients: Clients, *, title: str, is_right: Callable[[str], bool], form: str
) -> TargetCheck:
    """Return whether an address is set, may be used, and has the form that the vendor gives out."""
    parameter = "" if is_address(target.address) else setting_name(kind, target.address)
    try:
        url = address_of(kind, target.address, clients, title=title)
        check_address(url, clients, name=title)
    except TargetRejectedError as error:
        return TargetCheck("wrong", str(error), "" if parameter else "set it right; see docs/delivery.md", parameter)
    if not is_right(url) and not _LOOPBACK.fullmatch(url):
        return TargetCheck("warning", f"{target.shown}: the address has not the form {form}", "copy it again")
    return TargetCheck("ok", f"{target.shown}: an address is set")
