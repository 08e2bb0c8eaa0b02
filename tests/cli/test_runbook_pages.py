"""tocsin check: what it doubts in the pages of a runbook, on a day that the test names."""

import re
import shlex
from datetime import date
from pathlib import Path

import pytest

from chalicelib.deliver import runbooks
from cli.check import checked
from cli.main import _parser, main
from cli.runbook_pages import address_mistake, anchors_of, doubts_of, months_before, page_of
from tests.project import ROOT

TODAY = date(2026, 12, 1)
KEPT = "---\nowner: Ana\nreviewed: 2026-11-30\n---\n"
BODY = "# A\n\n## Meaning\n\n## Impact\n\n## Diagnosis\n\n1. Look.\n\n## Mitigation\n"
REVIEWED = date(2026, 12, 1)
"""When all pages of the project were reviewed, or before: the tests of the project's own pages do not grow old."""


def doubts(folder: Path, **pages: str) -> list[str]:
    """Write pages and return what is doubtful, without the folder. `__` in a name is a folder below."""
    for name, text in pages.items():
        path = folder / f"{name.replace('__', '/')}.md"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return [str(each).removeprefix(f"{folder}/") for each in doubts_of(folder, TODAY)]


def test_pages_of_alerts_have_the_headings(tmp_path: Path) -> None:
    """Given a page that no rule names, without a heading → its title's line; the index and procedures need none."""
    found = doubts(
        tmp_path, a="\nText\n# A\n## Meaning\n## Impact\n```\n## Diagnosis\n```\n", README="# X", app__x="# X"
    )
    assert [each.partition(";")[0] for each in found] == ["a.md:3:1: the page lacks Diagnosis, Mitigation"]


REVIEWS = [
    ("---\nowner: Ana\nreviewed: 2026-06-01\n---\n", []),
    ("---\nowner: Ana\nreviewed: 2026-05-31\n---\n", ["3:1: the last review was on 2026-05-31, more than six months ago"]),
    ("---\nowner: Ana\nreviewed: 2026-12-02\n---\n", []),
    ("---\nowner: Ana\nreviewed: 2026-12-03\n---\n", ["3:1: the last review, 2026-12-03, is in the future"]),
    ("---\nowner: Ana\nreviewed: last May\n---\n", ["3:1: the date of the last review is 'last May'"]),
    ("---\nowner: Ana\n---\n", ["1:1: the page has no date of its last review"]),
    ("---\nreviewed: 2026-11-30\n---\n", ["1:1: the page has no owner"]),
    ("---\nowner:\nreviewed: 2026-11-30\n---\n", ["2:1: the page has no owner"]),
    ("**Owner:** Ana\n> Last reviewed: 2026-01-31.\n", ["2:1: the last review was on 2026-01-31, more than six months ago"]),
    ("", []),
]  # fmt: skip


@pytest.mark.parametrize(("top", "expected"), REVIEWS)
def test_reviews(tmp_path: Path, top: str, expected: list[str]) -> None:
    """Given the top of a page → what is doubtful in its owner and date; a runbook without any of them is left alone."""
    found = doubts(tmp_path, a=top + BODY)
    assert [each.partition(";")[0].removeprefix("a.md:") for each in found] == expected


def test_once_a_page_is_kept_all_are(tmp_path: Path) -> None:
    """Given one page with an owner and a date → a page without them is doubtful; what stands in a section does not count."""
    found = doubts(tmp_path, a=KEPT + BODY, b=BODY + "owner: Ben\nreviewed: 2026-11-30\n")
    assert [each.partition(";")[0] for each in found] == [
        "b.md:1:1: the page has no date of its last review",
        "b.md:1:1: the page has no owner",
    ]


LINKS = [
    ("[x](b.md) [y](app/c.md#steps) [z](#a) [w](b.md#the-second-1)", []),
    ("[x](bb.md)", ["5: the link bb.md leads to no file; did you mean b.md"]),
    ("see [x](<no such.md>)", ["10: the link no such.md leads to no file"]),
    ("[x](b.md#meanin)", ["5: the link b.md#meanin leads to no heading; did you mean meaning"]),
    ("[x](#nowhere)", ["5: the link #nowhere leads to no heading"]),
    ("[x]()", ["5: a link leads nowhere: its address is empty"]),
    ("![x](b.png 'a picture')", ["6: the link b.png leads to no file"]),
    ("[x]: none.md", ["6: the link none.md leads to no file"]),
    ("`[x](none.md)` [`y`](none.md)", ["22: the link none.md leads to no file"]),
    ("[x](https://) [y](https://a_b:x/)", ["5: the link https:// names no host", "19: the link https://a_b:x/ is no address"]),
    ("<https://bad host> <https:///x>", ["21: the link https:///x names no host"]),
    ("[x](https://example.com/a(b)c) [y](mailto:a@example.com) [t](/rules.yaml) [u](b.md?plain=1)", []),
    ("- [ ] [x](b%2Emd)", []),
    (f"[x]({'a' * 300}.md)", [f"5: the link {'a' * 80} leads to no file"]),
]  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), LINKS)
def test_links(tmp_path: Path, text: str, expected: list[str]) -> None:
    """Given a link → its column and what is wrong where it is dead; addresses are looked at in form alone."""
    (tmp_path / "rules.yaml").write_text("")
    other = BODY.replace("# A", "# B") + "\n## The second\n\n## The second\n"
    found = doubts(tmp_path / "runbook", a=f"{BODY}\n{text}\n", b=other, app__c="# C\n\n## Steps\n")
    line = len(BODY.splitlines()) + 2
    assert [each.removeprefix(f"a.md:{line}:") for each in found] == expected


def test_links_of_procedures_lead_back(tmp_path: Path) -> None:
    """Given a dead link in a folder below → the nearest page by its path from there; blocks of code are left out."""
    text = "# C\n\n```\n[x](none.md)\n```\n[x](../aa.md)\n[x](../a.md)\n"
    (found,) = doubts(tmp_path, a=BODY, app__c=text)
    assert found == "app/c.md:6:5: the link ../aa.md leads to no file; did you mean ../a.md"


def test_anchors() -> None:
    """Given headings with marks, twice, and an anchor of its own → the anchors that GitHub gives them."""
    page = page_of("a", '# `x` & [y](z.md)\n## T\n## T\n```\n# no\n```\n<a id="Own"></a>\n')
    assert anchors_of(page) == ("x--y", "t", "t-1", "own")


def test_months_are_those_of_the_calendar() -> None:
    """Given a day that the earlier month does not have → that month's last."""
    assert months_before(date(2026, 8, 31), 6) == date(2026, 2, 28)
    assert months_before(date(2026, 12, 1), 6) == date(2026, 6, 1)
    assert months_before(date(2027, 1, 15), 1) == date(2026, 12, 15)


def test_addresses_have_a_host() -> None:
    """Given addresses → only their form counts."""
    assert address_mistake("https://[::1]:8080/") == ""
    assert address_mistake("https://exa mple.com").endswith("names no host")
    assert address_mistake("//example.com/x") == ""


def test_check_prints_the_place_and_strict_makes_it_a_mistake(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Given a page reviewed in the year 2000 → its line in text and JSON, exit 1, and with --strict 2."""
    (tmp_path / "rules.yaml").write_text("alerts: []\n")
    (tmp_path / "runbook").mkdir()
    (tmp_path / "runbook" / "old.md").write_text("---\nowner: Ana\nreviewed: 2000-01-01\n---\n" + BODY)
    rules = str(tmp_path / "rules.yaml")
    assert main(["check", rules]) == 1
    printed = capsys.readouterr().out
    assert f"{tmp_path}/runbook/old.md:3:1: the last review was on 2000-01-01, more than six months ago" in printed
    assert main(["check", rules, "--strict", "--json"]) == 2
    assert '"kind": "warning"' in capsys.readouterr().out


def test_the_project_s_own_pages_are_clean() -> None:
    """Given the shipped rules and pages on the day of their review → no doubt; each page has an owner and a date."""
    text = (ROOT / "alert-rules.yaml").read_text()
    report = checked(text, "alert-rules.yaml", ROOT / "runbook", REVIEWED)
    assert [str(each) for each in report.warnings if "runbook/" in each.file] == []
    pages = [page_of(path.name, path.read_text()) for path in (ROOT / "runbook").rglob("*.md")]
    assert all(page.fields().keys() == {"owner", "reviewed"} for page in pages)


def test_owner_and_date_do_not_reach_messages() -> None:
    """Given the pages with front matter → the title and the first steps are those of the text."""
    page = runbooks.find("high-error-rate")
    assert page is not None
    assert page.title == "High Error Rate"
    assert page.steps[0].startswith("Look at the last deploy")


COMMANDS = [
    (path.relative_to(ROOT).as_posix(), found)
    for path in sorted((ROOT / "runbook").rglob("*.md"))
    for found in re.findall(r"(?:`|bin/|^)(tocsin [a-z][^`\n]*)", path.read_text(), re.MULTILINE)
]


@pytest.mark.parametrize(("page", "line"), COMMANDS)
def test_every_command_of_the_pages_parses(page: str, line: str) -> None:
    """Given a command that a page prints → the command line takes its arguments; a name alone is one to read about."""
    words = shlex.split(line.partition(" > ")[0], comments=True)[1:]
    try:
        _parser(words).parse_args(words if len(words) > 1 else [*words, "--help"])
    except SystemExit as end:
        assert not end.code, f"{page}: {line}"
