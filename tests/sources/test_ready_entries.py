"""docs/sources/*.yaml: each entry is whole, and makes of the sender's bodies what the table says."""

import json
import re
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest

from chalicelib.core.errors import ParseError, SignatureError
from chalicelib.core.event import Event
from chalicelib.core.instants import instant_at
from chalicelib.redact import redact_event
from chalicelib.rules.file import check, load
from chalicelib.sources import generic
from tests.project import ROOT
from tests.sources.bodies import FIXTURES, NOW
from tests.sources.pairs import changed_bodies

ENTRIES = {path.stem: path for path in sorted((ROOT / "docs" / "sources").glob("*.yaml"))}
BODIES = FIXTURES / "senders"

EXPECTED = {
    "azure.fired.json": ("firing", "critical", "vm-cpu", "shop"),
    "azure.resolved.json": ("resolved", "critical", "vm-cpu", "shop"),
    "betterstack.acknowledged.json": ("info", "critical", "shop: Status 502", "shop"),
    "betterstack.resolved.json": ("resolved", "critical", "shop: Status 502", "shop"),
    "betterstack.started.json": ("firing", "critical", "shop: Status 502", "shop"),
    "checkly.alert_degraded.json": ("firing", "warning", "checkout API", "checkout API"),
    "checkly.alert_degraded_recovery.json": ("resolved", "warning", "checkout API", "checkout API"),
    "checkly.alert_failure.json": ("firing", "critical", "checkout API", "checkout API"),
    "checkly.alert_failure_remain.json": ("firing", "critical", "checkout API", "checkout API"),
    "checkly.alert_recovery.json": ("resolved", "critical", "checkout API", "checkout API"),
    "datadog.no_data.json": ("firing", "critical", "checkout errors", "checkout"),
    "datadog.recovered.json": ("resolved", "critical", "checkout errors", "checkout"),
    "datadog.renotify.json": ("firing", "critical", "checkout errors", "checkout"),
    "datadog.triggered.json": ("firing", "critical", "checkout errors", "checkout"),
    "datadog.warn.json": ("firing", "warning", "checkout errors", "checkout"),
    "gatus.resolved.json": ("resolved", "critical", "checkout: health check failed", "checkout"),
    "gatus.triggered.json": ("firing", "critical", "checkout: health check failed", "checkout"),
    "gcp.closed.json": ("resolved", "critical", "CPU of web-1 is above 0.9 with a value of 0.97.", "shop"),
    "gcp.open.json": ("firing", "critical", "CPU of web-1 is above 0.9 with a value of 0.97.", "shop"),
    "gcp.test_documentation_is_text.json": (
        "firing", "critical", "CPU of web-1 is above 0.9 with a value of 0.97.", "shop",
    ),
    "github.workflow_run_failure.http.json": ("firing", "warning", "deploy of example/shop on main", "example/shop"),
    "github.workflow_run_in_progress.http.json": ("info", "warning", "deploy of example/shop on main", "example/shop"),
    "github.workflow_run_success.http.json": ("resolved", "warning", "deploy of example/shop on main", "example/shop"),
    "gitlab.pipeline_failed.http.json": (
        "firing", "warning", "Pipeline deploy of example/shop on main", "example/shop",
    ),
    "gitlab.pipeline_running.http.json": ("info", "warning", "Pipeline deploy of example/shop on main", "example/shop"),
    "gitlab.pipeline_success.http.json": (
        "resolved", "warning", "Pipeline deploy of example/shop on main", "example/shop",
    ),
    "grafana.firing.json": ("firing", "critical", "5xx over 2 %", "checkout"),
    "newrelic.acknowledged_unverified.json": ("firing", "critical", "checkout error rate high", "checkout"),
    "newrelic.activated.json": ("firing", "critical", "checkout error rate high", "checkout"),
    "newrelic.closed.json": ("resolved", "critical", "checkout error rate high", "checkout"),
    "stripe.dispute_created.http.json": ("firing", "warning", "charge.dispute.created: fraudulent", "payments"),
    "stripe.payout_failed.http.json": (
        "firing", "warning", "payout.failed: The bank account is closed.", "payments",
    ),
    "stripe.too_old.http.json": ("firing", "warning", "payout.failed: po_1", "payments"),
    "uptime_kuma.down.form_data.txt": ("firing", "critical", "shop", "shop"),
    "uptime_kuma.down.json": ("firing", "critical", "shop", "shop"),
    "uptime_kuma.test_only_msg.json": ("info", "critical", "tocsin Testing", None),
    "uptime_kuma.up.json": ("resolved", "critical", "shop", "shop"),
    "uptimerobot.down.json": ("firing", "critical", "shop is Down", "shop"),
    "uptimerobot.up.form.txt": ("resolved", "critical", "shop is Up", "shop"),
    "zabbix.problem.json": ("firing", "critical", "Disk space low on /", "db"),
    "zabbix.recovery.json": ("resolved", "critical", "Disk space low on /", "db"),
    "zabbix.unexpanded_macro.json": ("firing", "critical", "Disk space low on /", "db"),
    "zabbix.update_acknowledged.json": ("firing", "critical", "Disk space low on /", "db"),
}  # fmt: skip
"""By file: status, severity, title, service."""
NAMES = {"gcp": "googlecloud"}
DIFFERENT = {"stripe.dispute_created.http.json", "uptime_kuma.test_only_msg.json"}
"""Bodies that are about another thing than the others of their sender."""


@lru_cache
def entry(name: str) -> dict[str, Any]:
    """The entry of a sender, as `alert-rules.yaml` would have it."""
    path = ENTRIES[NAMES.get(name, name)]
    (found,) = load(path.read_text("utf-8"), filename=path.name).sources
    return dict(found)


def request(name: str) -> tuple[dict[str, str], bytes, dict[str, Any]]:
    """The headers and the body of a file, and of a recorded request how it is verified."""
    data = (BODIES / name).read_bytes()
    if ".http." not in name:
        return {}, data, {}
    recorded = json.loads(data)
    headers = {key.lower(): value for key, value in recorded["headers"].items()}
    return headers, recorded["body"].encode(), recorded.get("verification", {})


def event(name: str) -> Event:
    """The one event of a file, masked as everything stored is."""
    headers, data, _ = request(name)
    (found,) = generic.parse(headers, data, received_at=NOW, mapping=entry(name.partition(".")[0]))
    return redact_event(found)


def test_every_body_is_in_the_table() -> None:
    """A body that is added is judged, and every entry has one."""
    assert sorted(path.name for path in BODIES.iterdir()) == sorted(EXPECTED)
    assert {NAMES.get(each.partition(".")[0], each.partition(".")[0]) for each in EXPECTED} == {*ENTRIES}


@pytest.mark.parametrize("name", ENTRIES)
def test_every_entry_is_whole(name: str) -> None:
    """Given an entry → no mistake and no warning; its comment says what was verified, and docs/sources.md names it."""
    text = ENTRIES[name].read_text("utf-8")
    report = check(text)
    assert (report.mistakes, report.warnings) == ((), ())
    assert re.search(r"^# Shape: ", text, re.MULTILINE)
    assert f"sources/{name}.yaml" in (ROOT / "docs" / "sources.md").read_text("utf-8")


@pytest.mark.parametrize("name", EXPECTED)
def test_bodies(name: str) -> None:
    """Each body comes to the event of the table."""
    found = event(name)
    assert (found.status.value, found.severity.value, found.title, found.service) == EXPECTED[name]


@pytest.mark.parametrize("sender", sorted({each.partition(".")[0] for each in EXPECTED}))
def test_what_fires_and_what_ends_is_one_alert(sender: str) -> None:
    """Given the bodies of a sender about one thing → one fingerprint, and no end is older than its beginning."""
    found = [event(each) for each in EXPECTED if each.startswith(f"{sender}.") and each not in DIFFERENT]
    assert len({each.fingerprint for each in found}) == 1
    began = max((each.occurred_at for each in found if each.status.value == "firing"), default=NOW)
    assert all(each.occurred_at >= began for each in found if each.status.value == "resolved")


PROVED = [name for name in EXPECTED if request(name)[2]]


@pytest.mark.parametrize("name", PROVED)
def test_signatures_of_recorded_requests(name: str) -> None:
    """Given a recorded request with its secret and the clock of its receiver → taken, or refused, as it says."""
    headers, data, proof = request(name)
    now = instant_at(proof["receiver_clock"]) if "receiver_clock" in proof else NOW

    def proves(body: bytes, secret: str) -> bool:
        try:
            generic.verify(headers, body, [secret], mapping=entry(name.partition(".")[0]), now=now)
        except SignatureError:
            return False
        return True

    assert proves(data, proof["secret"]) is proof["expect_valid"]
    assert not proves(data + b" ", proof["secret"])
    assert not proves(data, "another")


def test_the_token_of_gitlab_is_its_header() -> None:
    """Given GitLab's request → taken with the secret in X-Gitlab-Token, refused with another."""
    headers, data, _ = request("gitlab.pipeline_failed.http.json")
    generic.verify(headers, data, ["placeholder-gitlab-token"], mapping=entry("gitlab"))
    with pytest.raises(SignatureError):
        generic.verify(headers, data, ["another"], mapping=entry("gitlab"))


def test_tags_and_links_are_read() -> None:
    """Given tags as text, as pairs and as JSON in a text → their values; a macro that is no address is no link."""
    assert event("datadog.triggered.json").environment == "prod"
    assert event("zabbix.unexpanded_macro.json").url is None
    assert Path(str(event("grafana.firing.json").url)).name == "view?orgId=1"


def run(sender: str, where: str, **more: Any) -> Event:
    """A recorded failure of a sender, of the default branch `where`, with other values of its run."""
    body = json.loads(
        request(f"{sender}.{'workflow_run_failure' if sender == 'github' else 'pipeline_failed'}.http.json")[1]
    )
    inner = body["workflow_run" if sender == "github" else "object_attributes"]
    inner.update(more)
    body["repository" if sender == "github" else "project"]["default_branch"] = where
    (found,) = generic.parse({}, json.dumps(body).encode(), received_at=NOW, mapping=entry(sender))
    return found


FORK = {"head_repository": {"full_name": "mallory/shop"}}
OWN = {"head_repository": {"full_name": "example/shop"}}
STRANGERS: list[tuple[str, dict[str, Any], bool]] = [
    ("github", {"event": "pull_request", "conclusion": "success", **FORK}, True),
    ("github", {"event": "pull_request_target", "conclusion": "success", **FORK}, True),
    ("github", {"event": "pull_request", "conclusion": "failure", **OWN}, True),
    ("github", {"event": "workflow_run", "conclusion": "success", **FORK}, False),
    ("gitlab", {"source": "merge_request_event", "status": "success"}, True),
    ("gitlab", {"source": "external_pull_request_event", "status": "success"}, True),
]


@pytest.mark.parametrize(("sender", "more", "is_other"), STRANGERS)
def test_a_pull_request_ends_nothing(sender: str, more: dict[str, Any], is_other: bool) -> None:
    """Given a pull request whose branch is called like the default one → information, about another thing."""
    failed, found = run(sender, "main"), run(sender, "main", **more)
    assert (failed.status.value, found.status.value) == ("firing", "info")
    assert (failed.identity != found.identity) is is_other


BRANCHES = [
    ("github", {"head_branch": "trunk", **OWN}, "trunk", ("firing", "warning")),
    ("github", {"head_branch": "trunk", "conclusion": "success", **OWN}, "trunk", ("resolved", "warning")),
    ("github", {"head_branch": "main", **OWN}, "trunk", ("info", "info")),
    ("github", {"head_branch": "feature/x"}, "main", ("info", "info")),
    ("gitlab", {"ref": "develop"}, "develop", ("firing", "warning")),
    ("gitlab", {"ref": "develop", "status": "success"}, "develop", ("resolved", "warning")),
    ("gitlab", {"ref": "feature/x"}, "develop", ("info", "warning")),
]  # fmt: skip


@pytest.mark.parametrize(("sender", "more", "default", "wanted"), BRANCHES)
def test_the_default_branch_is_that_of_the_repository(
    sender: str, more: dict[str, Any], default: str, wanted: tuple[str, str]
) -> None:
    """Given a run of the default branch, whatever it is called → fires and ends; another branch is information."""
    found = run(sender, default, **more)
    assert (found.status.value, found.severity.value) == wanted


def test_two_hosts_of_one_rule_of_grafana_are_two_services() -> None:
    """Given a rule of Grafana that fires for two hosts → each has its title and its host as service."""
    labels = [{"alertname": "HighCPU", "instance": host} for host in ("web1", "web2")]
    alerts = [
        {
            "status": "firing",
            "fingerprint": each["instance"],
            "labels": each,
            "annotations": {"summary": f"CPU of {each['instance']}"},
        }
        for each in labels
    ]
    found = generic.parse({}, json.dumps({"alerts": alerts}).encode(), received_at=NOW, mapping=entry("grafana"))
    assert [(each.title, each.service) for each in found] == [("CPU of web1", "web1"), ("CPU of web2", "web2")]


def test_the_parameters_of_zabbix_are_what_the_entry_reads() -> None:
    """Given the comment of Zabbix's entry → each field of the entry is a parameter, and the script posts all but url and secret."""
    text = ENTRIES["zabbix"].read_text("utf-8")
    comment = "\n".join(line.removeprefix("#") for line in text.splitlines() if line.startswith("#"))
    parameters = set(re.findall(r"^ {3}(\w+) +(?:\{[A-Z.]+\}|https|<)", comment, re.MULTILINE))
    read = {str(each) for key, each in entry("zabbix").items() if key in ("id", "title", "severity", "summary", "url")}
    read |= {part.strip() for key in ("status", "service") for part in entry("zabbix")[key].split("||")}
    read |= {*entry("zabbix")["labels"].values()}
    assert parameters == {part.partition(".")[0] for part in read} | {"tocsin_url", "tocsin_secret"}
    script = comment.partition("Script:\n")[2]
    for part in (
        "JSON.parse(value)",
        "new HttpRequest()",
        "addHeader('Authorization: Bearer ' + ",
        "JSON.stringify(body)",
        "return",
    ):
        assert part in script


ODD: list[Any] = [
    None, "", [], {}, 5, True, "null", [[]], [None, 5], {"alerts": 5}, {"alerts": [5, None, {"labels": [5]}]},
    {"monitor": {"tags": [{"name": None}]}}, {"tags": "::,,=a"}, {"data": {"essentials": "[1"}}, {"title": "{"},
]  # fmt: skip


@pytest.mark.parametrize("name", ENTRIES)
def test_whatever_comes_is_an_event_or_parked(name: str) -> None:
    """Given odd bodies, those of all other senders, and its own with a field less → events with a title, or ParseError."""
    own = [json.loads(request(each)[1]) for each in EXPECTED if each.startswith(f"{name}.") and "form" not in each]
    changed = [made for whole in own[:2] for made in list(changed_bodies(whole))[:60]]
    bodies = [json.dumps(each).encode() for each in (*ODD, *changed)]
    for body in (*bodies, *(request(each)[1] for each in EXPECTED)):
        try:
            found = generic.parse({}, body, received_at=NOW, mapping=entry(name))
        except ParseError:
            continue
        assert all(redact_event(each).title for each in found)
