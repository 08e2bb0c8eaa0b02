"""What Vercel's webhooks come to."""

import pytest

from chalicelib.core.errors import ParseError
from chalicelib.core.event import Severity, Status
from chalicelib.process.deploys import deploy_of
from tests.sources.bodies import body, changed, event, events, files, raw, summary

EXPECTED = {
    "alerts.triggered.json": [
        (
            "alerts.triggered",
            "firing",
            "warning",
            "Anomalous error rate in example-web",
            "example-web",
            "",
            "https://vercel.com/example-team/example-web/observability",
            "alerts:grp_0001",
        ),
    ],
    "deployment.canceled.json": [
        (
            "deployment.canceled",
            "info",
            "info",
            "Staging deployment of example-web was canceled",
            "example-web",
            "staging",
            "https://vercel.com/example-team/example-web/Example0000000000000000004",
            "dpl_Example0000000000000000004:deployment.canceled",
        ),
    ],
    "deployment.created.json": [
        (
            "deployment.created",
            "info",
            "info",
            "Production deployment of example-web started",
            "example-web",
            "production",
            "https://vercel.com/example-team/example-web/Example0000000000000000001",
            "dpl_Example0000000000000000001:deployment.created",
        ),
    ],
    "deployment.created_hookdeck_example.json": [
        (
            "deployment.created",
            "info",
            "info",
            "Preview deployment of my-app started",
            "my-app",
            "preview",
            "https://my-app-git-main-team.vercel.app",
            "dpl_FjHqKqFexample:deployment.created",
        ),
    ],
    "deployment.error.json": [
        (
            "deployment.error",
            "firing",
            "warning",
            "Production deployment of example-web failed",
            "example-web",
            "production",
            "https://vercel.com/example-team/example-web/Example0000000000000000003",
            "deployment:prj_example00000000000000:production",
        ),
    ],
    "deployment.promoted.json": [
        (
            "deployment.promoted",
            "resolved",
            "warning",
            "Production deployment of example-web was promoted",
            "example-web",
            "production",
            "https://vercel.com/example-team/example-web/Example0000000000000000001",
            "deployment:prj_example00000000000000:production",
        ),
    ],
    "deployment.ready_preview_target_null.json": [
        (
            "deployment.ready",
            "info",
            "info",
            "Preview deployment of example-web is ready",
            "example-web",
            "preview",
            "https://vercel.com/example-team/example-web/Example0000000000000000002",
            "dpl_Example0000000000000000002:deployment.ready",
        ),
    ],
    "deployment.rollback.json": [
        (
            "deployment.rollback",
            "info",
            "info",
            "Production deployment of prj_example00000000000000 is being rolled back",
            "prj_example00000000000000",
            "production",
            "",
            "dpl_Example0000000000000000001:deployment.rollback",
        ),
    ],
    "deployment.succeeded.json": [
        (
            "deployment.succeeded",
            "resolved",
            "warning",
            "Production deployment of example-web succeeded",
            "example-web",
            "production",
            "https://vercel.com/example-team/example-web/Example0000000000000000001",
            "deployment:prj_example00000000000000:production",
        ),
    ],
    "deployment.succeeded_no_id.json": [
        (
            "deployment.succeeded",
            "resolved",
            "warning",
            "Production deployment of example-app succeeded",
            "example-app",
            "production",
            "https://vercel.com/example-team/example-app/dpl_links",
            "deployment:example-app:production",
        ),
    ],
    "derived_signature_vector_team_null.json": [
        (
            "deployment.error",
            "firing",
            "warning",
            "Production deployment of café-web failed",
            "café-web",
            "production",
            "https://vercel.com/x/y/z",
            "deployment:prj_vector:production",
        ),
    ],
    "legacy_deployment-error.json": [
        (
            "deployment.error",
            "firing",
            "warning",
            "Production deployment of example-web failed",
            "example-web",
            "production",
            "https://vercel.com/example-team/example-web/Example0000000000000000009",
            "deployment:prj_example00000000000000:production",
        ),
    ],
}
"""By file: kind, status, severity, title, service, environment, url, identity."""

CREATED = body("vercel/deployment.created.json")
ERROR = body("vercel/deployment.error.json")
ANOMALY = body("vercel/alerts.triggered.json")


def test_every_body_is_in_the_table():
    """A body that is added is judged."""
    assert files("vercel") == [f"vercel/{name}" for name in EXPECTED]


@pytest.mark.parametrize("name", EXPECTED)
def test_bodies(name):
    """Each body comes to the events of the table."""
    assert [summary(each) for each in events("vercel", raw(f"vercel/{name}"))] == EXPECTED[name]


LEGACY = [
    ("deployment", "deployment.created"),
    ("deployment-ready", "deployment.ready"),
    ("deployment-error", "deployment.error"),
    ("deployment-canceled", "deployment.canceled"),
    ("deployment-prepared", "deployment.prepared"),
]


@pytest.mark.parametrize(("said", "kind"), LEGACY)
def test_older_names_mean_the_same(said, kind):
    """The names with hyphens are those with points."""
    assert summary(event("vercel", {**ERROR, "type": said})) == summary(event("vercel", {**ERROR, "type": kind}))


@pytest.mark.parametrize(
    ("target", "status"),
    [("production", "firing"), ("staging", "info"), (None, "info"), ("", "info"), ("PRODUCTION", "firing")],
)
def test_only_a_failed_production_deployment_is_a_fault(target, status):
    """Previews and staging fail while people work on them."""
    found = event("vercel", changed(ERROR, payload__target=target))
    assert found.status.value == status
    assert found.severity is (Severity.WARNING if status == "firing" else Severity.INFO)


def test_deployments_are_markers():
    """What changed in production or staging is remembered; a preview, a failure and an anomaly are no change."""
    marks = {
        each: deploy_of(event("vercel", changed(CREATED, type=f"deployment.{each}")))
        for each in ("created", "succeeded", "ready", "promoted", "error", "canceled")
    }
    assert [each for each, mark in marks.items() if mark] == ["created", "succeeded", "ready", "promoted"]
    mark = marks["created"]
    assert (mark.service, mark.commit, mark.by) == ("example-web", "6e1f0c2ab4d9", "Example User")
    assert deploy_of(event("vercel", changed(CREATED, payload__target=None))) is None
    assert deploy_of(event("vercel", body("vercel/deployment.rollback.json"))) is not None
    assert deploy_of(event("vercel", ANOMALY)) is None


def test_a_rollback_is_only_under_way():
    """Nothing says when an instant rollback is done."""
    assert event("vercel", body("vercel/deployment.rollback.json")).title.endswith("is being rolled back")


def test_a_failure_is_one_alert_of_its_project():
    """Given failures and good deployments of production in one project → one fingerprint; another project is another."""
    other = changed(ERROR, payload__deployment__id="dpl_2", id="evt_2")
    found = [
        event("vercel", each)
        for each in (ERROR, {**ERROR, "id": "again"}, other, {**ERROR, "type": "deployment.ready"})
    ]
    assert len({each.fingerprint for each in found}) == 1
    elsewhere = event("vercel", changed(ERROR, payload__project__id="prj_2"))
    assert elsewhere.fingerprint != found[0].fingerprint


def test_markers_are_deployment_and_type():
    """Given two deployments, and two types of one, that say nothing of a fault → different fingerprints."""
    other = changed(CREATED, payload__deployment__id="dpl_2", id="evt_2")
    found = [event("vercel", each) for each in (CREATED, other, {**CREATED, "type": "deployment.canceled"})]
    assert len({each.fingerprint for each in found}) == 3


WITHOUT = changed(ERROR, payload__target=...)


def test_an_unknown_target_is_not_fine():
    """Given a failure without the key `target` → warning; a good one like it, and one of production, ends it."""
    failed = event("vercel", WITHOUT)
    assert (failed.status, failed.severity, failed.title) == (
        Status.FIRING, Severity.WARNING, "Deployment of example-web failed"
    )  # fmt: skip
    assert (failed.labels["target"], failed.environment) == ("unknown", None)
    same = event("vercel", {**WITHOUT, "type": "deployment.succeeded"})
    production = event("vercel", {**ERROR, "type": "deployment.succeeded"})
    assert same.fingerprint == failed.fingerprint
    assert production.ends_also == (failed.identity,)


def test_a_good_deployment_of_no_project_ends_nothing():
    """Given a body that names no project → information, whatever it says."""
    found = event("vercel", {"id": "e", "type": "deployment.succeeded", "payload": {"target": "production"}})
    assert found.status is Status.INFO


PAIRS = [
    ("domain.certificate.renew.failed", "domain.certificate.renew", {"dnsNames": ["shop.example"]}, "shop.example"),
    ("domain.certificate.add.failed", "domain.certificate.add", {"dnsNames": ["shop.example"]}, "shop.example"),
    ("domain.certificate.renew.failed", "domain.certificate.add", {"dnsNames": ["shop.example"]}, "shop.example"),
    ("domain.renewal.failed", "domain.renewal", {"domain": {"name": "shop.example"}}, "shop.example"),
    ("domain.transfer-in.failed", "domain.transfer-in.completed", {"domain": {"name": "shop.example"}}, "shop.example"),
    ("project.domain.unverified", "project.domain.verified",
     {"domain": {"name": "shop.example"}, "project": {"id": "prj_1"}}, "shop.example"),
    ("project.domain-unverified", "project.domain-verified", {"domain": {"name": "shop.example"}}, "shop.example"),
    ("marketplace.invoice.notpaid", "marketplace.invoice.paid", {"invoiceId": "in_1"}, "in_1"),
    ("budget.reached", "budget.reset", {"teamId": "t"}, "t"),
    ("deployment.blocked", "deployment.succeeded",
     {"target": "production", "deployment": {"id": "d", "name": "shop"}, "project": {"id": "prj_1"}}, "shop"),
    ("something.new.failed", "something.new.succeeded", {"domain": {"name": "shop.example"}}, "shop.example"),
]  # fmt: skip


@pytest.mark.parametrize("spelling", ["points", "hyphens", "as documented"])
@pytest.mark.parametrize(("fires", "ends", "payload", "thing"), PAIRS)
def test_a_type_that_fires_has_one_that_ends_it(fires, ends, payload, thing, spelling):
    """Given each pair of types, with points or hyphens → one warning that names the thing, and its end."""

    def made(kind):
        first, _, rest = kind.partition(".")
        said = {
            "points": kind,
            "hyphens": kind.replace(".", "-"),
            "as documented": f"{first}.{rest.replace('.', '-')}",
        }[spelling]
        return event("vercel", {"id": f"{said}1", "type": said, "createdAt": 0, "payload": payload})

    began, over = made(fires), made(ends)
    assert (began.status, began.severity, over.status) == (Status.FIRING, Severity.WARNING, Status.RESOLVED)
    assert began.fingerprint == over.fingerprint
    assert thing in began.title
    assert began.kind == event("vercel", {"id": "x", "type": began.kind, "payload": payload}).kind


def test_a_certificate_that_was_renewed_is_named_by_itself():
    """Given a success, which holds the certificate in place of `dnsNames` → the end of the failure of these names."""
    failed, renewed = (
        event("vercel", {"id": kind, "type": kind, "payload": payload})
        for kind, payload in (
            ("domain.certificate-renew-failed", {"dnsNames": ["b.example", "a.example"]}),
            ("domain.certificate-renew", {"cert": {"id": "cert_1", "cns": ["a.example", "b.example"]}}),
        )
    )
    assert failed.fingerprint == renewed.fingerprint


def test_an_anomaly_is_told_once():
    """Anomalies go by their group: more of the same is the same alert."""
    more = changed(ANOMALY, id="evt_2", createdAt=1_790_000_999_000)
    assert event("vercel", more).fingerprint == event("vercel", ANOMALY).fingerprint
    assert (
        event("vercel", changed(ANOMALY, payload__groupId="other")).fingerprint != event("vercel", ANOMALY).fingerprint
    )


OTHERS = [
    ("observability.error-anomaly", "firing"),
    ("observability.usage-anomaly", "firing"),
    ("firewall.attack", "firing"),
    ("alerts.triggered", "firing"),
    ("alerts.resolved", "resolved"),
    ("project.created", "info"),
    ("test-webhook", "info"),
    ("brand.new", "info"),
]


@pytest.mark.parametrize(("kind", "status"), OTHERS)
def test_other_types(kind, status):
    """Anomalies and attacks fire; whatever else Vercel tells is information."""
    assert event("vercel", {"id": "e", "type": kind, "payload": {"projectId": "p"}}).status.value == status


def test_times_are_milliseconds():
    """`createdAt` is milliseconds since 1970, as number or text."""
    for value in (1_790_000_000_000, "1790000000000"):
        assert event("vercel", {**ERROR, "createdAt": value}).occurred_at.timestamp() == 1_790_000_000


@pytest.mark.parametrize("nothing", [None, "", "null", [], {}, 5])
def test_whatever_is_missing(nothing):
    """Any part may be missing or of another type; an event with a title is left."""
    for path in (
        "payload",
        "payload__deployment",
        "payload__project",
        "payload__links",
        "payload__target",
        "type",
        "id",
    ):
        found = event("vercel", changed(ERROR, **{path: nothing}))
        assert (found.title and found.url is None) or found.url.startswith("https://")
        assert isinstance(found.status, Status)


@pytest.mark.parametrize("given", [b"", b"[]", b"null", b"{"])
def test_what_is_no_object_says_so(given):
    """The body is parked with a reason."""
    with pytest.raises(ParseError):
        events("vercel", given)


def test_a_budget_is_one_by_its_team():
    """Given a budget whose name only one of two webhooks has → the reset ends what was reached."""
    reached = event(
        "vercel", {"id": "1", "type": "budget.reached", "payload": {"teamId": "t", "budget": {"name": "m"}}}
    )
    reset = event("vercel", {"id": "2", "type": "budget.reset", "payload": {"teamId": "t"}})
    assert reached.fingerprint == reset.fingerprint
    assert (reached.status, reset.status) == (Status.FIRING, Status.RESOLVED)


def test_an_anomaly_names_its_project_once_and_only_what_was_measured():
    """Given a title with the project and an alert without a metric → neither is said twice or with blanks."""
    alert = {"alertId": "a", "title": "Error anomaly in shop", "count": 100, "average": 3}
    found = event(
        "vercel", {"id": "1", "type": "alerts.triggered", "payload": {"projectSlug": "shop", "alerts": [alert]}}
    )
    assert (found.title, found.summary) == ("Error anomaly in shop", "")
    alert |= {"metric": "errors", "unit": "requests"}
    found = event(
        "vercel", {"id": "1", "type": "alerts.triggered", "payload": {"projectSlug": "web", "alerts": [alert]}}
    )
    assert (found.title, found.summary) == ("Error anomaly in shop in web", "errors: 100 requests, usually 3")
