"""How commands answer: tables cut to the terminal, JSON, YAML and names, again and again, and stages of a configuration."""

import argparse
import contextlib
import io
import json
import os
import re
import shlex
import socket
import sys
import threading
import time
from datetime import timedelta
from pathlib import Path

import pytest
import yaml

from chalicelib.core.errors import TocsinError
from cli import config as configs
from cli.main import main
from cli.output import repeated
from cli.table import clock, print_table
from tests.api_harness import START, ApiHarness, fire, open_desk
from tests.project import ROOT

TOKEN = "0123456789abcdef"
HEADS = ("ID", "SEVERITY", "TITLE")
ROWS = [["a1", "critical", "Connection refused " * 10], ["b2", "info", "東京 [red]x[/red]\x1b[31m"]]


class Terminal(io.StringIO):
    """Standard output that is a terminal."""

    def isatty(self) -> bool:
        """It is one."""
        return True


@pytest.fixture
def api(monkeypatch):
    """The API of a router with two incidents, named by the environment."""
    monkeypatch.setenv("TOCSIN_CONFIG", "")
    monkeypatch.setenv("XDG_CONFIG_HOME", "/nonexistent")
    with open_desk(ApiHarness(fire(), fire("db", zone="eu")), TOKEN) as url:
        monkeypatch.setenv("TOCSIN_URL", url)
        monkeypatch.setenv("TOCSIN_TOKEN", TOKEN)
        monkeypatch.setenv("TOCSIN_USER", "ana")
        yield url


def plain(text):
    """A text without its colours."""
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


def test_a_table_is_cut_to_the_terminal_and_coloured(monkeypatch):
    """Given a terminal of 40 columns → no line is wider, what is cut ends with …, and the severity has its colour."""
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.delenv("NO_COLOR", raising=False)
    out = Terminal()
    print_table(HEADS, ROWS, out=out)
    lines = plain(out.getvalue()).splitlines()
    assert len(lines) == 3
    assert all(len(line) <= 40 for line in lines)
    assert lines[1].rstrip().endswith("…")
    assert lines[1].startswith("a1  critical  Connection refused")
    assert "\x1b[31m" in out.getvalue().splitlines()[1]
    assert "東京 [red]x[/red]" in lines[2]


def test_a_terminal_that_is_far_too_narrow_keeps_the_first_column(monkeypatch):
    """Given 15 columns → still one line a row, none wider, and the ids can be copied."""
    monkeypatch.setenv("COLUMNS", "15")
    out = Terminal()
    print_table(("INCIDENT", *HEADS), [("9f2c41aa-1", *row) for row in ROWS], out=out)
    lines = plain(out.getvalue()).splitlines()
    assert [len(line) <= 15 for line in lines] == [True] * 3
    assert [line.split()[0] for line in lines] == ["INCIDENT", "9f2c41aa-1", "9f2c41aa-1"]


def test_no_color_wide_and_a_pipe_are_obeyed(monkeypatch):
    """Given NO_COLOR → no colour; given `wide`, or no terminal → nothing is cut."""
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("NO_COLOR", "1")
    coloured, wide, pipe = Terminal(), Terminal(), io.StringIO()
    print_table(HEADS, ROWS, out=coloured)
    assert not re.search(r"\x1b\[[0-9;]*3[0-9]m", coloured.getvalue())
    print_table(HEADS, ROWS, out=wide, wide=True)
    print_table(HEADS, ROWS, out=pipe)
    for out in (wide, pipe):
        assert ROWS[0][2].strip() in out.getvalue()
    assert "\x1b" not in pipe.getvalue()


def test_an_answer_in_each_form(api, capsys):
    """Given -o json, yaml, name and --json → the same rows; names are one id a line."""
    found = {}
    for form in ("json", "yaml", "name"):
        assert main(["incidents", "-o", form]) == 0
        found[form] = capsys.readouterr().out
    rows = json.loads(found["json"])
    assert yaml.safe_load(found["yaml"]) == rows
    assert found["name"].split() == [row["id"] for row in rows]
    assert main(["incidents", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == rows


@pytest.mark.parametrize(
    "words", [["alerts"], ["who", "service=api"], ["silence"], ["silence", "list"], ["show"], ["note"]]
)
def test_every_command_of_the_api_has_the_forms(api, capsys, words):
    """Given -o yaml → every command answers YAML."""
    id = json.loads(_said(capsys, "incidents", "-o", "json"))[0]["id"]
    words = {"show": ["show", id], "note": ["note", id, "x"]}.get(words[0], words)
    assert isinstance(yaml.safe_load(_said(capsys, *words, "-o", "yaml")), list | dict)


def _said(capsys, *words):
    assert main(list(words)) == 0
    return capsys.readouterr().out


def test_a_label_that_nothing_has_is_named_with_the_nearest(api, capsys):
    """Given a misspelt label → nothing is listed, and standard error says what was meant."""
    for command in ("alerts", "incidents"):
        assert main([command, "servce=api"]) == 0
        assert capsys.readouterr().err == "tocsin: no alert has a label servce; did you mean service?\n"
    assert main(["silence", "add", "zoen=eu", "--for", "1h"]) == 0
    assert "no firing alert and no rule has a label zoen; did you mean zone?" in capsys.readouterr().out


def test_watching_goes_on_after_an_error_until_ctrl_c(capsys):
    """Given a stage that does not answer once → the error is printed, the command runs again, Ctrl-C ends it well."""
    runs, pauses = [], []

    def run(arguments):
        runs.append(arguments)
        if len(runs) == 1:
            raise TocsinError("it does not answer")
        return 0

    def pause(seconds):
        pauses.append(seconds)
        if len(pauses) == 3:
            raise KeyboardInterrupt

    assert repeated(run, argparse.Namespace(watch=True, every=0.1), pause) == 0
    assert (len(runs), pauses) == (3, [1.0] * 3)
    assert capsys.readouterr().err == "tocsin: it does not answer\n"
    assert repeated(lambda arguments: 7, argparse.Namespace()) == 7


def test_times_have_their_zone(monkeypatch):
    """Given a time → the machine's clock with its zone."""
    assert re.fullmatch(r"26 Nov \d\d:\d\d:\d\d \S+", clock("2026-11-26T12:00:00Z"))


# ---------------------------------------------------------------------------------------------------------------------
# Configuration


def written(folder, text):
    """A configuration file, as an environment names it."""
    path = folder / "config.toml"
    path.write_text(text)
    return {"TOCSIN_CONFIG": str(path)}


def test_a_stage_of_the_configuration_is_asked(api, monkeypatch, tmp_path, capsys):
    """Given two stages and no TOCSIN_URL → the one that is named, else that of `stage`, with its token and user."""
    monkeypatch.delenv("TOCSIN_URL")
    monkeypatch.delenv("TOCSIN_TOKEN")
    monkeypatch.delenv("TOCSIN_USER")
    monkeypatch.setenv("SECRET", TOKEN)
    text = (
        f'stage = "one"\nuser = "bo"\n[stages.one]\nurl = "{api}"\ntoken_env = "SECRET"\n'
        '[stages.two]\nurl = "http://127.0.0.1:1"\ntoken_command = "echo x"\n'
    )
    monkeypatch.setenv("TOCSIN_CONFIG", written(tmp_path, text)["TOCSIN_CONFIG"])
    id = _said(capsys, "incidents", "-o", "name").split()[0]
    assert "bo" in _said(capsys, "assign", id, "bo") + _said(capsys, "ack", id) + _said(capsys, "incidents")
    assert main(["incidents", "--stage", "two"]) == 1
    assert capsys.readouterr().err.startswith("tocsin: http://127.0.0.1:1/ does not answer")


def test_tokens_come_from_where_the_file_says(tmp_path):
    """Given a variable, a file and a command → their token, without blanks around it."""
    secret = tmp_path / "secret"
    secret.write_text(f"{TOKEN}\n")
    secret.chmod(0o600)
    sources = {"a": 'token_env = "S"', "b": f'token_file = "{secret}"', "c": f'token_command = "cat {secret}"'}
    text = "".join(f'[stages.{name}]\nurl = "https://x"\n{source}\n' for name, source in sources.items())
    found = configs.config(written(tmp_path, text))
    assert [found.token(name, {"S": TOKEN}) for name in sources] == [TOKEN] * 3
    secret.chmod(0o644)
    with pytest.raises(configs.ConfigError, match="chmod 600"):
        found.token("b", {})


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("stage = 1 2", "is no TOML: .*line 1"),
        ("colour = 1", "colour is unknown; allowed are stage, user, stages"),
        ("stage = 1", "stage is no text"),
        ("stages = 1", "stages is no table"),
        ('[stages.a]\nurl = "ftp://x"', "stages.a.url is no address"),
        ('[stages.a]\nurl = "https://x y"', "stages.a.url is no address"),
        ('[stages.a]\nurl = "https://[x"', "stages.a.url is no address"),
        ('[stages.a]\ntoken = "x"', "stages.a.token is unknown"),
        ('[stages.a]\nurl = "https://x"\ntoken_env = 1', "stages.a.token_env is no text"),
    ],
)
def test_a_mistake_names_file_and_field(tmp_path, text, reason):
    """Given a mistake in the configuration → one line with the file, the field and what is expected."""
    with pytest.raises(configs.ConfigError, match=reason) as error:
        configs.config(written(tmp_path, text))
    assert str(tmp_path) in str(error.value)


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("", "expected is one of token_command, token_file, token_env"),
        ('token_env = "NOBODY"', "token_env is missing or empty"),
        ('token_file = "/nonexistent"', "No such file"),
        ('token_command = "/nonexistent/pass"', "No such file"),
        ('token_command = "false"', "ended with 1"),
        ('token_command = "pass \'x"', "token_command is no command: No closing quotation"),
        ("token_command = \"printf '\\\\377'\"", "printf printed no UTF-8"),
        ('token_command = "true"', "token_command is missing or empty"),
    ],
)
def test_a_token_that_is_not_there_is_told(tmp_path, source, reason):
    """Given a source without a token → one line that says which, and no token in it."""
    found = configs.config(written(tmp_path, f'[stages.a]\nurl = "https://x"\n{source}\n'))
    with pytest.raises(configs.ConfigError, match=reason):
        found.token("a", {})


@pytest.mark.parametrize(
    ("url", "token", "reason"),
    [
        ("http://[bad", TOKEN, "'http://[bad' is no address; expected is https://…"),
        ("http://a b", TOKEN, "'http://a b' is no address; expected is https://…"),
        ("http://127.0.0.1:1x", TOKEN, "'http://127.0.0.1:1x' is no address; expected is https://…"),
        ("http://127.0.0.1:1/ü", TOKEN, "'http://127.0.0.1:1/ü' is no address; expected is https://…"),
        ("https://", TOKEN, "'https://' is no address; expected is https://…"),
        ("http://127.0.0.1:1", f"{TOKEN}\nX: y", "the token is no token: expected is one line of printable ASCII"),
        ("http://127.0.0.1:1", f"{TOKEN}€", "the token is no token: expected is one line of printable ASCII"),
    ],
)
def test_what_no_request_can_hold_is_refused_in_one_line(monkeypatch, capsys, url, token, reason):
    """Given an address or a token that no request can hold → one line without the token, and no traceback."""
    monkeypatch.setenv("TOCSIN_URL", url)
    monkeypatch.setenv("TOCSIN_TOKEN", token)
    assert main(["incidents"]) == 1
    assert capsys.readouterr().err == f"tocsin: {reason}\n"


def test_an_answer_that_is_no_http_is_refused_in_one_line(monkeypatch, capsys):
    """Given a port on which something else answers → one line that says so."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        answering = threading.Thread(target=_greet, args=(server,))
        answering.start()
        url = f"http://127.0.0.1:{server.getsockname()[1]}/"
        monkeypatch.setenv("TOCSIN_URL", url)
        monkeypatch.setenv("TOCSIN_TOKEN", TOKEN)
        status = main(["incidents"])
        answering.join()
    assert (status, capsys.readouterr().err) == (1, f"tocsin: {url} does not answer (what it answered is no HTTP)\n")


def _greet(server):
    """Read one request, and answer it as a server of mail does."""
    connection, _ = server.accept()
    with connection:
        connection.recv(65_536)
        connection.sendall(b"220 mail.example.com\r\n")


def test_no_file_is_no_mistake_unless_it_is_named(tmp_path):
    """Given no file at the usual place → nothing is configured; one that TOCSIN_CONFIG names must be there."""
    assert configs.config({"XDG_CONFIG_HOME": str(tmp_path)}).stages == {}
    with pytest.raises(configs.ConfigError, match="TOCSIN_CONFIG names it"):
        configs.config({"TOCSIN_CONFIG": str(tmp_path / "none")})
    assert configs.path_of({"XDG_CONFIG_HOME": "/x"}) == Path("/x/tocsin/config.toml")


# ---------------------------------------------------------------------------------------------------------------------
# The recording

COMMANDS = (
    "tocsin incidents",
    "tocsin alerts service=api",
    'tocsin ack {id} --note "on it"',
    "tocsin silence add service=db --for 2h --comment deploying",
    "tocsin incidents",
    "tocsin show {id}",
    "tocsin handover --since 8h",
    "tocsin who service=api",
    "tocsin incidents -o name severity=critical",
    "tocsin alerts servce=api",
    "tocsin drill",
    "tocsin alrts",
)
HEAD = """# The command line, recorded

`tests/cli/test_output.py` runs these commands against a router on a virtual clock and compares what they print with this page.
`tocsin smoke` and `tocsin preflight` are recorded in [releases.md](releases.md).

An error of a file begins with `file:line:column:`, so that editors and terminals jump there. Every other error begins with `tocsin:`.
At a narrow terminal the last column is cut first, and columns from the right are left out at last; an id is never cut.
"""


@pytest.fixture
def utc(monkeypatch):
    """A machine whose clock is that of UTC."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", "UTC")
        time.tzset()
        yield
    time.tzset()


def test_the_recording_is_what_the_commands_print(api, utc, monkeypatch, capsys):
    """Given docs/terminal.md → each command prints what is recorded there. TOCSIN_RECORD=1 records anew."""
    monkeypatch.setattr("cli.table.utc_now", lambda: START + timedelta(minutes=5))
    monkeypatch.setattr("chalicelib.api.requests.new_id", lambda: "6926d821")
    id = json.loads(_said(capsys, "incidents", "-o", "json"))[0]["id"][:8]
    blocks = [_recorded(each.format(id=id), capsys) for each in COMMANDS]
    page = HEAD + "".join(f"\n```\n{block}```\n" for block in blocks)
    file = ROOT / "docs" / "terminal.md"
    if os.environ.get("TOCSIN_RECORD"):
        file.write_text(page, "utf-8")
    assert file.read_text("utf-8") == page


def _recorded(line, capsys):
    with contextlib.suppress(SystemExit):
        main(shlex.split(line)[1:])
    said = capsys.readouterr()
    return f"$ {line}\n{said.out}{said.err}"


def test_standard_output_is_no_terminal_here():
    """Given the tests → standard output is no terminal, so that the recording is plain."""
    assert not sys.stdout.isatty()
