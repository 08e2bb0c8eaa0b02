"""Who may use the API: tokens, rotation, names."""

import pytest

from chalicelib.api.access import holder
from chalicelib.core.errors import NotAllowedError, NotStoredError
from tests.fakes import FixedSecrets

TOKEN = "0123456789abcdef-shared"
ANAS = "fedcba9876543210-of-ana"
SECRETS = {"API_TOKEN": f"{TOKEN},ana:{ANAS}", "PAGE_TOKEN": "the-token-of-the-page"}


def bearer(token):
    """The header that carries a token."""
    return {"authorization": f"Bearer {token}"}


@pytest.mark.parametrize(
    ("headers", "name"),
    [
        (bearer(TOKEN), ""),
        (bearer(ANAS), "ana"),
        (bearer("the-token-of-the-page"), ""),
        ({"Authorization": f"bearer  {TOKEN} "}, ""),
    ],
    ids=["shared", "of a person", "of the page", "in other letters"],
)
def test_a_live_token_opens(headers, name):
    """Any of the live values, by whatever name the header came; one of a person names them."""
    assert holder(headers, FixedSecrets(SECRETS)) == name


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": ""},
        {"authorization": "Bearer "},
        {"authorization": TOKEN},
        {"authorization": f"Basic {TOKEN}"},
        {"cookie": f"token={TOKEN}"},
        bearer(TOKEN[:-1]),
        bearer(TOKEN + "x"),
        bearer(f"ana:{ANAS}"),
        bearer("ana"),
        bearer(SECRETS["API_TOKEN"]),
        bearer("\udcff"),
    ],
)  # fmt: skip
def test_anything_else_does_not(headers):
    """Nothing, another scheme, a cookie, a part of a token, more than it: the answer names no token."""
    with pytest.raises(NotAllowedError) as raised:
        holder(headers, FixedSecrets(SECRETS))
    assert TOKEN not in str(raised.value)
    assert raised.value.status == 401


def test_a_short_token_opens_nothing():
    """What can be guessed is no token, even when it is set."""
    with pytest.raises(NotAllowedError):
        holder(bearer("secret"), FixedSecrets({"API_TOKEN": "secret"}))


def test_without_any_token_the_api_is_closed():
    """The answer says what to set."""
    with pytest.raises(NotAllowedError, match="API_TOKEN"):
        holder(bearer(TOKEN), FixedSecrets({}))


def test_a_token_that_was_just_made_opens():
    """A token that does not fit is compared once more with values read again."""
    secrets = FixedSecrets({"API_TOKEN": "the-old-token-of-before"})
    secrets.stored = dict(SECRETS)
    assert holder(bearer(TOKEN), secrets) == ""


def test_secrets_that_cannot_be_read_are_our_trouble():
    """Not the asker's fault: they are to try again."""
    secrets = FixedSecrets(SECRETS)
    secrets.broken = True
    with pytest.raises(NotStoredError):
        holder(bearer(TOKEN), secrets)
