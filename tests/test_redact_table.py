"""The table of docs/security.md: what it says of each text comes true, and it names every word."""

import re
import unicodedata
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from chalicelib.core.event import Event, Severity, Status
from chalicelib.redact import MASK, SWITCHES, compiled, redact, redact_event, redact_observed, redact_text
from chalicelib.redact_words import LANGUAGES

PAGE = Path(__file__).parent.parent / "docs" / "security.md"
NOW = datetime(2026, 3, 2, tzinfo=UTC)


def rows() -> Iterator[tuple[str, str, str]]:
    """The rows of the table: what, an example, and what becomes of it."""
    for line in PAGE.read_text("utf-8").splitlines():
        found = re.fullmatch(r"\| (.+) \| `([^`]+)` \| (?:`([^`]+)`|(stays)) \|", line)
        if found:
            yield found[1], found[2], found[3] or found[2]


ROWS = tuple(rows())


@pytest.mark.parametrize(("what", "written", "becomes"), ROWS, ids=[what[:30] for what, _, _ in ROWS])
def test_the_page_says_what_becomes_of_a_text(what: str, written: str, becomes: str) -> None:
    """Given the example of a row → it becomes what the row says, and stays so."""
    assert redact_text(written) == becomes
    assert redact_text(becomes) == becomes


def test_the_page_has_every_row() -> None:
    """Given the lines of the table → each was read, so that none escapes the test above."""
    lines = [line for line in PAGE.read_text("utf-8").splitlines() if line.startswith("| ")]
    assert len(ROWS) == len(lines) - 1
    listed = {what for what, _, _ in ROWS if ": " in what}
    assert {f"{language}: {', '.join(words)}" for language, words in LANGUAGES.items()} <= listed
    assert all(name in PAGE.read_text("utf-8") for name in SWITCHES)


WORDS = [(language, word) for language, words in LANGUAGES.items() for word in words]


@pytest.mark.parametrize(("language", "word"), WORDS, ids=[f"{language}-{word}" for language, word in WORDS])
def test_every_word_names_a_secret(language: str, word: str) -> None:
    """Given a word in any spelling → what stands behind it is masked, in texts and as the name of a field."""
    snake = word.replace(" ", "_")
    spellings = {word, snake, snake.upper(), f"db_{snake}", unicodedata.normalize("NFD", word), word.capitalize()}
    for name in spellings:
        assert "h7x" not in redact_text(f"{name}: h7x"), name
        assert "h7x" not in redact_text(f'failed with {{"{name}": "h7x"}}'), name
        assert redact({name: "h7x"}) == {name: MASK}, name


HARMLESS = ["enclave=on", "Teamwork: fine", "codec: h264", "mat: 7", "Klaver: ja", "apiece=5", "kennwortlos", "matte=1"]


@pytest.mark.parametrize("text", HARMLESS)
def test_words_that_only_look_alike_are_kept(text: str) -> None:
    """Given a word that begins or ends as a secret's does → the text stays."""
    assert redact_text(text) == text


FIELDS = [
    ("password_resets", "7"),
    ("passwordResets", "7"),
    ("token_bucket", "full"),
    ("secret_name", "db-credentials"),
    ("secretName", "db-credentials"),
    ("prompt_tokens", "812"),
    ("active_sessions", "40"),
    ("version", "1.2.3.4"),
    ("ver", "10.12.0.4"),
    ("instance", "10.0.3.17:9100"),
    ("ip_address", "10.0.3.17"),
    ("node", "fe80::1%eth0"),
    ("mapped", "::ffff:10.0.0.1"),
]


@pytest.mark.parametrize(("name", "value"), FIELDS)
def test_fields_about_secrets_and_machines_stay(name: str, value: str) -> None:
    """Given a count, the name of a secret, a version or a machine of one's own → the field stays as it is."""
    assert redact({name: value}) == {name: value}


def test_a_harmless_name_hides_no_secret_behind_it() -> None:
    """Given a secret as the value of a field that is only about secrets → it is masked."""
    assert redact_text("secret_name: password=h7x") == f"secret_name: password={MASK}"
    assert redact_text("token_bucket: eyJhbGciOiJIUzI1NiJ9.e30.sig") == "token_bucket: [key]"
    assert redact({"prompt_tokens": "h7x"}) == {"prompt_tokens": MASK}


@pytest.mark.parametrize(
    "address",
    [
        "10.0.0.1",
        "172.16.0.1",
        "172.31.255.1",
        "192.168.1.1",
        "127.0.0.1",
        "169.254.1.1",
        "::1",
        "fe80::1",
        "fd12:3::4",
    ],
)
def test_addresses_of_machines_stay(address: str) -> None:
    """Given a private, loopback or link-local address → it stays in texts and in links."""
    assert redact_text(f"{address} is down") == f"{address} is down"


@pytest.mark.parametrize(
    "address", ["172.15.0.1", "172.32.0.1", "11.0.0.1", "100.64.0.1", "192.169.1.1", "2001:db8::1"]
)
def test_public_addresses_are_masked(address: str) -> None:
    """Given an address outside the private networks → it is masked."""
    assert address not in redact_text(f"{address} is down")


def event(source: str, **changes: object) -> Event:
    """An event of a sender."""
    fields = {"title": "t", "labels": {}, "identity": "i", **changes}
    return Event("i", source, "k", Status.FIRING, Severity.INFO, occurred_at=NOW, **fields)  # type: ignore[arg-type]


def test_the_attacked_address_stays_readable() -> None:
    """Given an attack as Cloudflare reports it → target and prefix stay, the attackers' addresses do not."""
    labels = {"target_ip": "203.0.113.20", "prefix": "198.51.100.0/24", "source_ips": "192.0.2.7"}
    found = redact_event(event("cloudflare", title="Attack on 203.0.113.20 by 192.0.2.7", labels=labels))
    assert found.title.startswith("Attack on 203.0.113.20 by [ip:")
    assert (found.labels["target_ip"], found.labels["prefix"]) == ("203.0.113.20", "198.51.100.0/24")
    assert "192.0.2.7" not in repr(found)
    other = redact_event(event("sentry", title="203.0.113.20 failed", labels={"target_ip": "203.0.113.20"}))
    assert "203.0.113.20" not in repr(other)


def test_a_watched_address_stays_readable() -> None:
    """Given what a probe saw → the address that it watches stays, another one and a secret do not."""
    seen = {"address": "https://203.0.113.20/health", "result": "203.0.113.20 refused; user 192.0.2.7 token=h7x"}
    found = redact_observed(seen, (seen["address"],))
    assert found["address"] == seen["address"]
    assert found["result"].startswith("203.0.113.20 refused; user [ip:") and "h7x" not in found["result"]


def test_a_link_to_a_machine_stays() -> None:
    """Given a link whose host is a private address → people can follow it."""
    url = "http://10.1.2.3:9090/graph?g0.expr=up"
    assert redact_event(event("alertmanager", url=url)).url == url


def test_an_identity_with_an_address_is_the_digest_that_it_was() -> None:
    """Given an identity with a private address → it is a digest as in the version before, so that open alerts are found again."""
    assert redact_event(event("x", identity="host 10.0.3.17")).identity.startswith("masked:")
    assert redact_event(event("x", identity="host db-1")).identity == "host db-1"


NUMBERS = [
    ("@cpf", "CPF 123.456.789-09 failed", "123.456.789-09"),
    ("@cnpj", "CNPJ 12.345.678/0001-95 failed", "12.345.678/0001-95"),
    ("@phone", "call +49 (30) 1234-5678 now", "1234"),
    ("@iban", "IBAN DE89 3704 0044 0532 0130 00 failed", "3704"),
]


@pytest.mark.parametrize(("switch", "text", "secret"), NUMBERS)
def test_personal_numbers_are_switches(switch: str, text: str, secret: str) -> None:
    """Given a switch in REDACT_PATTERNS → such numbers are masked; without it they stay."""
    assert redact_text(text, patterns=()) == text
    assert secret not in redact_text(text, patterns=compiled(f"{switch}\nACME"))


REPEATED = (
    *(
        "senha ",
        "senha_",
        "password_",
        "secret_name:",
        "密码:",
        "mot de ",
        "AKIA",
        "AKIAIOSFODNN7EXAMPLE ",
        "?key=",
        "?code=a1",
    ),
    *(
        "identified by ",
        "identified with ",
        '"a"@',
        "%25",
        "%2540",
        "\\u0040",
        "&#64;",
        "/bot1234567:",
        "01.",
        "v1.2.3.4 ",
        "10.",
    ),
    *("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY ", "password '", "n\u0303", "--token ", "<senha", "[ip:", "::ffff:"),
)


def test_no_text_makes_a_pattern_run_away() -> None:
    """Given 300,000 characters made to be tried in every way → masking ends."""
    for unit in REPEATED:
        assert isinstance(redact_text(unit * (300_000 // len(unit))), str)
