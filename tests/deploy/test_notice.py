"""NOTICE names each package that is shipped, with the licence that its metadata names."""

from pathlib import Path

import pytest

from deploy.notice import NAME, NoticeError, copyrights, installed, notice, pins, vendored
from tests.project import ROOT


def test_the_file_is_up_to_date() -> None:
    """Given requirements.txt and vendor/ → the file is what the program writes; run `python -m deploy.notice`."""
    assert (ROOT / NAME).read_text(encoding="utf-8") == notice(ROOT)


def test_each_pinned_package_is_named_with_a_licence() -> None:
    """Given each line of requirements.txt → the file has the package, its version and a licence."""
    text = (ROOT / NAME).read_text(encoding="utf-8")
    lines = [line for line in (ROOT / "requirements.txt").read_text().splitlines() if "==" in line]
    assert len(lines) > 20
    for line in lines:
        name, _, version = line.partition(";")[0].strip().partition("==")
        (found,) = [
            each for each in text.splitlines() if each.startswith(f"{name.partition('[')[0]} {version.split('.')[0]}")
        ]
        assert version in found and found.rpartition(": ")[2]


def test_pins_of_several_pythons_are_one_package() -> None:
    """Given a package with a version for each Python → both versions are named once."""
    text = '# a comment\na==2; python_version >= "3.12"\na==1; python_version < "3.12"\nb[binary]==3\n\n-r other.txt\n'
    assert pins(text) == {"a": ("2", "1"), "b": ("3",)}


def test_a_package_that_is_not_installed_is_named() -> None:
    """Given a package that is not installed → an error that names it and what to do."""
    with pytest.raises(NoticeError, match=r"not-there-at-all of requirements\.txt is not installed: run `make setup`"):
        installed("not-there-at-all", ("1",))


def test_owners_are_read_from_licences() -> None:
    """Given texts of licences → lines that name an owner, each once: no sentence about copyright, not the licence's own."""
    texts = ["MIT\n\n Copyright (c) 2020 A Person\nthe above copyright notice\n", "# Copyright (c) 2020  A Person\n"]
    texts += [
        "Copyright (c) B and others.\n",
        "GNU\n Copyright (C) 2007 Free Software Foundation, Inc. <https://fsf.org/>\n",
    ]
    assert copyrights(texts) == ("Copyright (c) 2020 A Person", "Copyright (c) B and others.")


def test_vendored_files_need_a_licence(tmp_path: Path) -> None:
    """Given folders of vendor/ → a link is ours, files with a licence are listed, files without one are refused."""
    (tmp_path / "vendor" / "linked").mkdir(parents=True)
    (tmp_path / "vendor" / "linked" / "runbook").symlink_to(tmp_path)
    other = tmp_path / "vendor" / "other"
    other.mkdir()
    assert list(vendored(tmp_path / "vendor")) == []
    (other / "a.py").touch()
    with pytest.raises(NoticeError, match="vendor/other has files and no licence"):
        list(vendored(tmp_path / "vendor"))
    (other / "LICENSE").write_text("Copyright 2020 B")
    (work,) = vendored(tmp_path / "vendor")
    assert work.text == "vendor/other: see vendor/other/LICENSE\n    Copyright 2020 B"
