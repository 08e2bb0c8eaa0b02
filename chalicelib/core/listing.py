"""Incidents by their summaries: all are listed in short, in pages, and only those that are wanted are read whole."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from chalicelib.core.incident import STORM, Incident
from chalicelib.core.ports import Store
from chalicelib.core.summary import AlertSummary, Summary, SummaryPage, alert_summaries


def listed(store: Store, *, ended_since: datetime | None = None, quiet: bool = False) -> list[Summary]:
    """Return the open incidents in short, those that ended after `ended_since`, and with `quiet` those that wait.

    A storm is none of them: each incident in it is listed as itself.
    """
    found: dict[str, Summary] = {}
    for page in pages(store, ended_since=ended_since):
        for each in page.summaries:
            if each.name not in found or found[each.name].archived:
                found[each.name] = each
    incidents = [each for each in found.values() if not each.key.startswith(STORM)]
    return [each for each in incidents if each.is_listed(ended_since, quiet=quiet)]


def pages(store: Store, *, ended_since: datetime | None = None) -> Iterator[SummaryPage]:
    """Yield all pages of summaries."""
    page = store.summaries(ended_since=ended_since)
    yield page
    while page.next:
        page = store.summaries(page.next, ended_since=ended_since)
        yield page


def whole(store: Store, summaries: Iterable[Summary]) -> dict[str, Incident]:
    """Return the incidents of these summaries as they are stored by now, by `Summary.name`.

    One that another has replaced since is found in the archive. One that was not kept is left out.
    """
    wanted = {each.name: each for each in summaries}
    newest = store.load_all([each.key for each in wanted.values() if not each.archived])
    found = {
        each.name: newest[each.key]
        for each in wanted.values()
        if each.key in newest and each.id in ("", newest[each.key].id)
    }
    replaced = [each.id for each in wanted.values() if each.id and each.name not in found]
    return found | (dict(store.archives(replaced)) if replaced else {})


def with_alerts(store: Store, summaries: Sequence[Summary]) -> Iterator[tuple[Summary, Sequence[AlertSummary]]]:
    """Yield each summary with its alerts. Of those that are cut they are read from the incidents."""
    read = whole(store, [each for each in summaries if each.cut])
    for each in summaries:
        incident = read.get(each.name)
        yield each, tuple(alert_summaries(incident)) if incident is not None else each.alerts
