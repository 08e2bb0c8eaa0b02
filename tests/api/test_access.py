"""Who may use the API: tokens, rotation, names."""

from datetime import UTC, datetime, timedelta

import pytest

from chalicelib.api.access import MAX_ADDRESSES, MAX_WRONG, WRONG_KEPT, WrongTokens, admitted, holder
from chalicelib.core.errors import NotAllowedError, NotStoredError, ReadOnlyError, TooManyGuessesError
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
    assert holder(headers, FixedSecrets(SECRETS), writes=False) == name


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
        holder(headers, FixedSecrets(SECRETS), writes=False)
    assert TOKEN not in str(raised.value)
    assert raised.value.status == 401


def test_a_short_token_opens_nothing():
    """What can be guessed is no token, even when it is set."""
    with pytest.raises(NotAllowedError):
        holder(bearer("secret"), FixedSecrets({"API_TOKEN": "secret"}), writes=False)


def test_without_any_token_the_api_is_closed():
    """The answer says what to set."""
    with pytest.raises(NotAllowedError, match="API_TOKEN"):
        holder(bearer(TOKEN), FixedSecrets({}), writes=False)


def test_a_token_that_was_just_made_opens():
    """A token that does not fit is compared once more with values read again."""
    secrets = FixedSecrets({"API_TOKEN": "the-old-token-of-before"})
    secrets.stored = dict(SECRETS)
    assert holder(bearer(TOKEN), secrets, writes=True) == ""


def test_secrets_that_cannot_be_read_are_our_trouble():
    """Not the asker's fault: they are to try again."""
    secrets = FixedSecrets(SECRETS)
    secrets.broken = True
    with pytest.raises(NotStoredError):
        holder(bearer(TOKEN), secrets, writes=False)


NOW = datetime(2026, 12, 1, 3, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def guess(wrong, *, address="192.0.2.7", now=NOW, token="a-guess-of-sixteen-or-more"):
    """Ask for the API with a token."""
    return admitted(bearer(token), FixedSecrets(SECRETS), writes=False, address=address, now=now, wrong=wrong)


def guessed(count, *, now=NOW):
    """What an address that sent so many wrong tokens has left behind."""
    wrong = WrongTokens()
    for _ in range(count):
        with pytest.raises(NotAllowedError):
            guess(wrong, now=now)
    return wrong


def test_an_address_may_guess_a_few_times_a_minute():
    """Given as many wrong tokens as a minute allows, when the next one comes → it is not looked at, right or wrong."""
    wrong = guessed(MAX_WRONG)
    for token in ("another-guess-of-the-token", TOKEN):
        with pytest.raises(TooManyGuessesError, match="in 59 s") as raised:
            guess(wrong, now=NOW + SECOND, token=token)
    assert raised.value.status == 429


def test_one_guess_less_is_allowed():
    """Given one wrong token less, when the right one comes → it opens."""
    assert guess(guessed(MAX_WRONG - 1), token=ANAS) == "ana"


def test_a_limited_address_may_try_again_after_a_minute():
    """Given a limited address, when a minute is over → the right token opens, and what was refused was not counted."""
    wrong = guessed(MAX_WRONG)
    for second in range(59):
        with pytest.raises(TooManyGuessesError):
            guess(wrong, now=NOW + second * SECOND)
    assert guess(wrong, now=NOW + WRONG_KEPT, token=TOKEN) == ""


def test_other_addresses_are_not_limited():
    """Given a limited address, when another one sends the right token → it opens."""
    assert guess(guessed(MAX_WRONG), address="192.0.2.8", token=TOKEN) == ""


def test_no_token_is_no_guess():
    """Given many requests without a token, when a right one comes → it opens."""
    wrong = WrongTokens()
    for _ in range(2 * MAX_WRONG):
        with pytest.raises(NotAllowedError):
            admitted({}, FixedSecrets(SECRETS), writes=False, address="192.0.2.7", now=NOW, wrong=wrong)
    assert guess(wrong, token=TOKEN) == ""


def test_few_addresses_are_remembered():
    """Given a guesser with very many addresses, then the container's memory holds a bounded number of them."""
    wrong = guessed(MAX_WRONG)
    for number in range(MAX_ADDRESSES):
        with pytest.raises(NotAllowedError):
            guess(wrong, address=f"2001:db8::{number:x}")
    assert guess(wrong, token=TOKEN) == "", "the address of the oldest guess was forgotten"
    for _ in range(MAX_WRONG - 1):
        with pytest.raises(NotAllowedError):
            guess(wrong, address=f"2001:db8::{MAX_ADDRESSES - 1:x}")
    with pytest.raises(TooManyGuessesError):
        guess(wrong, address=f"2001:db8::{MAX_ADDRESSES - 1:x}")


PAGE = "the-token-of-the-page"


@pytest.mark.parametrize(("token", "name"), [(TOKEN, ""), (ANAS, "ana")])
def test_a_token_of_the_api_writes(token, name):
    """Given a shared or a named value of API_TOKEN → it may change things."""
    assert holder(bearer(token), FixedSecrets(SECRETS), writes=True) == name


@pytest.mark.parametrize("values", [SECRETS, {"PAGE_TOKEN": f"ben:{PAGE}"}])
def test_the_token_of_the_page_only_reads(values):
    """Given a value of PAGE_TOKEN and a request that writes → 403 with what is expected, and no word of the token."""
    with pytest.raises(ReadOnlyError, match="only reads: expected is one of API_TOKEN") as raised:
        holder(bearer(PAGE), FixedSecrets(values), writes=True)
    assert raised.value.status == 403
    assert PAGE not in str(raised.value)


def test_a_token_of_both_secrets_writes():
    """Given one value in both secrets → it writes, by the name that API_TOKEN gives it."""
    secrets = FixedSecrets({"API_TOKEN": f"ana:{PAGE}", "PAGE_TOKEN": PAGE})
    assert holder(bearer(PAGE), secrets, writes=True) == "ana"


def test_a_token_that_was_just_made_writes():
    """Given a writing token that is only in the values read again → it may change things."""
    secrets = FixedSecrets({"API_TOKEN": "the-old-token-of-before"})
    secrets.stored = dict(SECRETS)
    assert holder(bearer(ANAS), secrets, writes=True) == "ana"


def test_a_reading_token_that_was_just_given_the_right_to_write_does():
    """Given a value that moved from PAGE_TOKEN to API_TOKEN → it is compared with values read again before it is refused."""
    secrets = FixedSecrets({"PAGE_TOKEN": PAGE})
    secrets.stored = {"API_TOKEN": PAGE}
    assert holder(bearer(PAGE), secrets, writes=True) == ""


def test_a_reading_token_is_no_guess():
    """Given many writes by a token that only reads → each is refused with 403, and the address may go on."""
    wrong = WrongTokens()
    for _ in range(MAX_WRONG + 1):
        with pytest.raises(ReadOnlyError):
            admitted(bearer(PAGE), FixedSecrets(SECRETS), writes=True, address="192.0.2.7", now=NOW, wrong=wrong)
    assert guess(wrong, token=PAGE) == ""
