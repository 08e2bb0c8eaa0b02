"""When the state of the embedded AWS is saved, and that a save is whole, the newest, and one for queues and tables."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from local.saving import ACCEPTED, LEAST_PAUSE, REST_SECONDS, Saver, lines, pause_after, unfold


class Services:
    """What there is to save; `reads` counts how often it was looked at, each look takes `takes` seconds."""

    def __init__(self, folder: Path) -> None:
        self.queue = "{}"
        self.parameters = "{}"
        self.broken = 0
        self.reads = 0
        self.takes = 0.0
        self.now = 100.0
        self.meanwhile: Callable[[], None] = lambda: None
        self.others: dict[str, Callable[[], str]] = {"ssm": lambda: self.parameters}
        self.saver = Saver(folder, self._accepted, lambda: self.others, lambda: self.now)

    def _accepted(self) -> str:
        self.reads += 1
        self.now += self.takes
        if self.broken:
            self.broken -= 1
            raise RuntimeError("dictionary changed size during iteration")
        found = lines({"sqs": self.queue})
        self.meanwhile()
        return found

    def change(self, queue: str) -> None:
        """Accept something."""
        self.queue = queue
        self.saver.changed.set()


@pytest.fixture
def services(tmp_path: Path) -> Services:
    """Services whose state is saved in a folder."""
    return Services(tmp_path)


def kept(folder: Path) -> str:
    """What a restart would find of the queues."""
    unfold(folder)
    path = folder / "sqs.json"
    return path.read_text() if path.exists() else ""


def test_what_was_accepted_is_saved_at_the_next_look(services: Services, tmp_path: Path) -> None:
    """A change → saved by the next call; without a change nothing is read."""
    assert services.saver.save_changes() == LEAST_PAUSE
    assert services.reads == 0
    services.change("[1]")
    services.saver.save_changes()
    assert kept(tmp_path) == "[1]"


def test_the_rest_is_saved_soon_after(services: Services, tmp_path: Path) -> None:
    """A change of the rest → saved REST_SECONDS later, also while changes go on; then nothing is due any more."""
    services.parameters = '{"a": 1}'
    for _ in range(3):
        services.change("[1]")
        services.saver.save_changes()
        assert not (tmp_path / "ssm.json").exists()
        services.now += REST_SECONDS / 3
    services.saver.save_changes()
    assert json.loads((tmp_path / "ssm.json").read_text()) == {"a": 1}
    before = services.reads
    services.now += 60
    services.saver.save_changes()
    assert services.reads == before


def test_changes_without_a_request_are_saved_with_the_rest(services: Services, tmp_path: Path) -> None:
    """A message that leaves its queue after the last request → is gone on disk once the rest is saved."""
    services.change("[1]")
    services.saver.save_changes()
    services.queue = "[]"
    services.now += REST_SECONDS
    services.saver.save_changes()
    assert kept(tmp_path) == "[]"


def test_a_large_store_is_saved_less_often() -> None:
    """A save that takes long → a longer pause; pause and two saves stay below the two seconds that are promised."""
    assert pause_after(0.001) == LEAST_PAUSE
    assert pause_after(0.05) == pytest.approx(0.45)
    for took in (0.0, 0.01, 0.1, 0.4):
        assert pause_after(took) + 2 * took <= 2


def test_the_pause_is_that_of_the_last_save(services: Services) -> None:
    """A save of 0.1 seconds → the next look is 0.9 seconds later."""
    services.takes = 0.1
    services.change("[1]")
    assert services.saver.save_changes() == pytest.approx(0.9)


def test_a_store_that_changes_while_it_is_read_is_read_again(services: Services, tmp_path: Path) -> None:
    """A read that a change broke → read again at once, and at the next look when it breaks again and again."""
    services.broken = 2
    services.change("[1]")
    services.saver.save_changes()
    assert kept(tmp_path) == "[1]"
    services.broken = 5
    services.change("[2]")
    services.saver.save_changes()
    assert kept(tmp_path) == "[1]"
    services.saver.save_changes()
    assert kept(tmp_path) == "[2]"


def test_the_last_save_is_the_newest(services: Services, tmp_path: Path) -> None:
    """A save that has read the state before the end, and writes after it → does not overwrite the last save."""

    def ends() -> None:
        services.meanwhile = lambda: None
        services.queue = "[2]"
        services.saver.finish()

    services.meanwhile = ends
    services.change("[1]")
    services.saver.save_changes()
    assert kept(tmp_path) == "[2]"
    assert (tmp_path / "ssm.json").exists()


def test_a_disk_that_refuses_is_reported_and_tried_again(
    services: Services, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file that cannot be written → one line without content, and another try at the next look."""
    (tmp_path / ACCEPTED).mkdir()
    services.change("[1]")
    services.saver.save_changes()
    assert capsys.readouterr().err == f"emulator: cannot save {ACCEPTED}: Is a directory\n"
    (tmp_path / ACCEPTED).rmdir()
    services.saver.save_changes()
    assert kept(tmp_path) == "[1]"


def test_a_state_that_is_no_json_is_reported_and_stops_nothing(
    services: Services, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A service whose state cannot be written as JSON → one line; what was accepted is saved."""

    def wrong() -> str:
        return json.dumps({1, 2})

    services.others = {"iot": wrong, **services.others}
    services.change("[1]")
    services.saver.save_changes()
    services.now += REST_SECONDS
    services.saver.save_changes()
    assert capsys.readouterr().err == "emulator: cannot save iot.json: TypeError\n"
    assert kept(tmp_path) == "[1]" and (tmp_path / "ssm.json").exists()


def test_one_file_keeps_all_that_belongs_together(tmp_path: Path) -> None:
    """Queues and tables in one file → each service finds its own, whatever their texts hold; none of them is public."""
    texts = {"sqs": json.dumps({"a b": "\u2028 \x85 \n"}), "dynamodb": "{}"}
    (tmp_path / ACCEPTED).write_text(lines(texts))
    unfold(tmp_path)
    assert {name: (tmp_path / f"{name}.json").read_text() for name in texts} == texts
    assert (tmp_path / "sqs.json").stat().st_mode & 0o777 == 0o600


def test_a_folder_without_the_file_is_left_alone(tmp_path: Path) -> None:
    """A first start, or nothing accepted yet → nothing to write."""
    unfold(tmp_path)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / ACCEPTED).write_text("")
    unfold(tmp_path)
    assert [each.name for each in tmp_path.iterdir()] == [ACCEPTED]
