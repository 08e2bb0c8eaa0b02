"""The table of bench/README.md: `make bench` replaces the rows of what was run, and nothing else."""

import re

import pytest

from bench.figures import BEGIN, END, PAGE, Row, printed, replaced, rows_of, with_rows

OLD = [
    Row("cold ingest", "at most 1/3", "0.21", "cold_start", "2026-11-30"),
    Row("writes", "under 0.5", "0.45", "writes", "2026-11-30"),
]


def page_of(rows):
    """Return a page with prose around these rows."""
    return with_rows(f"# Figures\n\nProse before.\n\n{BEGIN}{END}\n## More\n", rows, "A machine.")


def test_rows_are_those_that_a_program_prints():
    """Given the output of a program → its lines of three cells are rows; its other lines are none."""
    text = "one: 1.2 units | 3\n| writes | under 0.5 | 0.20; 0.45 alone |\n| page | open |\n"
    assert printed(text, "writes", "2026-12-01") == [
        Row("writes", "under 0.5", "0.20; 0.45 alone", "writes", "2026-12-01")
    ]


def test_only_what_was_run_is_replaced():
    """Given fresh rows of one program → its row has the new figure and day, a further one follows it, others stay."""
    fresh = [
        Row("reads", "–", "2", "cold_start", "2026-12-01"),
        Row("cold ingest", "at most 1/3", "0.20", "cold_start", "2026-12-01"),
    ]
    assert replaced(OLD, fresh) == [fresh[1], fresh[0], OLD[1]]


def test_the_page_keeps_its_prose():
    """Given a page → rows and machine stand between its markers, are read back, and all around them is as it was."""
    page = page_of(OLD)
    assert rows_of(page) == OLD and "A machine." in page
    newer = with_rows(page, OLD[:1], "Another machine.")
    assert rows_of(newer) == OLD[:1] and "A machine." not in newer
    assert newer.startswith("# Figures\n\nProse before.\n\n") and newer.endswith(f"{END}\n## More\n")


def test_a_page_without_markers_is_not_written():
    """Given a page without the markers → an error that names them, and no page."""
    with pytest.raises(SystemExit, match="lacks a marker"):
        with_rows("# Figures\n", OLD, "A machine.")


def test_every_row_of_the_page_is_printed_by_its_program():
    """Given the page of this project → each of its rows names a program that is there and prints rows."""
    rows = rows_of(PAGE.read_text(encoding="utf-8"))
    lines = PAGE.read_text(encoding="utf-8").partition(BEGIN)[2].partition(END)[0].splitlines()
    assert len(rows) == sum(line.startswith("|") for line in lines) - 2 > 0
    for program in {each.program for each in rows}:
        text = (PAGE.parent / f"{program}.py").read_text(encoding="utf-8")
        assert re.search(r'["\']\| ', text), program
