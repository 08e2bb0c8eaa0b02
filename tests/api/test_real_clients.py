"""The real amtool reads alerts and makes silences, and the calls that Karma and Grafana document, through the application."""

import base64
import json
import shutil
import subprocess
import urllib.error
import urllib.request
from datetime import UTC, datetime, timedelta

import pytest

from chalicelib.api import alertmanager_alerts
from tests.api_door import READER, TOKEN, door
from tests.api_harness import ApiHarness

RULES = """
alerts:
  - name: Disk
    match: {source: alertmanager, alertname: DiskFull}
    severity: critical
    group_by: [instance]
    group_wait: 0s
    group_interval: 1m
    notification: [{slack_channel: "#ops"}]
routes: [{match: {team: db}, notification: [{slack_channel: "#db"}], group_wait: 0s}]
default: {notification: [{slack_channel: "#rest"}], group_wait: 0s}
inhibit: [{cause: {severity: critical}, symptom: {severity: warning}, equal: [instance]}]
"""
PROMETHEUS_RULES = """
groups:
  - name: g
    interval: 1s
    rules: [{alert: DiskFull, expr: "vector(1)", labels: {severity: critical, instance: db-1}, annotations: {summary: Full}}]
"""


class Stage:
    """A router at the real time, its door, and amtool with a token."""

    def __init__(self, desk, served, folder):
        self.desk, self.served, self.folder = desk, served, folder
        self.taken = 0

    def amtool(self, *words, token=TOKEN, ok=True):
        """What amtool prints; it must end well, or with `ok=False` must not."""
        config = self.folder / "http.yml"
        config.write_text(f"authorization: {{credentials: {token}}}\n")
        program = shutil.which("amtool")
        assert program, "amtool is missing: run `make setup-tests`"
        command = [
            program, f"--alertmanager.url={self.served.url}", f"--http.config.file={config}", "--no-version-check", *words,
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert (done.returncode == 0) is ok, done.stderr
        return done.stdout if ok else done.stderr

    def work(self):
        """What came by the door goes to the workers, and what is due happens."""
        messages = self.served.messages()
        self.desk.router.post(messages[self.taken :])
        self.taken = len(messages)
        self.desk.router.settle()

    def fire(self, *labels):
        """An alert by `amtool alert add`."""
        self.amtool("alert", "add", *labels, "--annotation=summary=It is full", token="secret-of-alerts")
        self.work()

    def ids(self, *words):
        """The ids of silences that `amtool silence query` lists."""
        return self.amtool("silence", "query", "-q", *words).split()

    def sent(self):
        """What was sent since the last look, by target and reason."""
        found = [(each.notification.target.key, each.notification.reason.value) for each in self.desk.router.sent]
        self.desk.router.sent.clear()
        return found

    def wait(self, **length):
        """Let time pass."""
        self.desk.wait(timedelta(**length))


@pytest.fixture
def stage(monkeypatch, tmp_path):
    """A router that runs at the real time, since amtool says when a silence ends."""
    desk = ApiHarness(rules=RULES)

    def now():
        desk.router.run_until(datetime.now(UTC), inclusive=True)
        return desk.router.now

    now()
    with door(monkeypatch, desk, now=now) as served:
        yield Stage(desk, served, tmp_path)


def test_amtool_queries_alerts(stage):
    """Given two alerts → all, by matchers, by receiver and as JSON; nothing for what matches none."""
    stage.fire("alertname=DiskFull", "instance=db-1")
    stage.fire("alertname=Slow", "instance=web-1", "team=db")
    assert "It is full" in stage.amtool("alert", "query", "alertname=DiskFull")
    rows = json.loads(stage.amtool("-o", "json", "alert"))
    assert sorted(row["labels"]["instance"] for row in rows) == ["db-1", "web-1"]
    assert {row["status"]["state"] for row in rows} == {"active"}
    assert "web-1" in stage.amtool("-o", "extended", "alert", "query", 'instance=~"web.*"', "team!=x")
    assert "db-1" not in stage.amtool("-o", "extended", "alert", "query", "instance!~db-.*")
    found = json.loads(stage.amtool("-o", "json", "alert", "query", "--receiver=rule/Disk"))
    assert [row["labels"]["instance"] for row in found] == ["db-1"]
    assert json.loads(stage.amtool("-o", "json", "alert", "query", "instance=nobody")) == []


def test_amtool_makes_queries_updates_and_expires_a_silence(stage):
    """Given a firing alert → the silence mutes it, is found at once, moves its end, and expires."""
    stage.fire("alertname=DiskFull", "instance=db-1")
    stage.sent()
    words = ("alertname=DiskFull", 'instance=~"db-.*"', "--duration=1h", "--author=ana", "--comment=new disk")
    id = stage.amtool("silence", "add", *words).strip()
    assert stage.ids() == stage.ids("alertname=DiskFull") == [id]
    assert stage.ids("alertname=Other") == []
    shown = stage.amtool("-o", "extended", "silence", "query")
    assert all(text in shown for text in (id, "ana", "new disk"))
    assert json.loads(stage.amtool("-o", "json", "alert", "query", "--active")) == []
    (muted,) = json.loads(stage.amtool("-o", "json", "alert", "query", "--silenced"))
    assert muted["status"]["silencedBy"] == [id]
    stage.amtool("silence", "update", "--duration=3h", "--comment=longer", id)
    assert stage.ids() == [id]
    (silence,) = json.loads(stage.amtool("-o", "json", "silence", "query"))
    lasts = datetime.fromisoformat(silence["endsAt"]) - datetime.now(UTC)
    assert (silence["comment"], timedelta(hours=2) < lasts) == ("longer", True)
    assert stage.amtool("silence", "expire", id) == ""
    assert stage.ids() == []
    assert stage.ids("--expired", "--within=1h") == [id]
    stage.work()
    stage.wait(minutes=2)
    assert ("slack_channel:#ops", "updated") in stage.sent()


def test_amtool_moves_silences_to_another_stage(stage, monkeypatch, tmp_path):
    """Given the JSON of `silence query` → `silence import` makes them where their ids are unknown."""
    stage.amtool("silence", "add", "service=api", "--duration=2h", "--author=ana", "--comment=a")
    stage.amtool("silence", "add", 'zone!~"eu.*"', "team=x", "--duration=2h", "--author=bo", "--comment=b")
    file = tmp_path / "silences.json"
    file.write_text(stage.amtool("-o", "json", "silence", "query"))
    for id in stage.ids():
        stage.amtool("silence", "expire", id)
    stage.desk.router.store.save_context(type(stage.desk.router.store.context())(version=_next_version(stage)))
    made = stage.amtool("silence", "import", str(file)).split()
    assert sorted(made) == sorted(stage.ids())
    rows = json.loads(stage.amtool("-o", "json", "silence", "query"))
    assert sorted((row["createdBy"], row["comment"]) for row in rows) == [("ana", "a"), ("bo", "b")]


def _next_version(stage):
    return stage.desk.router.store.context().version + 1


def test_amtool_shows_the_rules_as_a_configuration(stage):
    """Given `config show`, `config routes` and `check-config` → amtool reads what the rules come to."""
    shown = stage.amtool("config", "show")
    assert '"rule/Disk"' in shown
    routes = stage.amtool("config", "routes", "show")
    assert "rule/Disk" in routes
    assert stage.amtool("config", "routes", "test", "alertname=Disk").strip() == "rule/Disk"
    assert "route/team=db" in stage.amtool("config", "routes", "test", "team=db", "alertname=Other")
    assert stage.amtool("config", "routes", "test", "alertname=Other").strip() == "default"
    file = stage.folder / "made.yml"
    file.write_text(shown)
    assert "SUCCESS" in stage.amtool("check-config", str(file))


def test_amtool_is_refused_as_its_token_is(stage):
    """Given no right, an unknown id or a silence that is none → amtool fails with the reason."""
    words = ("service=api", "--duration=1h", "--author=ana", "--comment=x")
    stage.amtool("alert", "query", token="guess-guess-guess-guess", ok=False)
    stage.amtool("silence", "add", *words, token=READER, ok=False)
    assert stage.amtool("silence", "query", token=READER) is not None
    assert "mute everything" in stage.amtool("silence", "add", "a=~.*", *words[1:], ok=False)
    stage.amtool("silence", "expire", "3f2a91c0", ok=False)
    stage.amtool("silence", "update", "--duration=3h", "3f2a91c0", ok=False)
    assert stage.ids() == []


def test_amtool_signs_in_by_a_password_in_the_address(stage):
    """Given basic authentication with a token as the password → as with the bearer token."""
    address = stage.served.url.replace("http://", f"http://anybody:{TOKEN}@")
    done = subprocess.run(
        [shutil.which("amtool"), f"--alertmanager.url={address}", "alert"],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_a_list_that_is_cut_says_so_in_a_header(stage, monkeypatch):
    """Given more alerts than a list holds → the header Tocsin-Total; a whole list has none."""
    for number in range(3):
        stage.fire("alertname=DiskFull", f"instance=db-{number}")
    monkeypatch.setattr(alertmanager_alerts, "MAX_ALERTS", 2)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    for path, total in (("alerts", "3"), ("alerts?filter=instance=db-1", None)):
        request = urllib.request.Request(
            f"{stage.served.url}/api/v2/{path}", headers={"Authorization": f"Bearer {TOKEN}"}
        )
        with opener.open(request, timeout=20) as answer:
            assert answer.headers["Tocsin-Total"] == total


@pytest.mark.acceptance
def test_a_fire_of_prometheus_is_muted_by_amtool_and_notified_again(stage, tmp_path):
    """Given Prometheus's alert → an incident; a silence of amtool mutes it; after that it is notified of again."""
    (tmp_path / "rules.yml").write_text(PROMETHEUS_RULES)
    target = {
        "static_configs": [{"targets": [stage.served.url.removeprefix("http://")]}],
        "authorization": {"credentials": "secret-of-alerts"},
    }
    config = {
        "global": {"evaluation_interval": "1s"},
        "rule_files": ["rules.yml"],
        "alerting": {"alertmanagers": [target]},
    }
    (tmp_path / "prometheus.yml").write_text(json.dumps(config))
    command = [
        shutil.which("prometheus"), f"--config.file={tmp_path}/prometheus.yml", f"--storage.tsdb.path={tmp_path}/data",
        "--web.listen-address=127.0.0.1:0", "--log.level=error",
    ]  # fmt: skip
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            assert stage.served.arrived.wait(timeout=120)
        finally:
            process.kill()
    stage.work()
    assert stage.sent() == [("slack_channel:#ops", "opened")]
    stage.amtool("silence", "add", "alertname=DiskFull", "--duration=90s", "--author=ana", "--comment=x")
    stage.wait(minutes=1)
    assert stage.sent() == []
    assert "Full" in stage.amtool("alert", "query", "--silenced", "alertname=DiskFull")
    stage.wait(minutes=1)
    assert stage.sent() == [("slack_channel:#ops", "updated")]


# ---------------------------------------------------------------------------------------------------------------------
# Karma and Grafana, by the calls that they document: neither was run


def call(stage, method, path, body=None, *, headers=None):
    """Status and body of one request."""
    given = {"Authorization": f"Bearer {TOKEN}", **(headers or {})}
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{stage.served.url}{path}", data=data, method=method, headers=given)
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=20) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_the_calls_of_karma(stage):
    """Given what Karma asks: silences and groups without a query, with basic authentication, a silence with milliseconds."""
    stage.fire("alertname=DiskFull", "instance=db-1")
    basic = {"Authorization": "Basic " + base64.b64encode(f"karma:{TOKEN}".encode()).decode()}
    status, text = call(stage, "GET", "/api/v2/alerts/groups", headers=basic)
    (group,) = json.loads(text)
    assert (status, group["labels"], group["receiver"]) == (200, {"instance": "db-1"}, {"name": "rule/Disk"})
    ends_at = (datetime.now(UTC) + timedelta(hours=1)).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    form = {
        "matchers": [{"name": "instance", "value": "db-1", "isRegex": False, "isEqual": True}],
        "startsAt": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"), "endsAt": ends_at,
        "createdBy": "ana", "comment": "from Karma",
    }  # fmt: skip
    status, text = call(stage, "POST", "/api/v2/silences", form, headers={**basic, "Content-Type": "application/json"})
    id = json.loads(text)["silenceID"]
    (silence,) = json.loads(call(stage, "GET", "/api/v2/silences", headers=basic)[1])
    assert (status, silence["id"], silence["endsAt"]) == (200, id, ends_at)
    assert call(stage, "DELETE", f"/api/v2/silence/{id}", headers=basic) == (200, "")


def test_the_calls_of_grafana(stage):
    """Given what Grafana's data source asks → its test finds a Prometheus Alertmanager, and no Mimir."""
    assert call(stage, "GET", "/alertmanager/api/v2/status")[0] == 404
    status, text = call(stage, "GET", "/api/v2/status")
    assert (status, json.loads(text)["config"]["original"][:1]) == (200, "#")
    for path in ("silences", "alerts", "alerts/groups", "receivers"):
        assert call(stage, "GET", f"/api/v2/{path}") == (
            200,
            json.dumps(json.loads(call(stage, "GET", f"/api/v2/{path}")[1])),
        )
    assert call(stage, "GET", "/api/v2/silence/3f2a91c0") == (404, "")


ABUSE = [
    ("no token", "GET", "/api/v2/alerts", None, {"Authorization": ""}, 401),
    ("a wrong token", "GET", "/api/v2/silences", None, {"Authorization": "Bearer guess"}, 401),
    ("garbled basic", "GET", "/api/v2/silences", None, {"Authorization": "Basic %%%"}, 401),
    ("a sender's secret", "GET", "/api/v2/alerts", None, {"Authorization": "Bearer secret-of-alerts"}, 401),
    ("a cookie", "GET", "/api/v2/alerts", None, {"Authorization": "", "Cookie": f"token={TOKEN}"}, 401),
    ("a reader writes", "POST", "/api/v2/silences", {}, {"Authorization": f"Bearer {READER}"}, 403),
    ("a reader ends", "DELETE", "/api/v2/silence/3f2a91c0", None, {"Authorization": f"Bearer {READER}"}, 403),
    ("a form", "POST", "/api/v2/silences", {}, {"Content-Type": "application/x-www-form-urlencoded"}, 400),
    ("a huge body", "POST", "/api/v2/silences", {"comment": "x" * 100_000}, {"Content-Type": "application/json"}, 400),
    ("no object", "POST", "/api/v2/silences", [1], {"Content-Type": "application/json"}, 400),
    ("deep JSON", "POST", "/api/v2/silences", "[" * 30_000, {"Content-Type": "application/json"}, 400),
    ("another path", "GET", "/api/v2/alerts/groups/all", None, {}, 404),
    ("a path trick", "GET", "/api/v2/silence/..%2f..%2fstatus", None, {}, 404),
    ("a line break in a path", "GET", "/api/v2/silence/a%0d%0aX-A:%20b", None, {}, 404),
    ("another method", "PUT", "/api/v2/silences", {}, {}, 405),
]  # fmt: skip


@pytest.mark.parametrize(
    ("method", "path", "body", "headers", "status"), [r[1:] for r in ABUSE], ids=[r[0] for r in ABUSE]
)
def test_what_must_not_work_does_not(stage, method, path, body, headers, status):
    """Given a request that must not work → its status, nothing changes, and no header of its making comes back."""
    assert call(stage, method, path, body, headers=headers)[0] == status
    assert stage.desk.router.store.context().silences == ()


def test_basic_authentication_opens_no_other_door(stage):
    """Given a token as a basic password at Tocsin's own API → refused: a browser may send it on its own."""
    basic = {"Authorization": "Basic " + base64.b64encode(f"x:{TOKEN}".encode()).decode()}
    assert call(stage, "GET", "/api/incidents", headers=basic)[0] == 401
