"""Lambda entry points: AWS event in, one call out. No decisions.

Every function loads this file, so its top imports only what the ingest path needs; everything else is imported in the
body of the handler that needs it.
"""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

from chalice.app import Chalice, CloudWatchEvent, MethodNotAllowedError, Rate, Response, SNSEvent, SQSEvent

from chalicelib import log
from chalicelib.core.errors import TocsinError
from chalicelib.ingest import http_api
from chalicelib.ingest.receive import RETRY_AFTER_SECONDS, HttpResponse, as_form
from chalicelib.ingest.wiring import answer
from chalicelib.settings import queue_prefix

if TYPE_CHECKING:
    from chalicelib.messages.queue import Message

QUEUES = queue_prefix()
ANY_TYPE = ["*/*"]
"""Chalice lets every content type through; `receive` answers 415 itself, to dialects of JSON as well."""
AWS_ERRORS = ("ClientError", "ConnectionError", "HTTPClientError")
"""Of botocore: refusals, and connections that fail. Its other errors are mistakes in the code."""


BEAT_METHODS = ["GET", "HEAD", "POST"]
TOKEN_REQUESTS = ("list_tokens", "make_token", "revoke_token")
"""What only an admin may ask for."""
WEBHOOK_METHODS = ["GET", "POST"]
"""A declared source may put its fields into the query of a GET."""


class Api(Chalice):
    """Chalice's application, for requests of an HTTP API as well as of a REST API."""

    def __call__(self, event: Any, context: Any) -> dict[str, Any]:
        """Answer one request."""
        if not http_api.is_of_http_api(event):
            return dict(super().__call__(event, context))
        request = http_api.as_rest(event, self.routes)
        return http_api.not_found() if request is None else http_api.as_answer(super().__call__(request, context))


app = Api(app_name=QUEUES)
"""Chalice names a REST API so. CloudWatch distinguishes the REST APIs of two stages in one account by their names only."""


class HandlerError(TocsinError):
    """A worker failed and its message comes back. The text holds no word of the payload, unlike the error's own."""


@app.route("/webhooks/{source}", methods=WEBHOOK_METHODS, content_types=ANY_TYPE)
def receive_webhook(source: str) -> Response:
    """Receive a webhook that proves itself by a header."""
    return _received(source, None)


@app.route("/webhooks/{source}/{secret}", methods=WEBHOOK_METHODS, content_types=ANY_TYPE)
def receive_webhook_by_path(source: str, secret: str) -> Response:
    """Receive a webhook of a sender that can only be given an address: the secret is part of it."""
    return _received(source, secret)


@app.route("/api/v2/alerts", methods=["POST"], content_types=ANY_TYPE)
def receive_alerts() -> Response:
    """Receive alerts in the form of Alertmanager's API v2: of Prometheus, Grafana, vmalert, `amtool` and others."""
    from chalicelib.ingest.alerts_wiring import answer_alerts

    request: Any = app.current_request
    account = _account(app.lambda_context)
    return _answered(
        "alertmanager",
        lambda: answer_alerts(dict(request.headers), request.raw_body, account=account, now=_now()),
    )


@app.route("/api/v2/alerts", methods=["GET"])
def list_alerts_as_alertmanager() -> Response:
    """List the alerts that fire, for Alertmanager's clients."""
    return _asked_as_alertmanager("get_alerts")


@app.route("/api/v2/alerts/groups", methods=["GET"])
def list_groups_as_alertmanager() -> Response:
    """Open incidents, as Alertmanager's groups."""
    return _asked_as_alertmanager("get_groups")


@app.route("/api/v2/silences", methods=["GET", "POST"], content_types=ANY_TYPE)
def silences_as_alertmanager() -> Response:
    """List all silences, or make one, for Alertmanager's clients."""
    return _asked_as_alertmanager({"GET": "get_silences", "POST": "post_silence"}[_method()])


@app.route("/api/v2/silence/{id}", methods=["GET", "DELETE"], content_types=ANY_TYPE)
def silence_as_alertmanager(id: str) -> Response:
    """Show or end one silence, for Alertmanager's clients."""
    return _asked_as_alertmanager({"GET": "get_silence", "DELETE": "delete_silence"}[_method()], id=id)


@app.route("/api/v2/status", methods=["GET"])
def status_as_alertmanager() -> Response:
    """Return the version and the rules in Alertmanager's form."""
    return _asked_as_alertmanager("get_status")


@app.route("/api/v2/receivers", methods=["GET"])
def receivers_as_alertmanager() -> Response:
    """Return the routes, as Alertmanager's receivers."""
    return _asked_as_alertmanager("get_receivers")


@app.route("/heartbeats/{name}/{token}", methods=BEAT_METHODS, content_types=ANY_TYPE)
def receive_beat(name: str, token: str) -> Response:
    """Receive the success of a heartbeat."""
    return _beat(name, token, "")


@app.route("/heartbeats/{name}/{token}/{word}", methods=BEAT_METHODS, content_types=ANY_TYPE)
def receive_beat_with_word(name: str, token: str, word: str) -> Response:
    """Receive the start, failure, log or exit code of a heartbeat's run."""
    return _beat(name, token, word)


@app.route("/slack/actions", methods=["POST"], content_types=ANY_TYPE)
@app.route("/slack/commands", methods=["POST"], content_types=ANY_TYPE)
def receive_from_slack() -> Response:
    """Receive a button, a menu, a form, or `/tocsin`. Slack gives three seconds, a cold start included."""
    from chalicelib.slack.wiring import answer as answer_slack

    request: Any = app.current_request
    account = _account(app.lambda_context)
    return _answered(
        "slack", lambda: answer_slack(dict(request.headers), request.raw_body, account=account, now=_now())
    )


@app.route("/health", methods=["GET"])
def health() -> dict[str, str]:
    """Answer that the function runs at all; touch nothing else."""
    return {"status": "ok", "stage": os.environ.get("TOCSIN_STAGE", "")}


@app.route("/metrics", methods=["GET"])
def metrics() -> Response:
    """Return the metrics of the stage, for Prometheus."""
    from chalicelib.openmetrics.wiring import answer as answer_scrape

    request: Any = app.current_request
    address = str((request.context.get("identity") or {}).get("sourceIp") or "")
    account = _account(app.lambda_context)
    return _answered(
        "metrics", lambda: answer_scrape(dict(request.headers), account=account, address=address, now=_now())
    )


@app.route("/api/incidents", methods=["GET"])
def list_incidents() -> Response:
    """Open incidents, and ended ones if asked for."""
    return _asked("list_incidents")


@app.route("/api/incidents/{id}", methods=["GET"])
def show_incident(id: str) -> Response:
    """Show one incident with its timeline."""
    return _asked("show_incident", id=id)


@app.route("/api/incidents/{id}/{act}", methods=["POST"], content_types=ANY_TYPE)
def act_on_incident(id: str, act: str) -> Response:
    """Acknowledge, unacknowledge, resolve, note, assign."""
    return _asked("act", id=id, act=act)


@app.route("/api/alerts", methods=["GET"])
def list_alerts() -> Response:
    """List pending and firing alerts."""
    return _asked("list_alerts")


@app.route("/api/history", methods=["GET"])
def history() -> Response:
    """Return what was recorded of a day, an item at a time."""
    return _asked("list_history")


@app.route("/api/who", methods=["GET"])
def who() -> Response:
    """Return who is notified of a service or an incident."""
    return _asked("who")


@app.route("/api/silences", methods=["GET", "POST"], content_types=ANY_TYPE)
def silences() -> Response:
    """List all silences, or make one."""
    return _asked({"GET": "list_silences", "POST": "make_silence"}[_method()])


@app.route("/api/silences/{id}", methods=["GET", "PUT", "DELETE"], content_types=ANY_TYPE)
def silence(id: str) -> Response:
    """Show, edit or end one silence."""
    return _asked({"GET": "show_silence", "PUT": "edit_silence", "DELETE": "end_silence"}[_method()], id=id)


@app.route("/api/login", methods=["POST"], content_types=ANY_TYPE)
def make_login_link() -> Response:
    """Make a one-time link to the page, for whoever holds a token."""
    return _asked("make_login_link")


@app.route("/api/openapi.json", methods=["GET"])
def openapi() -> Response:
    """Return the API as an OpenAPI document."""
    return _asked("show_openapi")


@app.route("/api/tokens", methods=["GET", "POST"], content_types=ANY_TYPE)
def tokens() -> Response:
    """List all named tokens, or make one."""
    return _asked({"GET": "list_tokens", "POST": "make_token"}[_method()])


@app.route("/api/tokens/{id}", methods=["DELETE"], content_types=ANY_TYPE)
def token(id: str) -> Response:
    """Revoke a named token."""
    return _asked("revoke_token", id=id)


@app.route("/", methods=["GET"])
@app.route("/incident/{id}", methods=["GET", "POST"], content_types=ANY_TYPE)
@app.route("/errors", methods=["GET"])
@app.route("/infrastructure", methods=["GET"])
@app.route("/performance", methods=["GET"])
@app.route("/uptime", methods=["GET"])
@app.route("/login", methods=["GET", "POST"], content_types=ANY_TYPE)
@app.route("/login/{code}", methods=["GET"])
@app.route("/oidc", methods=["GET"])
@app.route("/oidc/callback", methods=["GET"])
@app.route("/logout", methods=["POST"], content_types=ANY_TYPE)
@app.route("/assets/{name}", methods=["GET"])
@app.route("/silences", methods=["GET", "POST"], content_types=ANY_TYPE)
@app.route("/rules", methods=["GET"])
@app.route("/profile", methods=["GET", "POST"], content_types=ANY_TYPE)
@app.route("/router", methods=["GET", "POST"], content_types=ANY_TYPE)
def page(**names: str) -> Response:
    """Serve the page, for people with a browser."""
    from chalicelib.web.wiring import answer as answer_browser

    request: Any = app.current_request
    try:
        found = answer_browser(request, names, account=_account(app.lambda_context), now=_now())
    except Exception as error:
        log.line("page", path=request.context["resourcePath"], status=503, **log.failure(error))
        return Response(
            "Something failed here. Load the page again.",
            headers={"Content-Type": "text/plain; charset=utf-8", "Retry-After": str(RETRY_AFTER_SECONDS)},
            status_code=503,
        )
    log.line("page", path=request.context["resourcePath"], status=found.status)
    headers: dict[str, Any] = {**found.headers}
    if found.cookies:
        headers["Set-Cookie"] = list(found.cookies)
    return Response(found.body, headers=headers, status_code=found.status)


@app.on_sqs_message(queue=f"{QUEUES}-webhooks", batch_size=10)
def process_webhooks(event: SQSEvent) -> None:
    """Work on a batch of webhooks, samples, events and wake-ups."""
    with _worked("process", event, "webhooks") as messages:
        from functools import partial

        from chalicelib import wiring
        from chalicelib.aws.batches import settle_messages
        from chalicelib.process.bodies import release_bodies
        from chalicelib.process.noticed import Noticed
        from chalicelib.process.own_counts import count_batch
        from chalicelib.process.record import Recorder
        from chalicelib.process.worker import process

        ports = wiring.ports(_account(event.context))
        now = _now()
        recorder, noticed = Recorder(ports.store, now), Noticed()

        def read(content: object) -> None:
            recorder.add(content)
            noticed.add(content)

        failures = process(
            messages,
            rules=wiring.rules(),
            store=ports.store,
            queues=ports.queues,
            now=now,
            on_read=read,
            rates=wiring.rates(),
        )
        count_batch(recorder.tally, messages, failures, _now())
        recorder.put(history=ports.history, webhooks=ports.webhooks)
        noticed.put(ports.webhooks, now)
        settle_messages(
            messages,
            failures,
            queue=ports.webhooks,
            dead=ports.webhooks_dead,
            finish=partial(release_bodies, ports.store),
        )
        _ended_well(ports.store, "process_webhooks")


@app.on_sqs_message(queue=f"{QUEUES}-counts", batch_size=1000, maximum_batching_window_in_seconds=3)
def process_counts(event: SQSEvent) -> None:
    """Work on a batch of events that only count, which `process_webhooks` put aside."""
    with _worked("count", event, "counts") as messages:
        from chalicelib import wiring
        from chalicelib.aws.batches import settle_messages
        from chalicelib.process import worker

        ports = wiring.ports(_account(event.context))
        failures = worker.process_counts(
            messages, rules=wiring.rules(), store=ports.store, queues=ports.queues, now=_now()
        )
        settle_messages(messages, failures, queue=ports.counts, dead=ports.counts_dead)
        _ended_well(ports.store, "process_counts")


@app.on_sqs_message(queue=f"{QUEUES}-notifications", batch_size=1)
def deliver_notification(event: SQSEvent) -> None:
    """Deliver one notification to one target, what one person asked for in Slack, or what SES reports of one mail."""
    with _worked("deliver", event, "notifications") as (message,):
        from chalicelib import parameters, wiring
        from chalicelib.aws.batches import settle_messages
        from chalicelib.deliver.dispatch import dispatch
        from chalicelib.messages.queue import Failure
        from chalicelib.process.own_counts import put_delivery_counts

        ports = wiring.ports(_account(event.context), parameters.of_deliveries)
        outcome = dispatch(
            message,
            rules=wiring.rules(),
            store=ports.store,
            queues=ports.queues,
            clients=ports.clients,
            now=_now(),
        )
        again = None if outcome.retry_after is None else outcome.retry_after.total_seconds()
        log.line(
            "deliver",
            delivered=outcome.delivered,
            note=outcome.note,
            dead_lettered=outcome.dead_lettered,
            again_in_seconds=again,
        )
        if outcome.retry_after is not None:
            # A new message, then done with this one: to be early is no error, with partial batch answers on or off.
            ports.notifications.put([message.body], delay=outcome.retry_after)
        dead_lettered = [Failure(message.id, outcome.dead_lettered, dead_letter=True)] if outcome.dead_lettered else []
        settle_messages([message], dead_lettered, queue=ports.notifications, dead=ports.notifications_dead)
        put_delivery_counts(outcome, ports.history, _now())
        _ended_well(ports.store, "deliver_notification")


@app.on_sns_message(topic=f"{QUEUES}-feedback")
def mail_feedback(event: SNSEvent) -> None:
    """Put what SES publishes about a mail on a queue at once: Lambda drops an SNS message after three failed tries."""
    with _reported("feedback"):
        from chalicelib import wiring
        from chalicelib.messages.queue import feedback_message

        wiring.notifications(_account(event.context)).put([feedback_message(event.message)])
        log.line("feedback", queued=True)


@app.schedule(Rate(1, unit=Rate.MINUTES))
def tick(event: CloudWatchEvent) -> None:
    """Run the timers that are due."""
    with _reported("tick"):
        from chalicelib import wiring
        from chalicelib.schedule.health import DEAD_LETTERS, look
        from chalicelib.schedule.lateness import NAMESPACE, Lateness
        from chalicelib.schedule.open_counts import count_open
        from chalicelib.schedule.reporting import leave_report
        from chalicelib.schedule.tick import tick as run

        ports, now = wiring.ports(_account(event.context)), _now()
        late = Lateness()
        for failure in run(
            rules=wiring.rules(), store=ports.store, queues=ports.queues, now=now, on_overdue=late.overdue
        ):
            log.line("tick", again=True, reason=failure.reason)
        seconds = late.seconds(rules=wiring.rules(), store=ports.store, now=now)
        health = look(store=ports.store, queues=ports.emptied, dead=ports.dead, now=now)
        count_open(ports.store, ports.webhooks, now, dead=int(health.counts[DEAD_LETTERS]))
        stage = os.environ.get("TOCSIN_STAGE", "")
        metrics = {**seconds, **health.seconds}
        log.metrics("tick", metrics, health.counts, namespace=NAMESPACE, deployed=stage, now=now, **health.named)
        leave_report(rules=wiring.rules(), store=ports.store, health=health, seconds=seconds, now=now)


@app.schedule(Rate(5, unit=Rate.MINUTES))
def record(event: CloudWatchEvent) -> None:
    """Move what happened from its queue into the table."""
    with _reported("record"):
        from chalicelib import wiring
        from chalicelib.process.record import record as run

        ports = wiring.ports(_account(event.context))
        log.line("record", lines=run(ports.history, store=ports.store, dead=ports.history_dead, now=_now()))
        _ended_well(ports.store, "record")


@app.schedule(Rate(1, unit=Rate.MINUTES))
def watch(event: CloudWatchEvent) -> str | None:
    """Run the probes that are due; the one wait there is lies between a failed probe and its second try.

    A run that has too many asks this function for the rest: then the event has a share of them, which is answered.
    """
    with _reported("watch"):
        from asyncio import sleep

        from chalicelib import parameters, wiring
        from chalicelib.aws.workers import Workers
        from chalicelib.schedule.spreading import try_share
        from chalicelib.schedule.watch import watch as run

        ports = wiring.ports(_account(event.context), parameters.of_probes)
        if event.detail:
            return try_share(event.detail, rules=wiring.rules(), clients=ports.clients, pause=sleep)
        report = run(
            rules=wiring.rules(),
            store=ports.store,
            clients=ports.clients,
            queues=ports.queues,
            now=_now(),
            pause=sleep,
            workers=lambda: Workers(ports.clients.aws("lambda"), _function(event.context)).ask,
        )
        log.line("watch", ran=report.ran, down=len(report.down), broken=len(report.broken))
        _ended_well(ports.store, "watch")
        return None


@app.schedule(Rate(5, unit=Rate.MINUTES))
def repair(event: CloudWatchEvent) -> None:
    """Ask senders for what webhooks missed, and report sources that are quiet or refused."""
    with _reported("repair"):
        from chalicelib import parameters, wiring
        from chalicelib.schedule.reconcile import repair as run

        ports = wiring.ports(_account(event.context), parameters.of_histories)
        report = run(rules=wiring.rules(), store=ports.store, queues=ports.queues, clients=ports.clients, now=_now())
        log.line("repair", missed=report.missed, troubles=sorted(" ".join(each) for each in report.troubles))
        _ended_well(ports.store, "repair")


def _received(source: str, secret: str | None) -> Response:
    """Answer one webhook."""
    request: Any = app.current_request
    account = _account(app.lambda_context)
    headers, body = _sent(request)
    if source == "sns":
        return _answered(source, lambda: _answer_to_sns(headers, body, account))
    address = str((request.context.get("identity") or {}).get("sourceIp") or "")
    return _answered(
        source,
        lambda: answer(
            source,
            headers,
            body,
            path_secret=secret,
            account=account,
            now=_now(),
            address=address,
        ),
    )


def _sent(request: Any) -> tuple[dict[str, str], bytes]:
    """Return the headers and the body of a webhook. The query of a GET is a form; without one there is nothing to take."""
    if request.method != "GET":
        return dict(request.headers), request.raw_body
    if not request.query_params:
        raise MethodNotAllowedError("Unsupported method: GET")
    return as_form(request.headers, {name: request.query_params.getlist(name) for name in request.query_params})


def _answer_to_sns(headers: dict[str, str], body: bytes, account: str | None) -> HttpResponse:
    """Answer SNS, whose door loads what checks signatures: no other sender waits for that."""
    from chalicelib.ingest import sns

    return sns.answer(headers, body, account=account, now=_now())


def _answered(source: str, find: Callable[[], HttpResponse]) -> Response:
    """Return the answer that is found; a failure of our own is a 503, so that the sender tries again."""
    try:
        found = find()
    except Exception as error:
        log.line("receive", source=source[:40], status=503, **log.failure(error))
        return Response(
            {"error": "something failed here; try again"},
            headers={"Retry-After": str(RETRY_AFTER_SECONDS)},
            status_code=503,
        )
    log.line("receive", source=source[:40], status=found.status, reason=found.reason)
    body = found.body if isinstance(found.body, str) else dict(found.body) or ""
    return Response(body, headers={**found.headers}, status_code=found.status)


def _beat(name: str, token: str, word: str) -> Response:
    """Answer one signal of a heartbeat."""
    from chalicelib.ingest.heartbeats_wiring import answer_beat

    request: Any = app.current_request
    account = _account(app.lambda_context)
    run = str((request.query_params or {}).get("rid") or "")
    body = request.raw_body if request.method == "POST" else b""
    return _answered("heartbeat", lambda: answer_beat(name, token, word, run, body, account=account, now=_now()))


def _method() -> str:
    request: Any = app.current_request
    return str(request.method)


def _asked(what: str, **names: str) -> Response:
    """Answer one request to the API: a caller with a token gets every error in words."""
    from chalicelib.api import problems
    from chalicelib.core.errors import RequestError

    body: dict[str, Any]
    try:
        reply = _api(_own_answer, what, names)
        status, body = reply.status, dict(reply.body)
        if status >= 400:
            body = problems.of_refusal(status, body)
    except RequestError as error:
        status, body = error.status, problems.of_error(error)
    except Exception as error:
        log.line("api", what=what, failed=True, **log.failure(error))
        status, body = 503, problems.failed()
    log.line("api", what=what, status=status)
    headers = _api_headers(status) | ({"Content-Type": problems.CONTENT_TYPE} if status >= 400 else {})
    return Response(body, headers=headers, status_code=status)


def _asked_as_alertmanager(what: str, **names: str) -> Response:
    """Answer one request to Alertmanager's API v2. An error is a JSON text."""
    from chalicelib.api import problems
    from chalicelib.core.errors import RequestError

    total = None
    try:
        answer = _api(_alertmanager_answer, what, names, basic=True)
        status, total = answer.status, answer.total
        body = "" if answer.body is None else json.dumps(answer.body)
    except RequestError as error:
        status, body = problems.of_alertmanager(error)
    except Exception as error:
        log.line("api", what=what, failed=True, **log.failure(error))
        status, body = 503, json.dumps(problems.FAILED)
    log.line("api", what=what, status=status)
    cut = {} if total is None else {"Tocsin-Total": str(total)}
    headers = {**_api_headers(status), **cut, "Content-Type": "application/json"}
    return Response(body, headers=headers, status_code=status)


def _api_headers(status: int) -> dict[str, Any]:
    """Return the headers of an answer of either API."""
    from chalicelib.api.access import WRONG_KEPT

    headers: dict[str, Any] = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
    if status == 503:
        headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
    elif status == 429:
        headers["Retry-After"] = str(int(WRONG_KEPT.total_seconds()))
    return headers


def _own_answer(what: str) -> Callable[..., Any]:
    """Return what answers a request of the API."""
    if what in TOKEN_REQUESTS:
        from chalicelib.api import tokens

        return cast(Callable[..., Any], getattr(tokens, what))
    if what == "show_openapi":
        from chalicelib.api import openapi

        return openapi.show_openapi
    from chalicelib.api import routes

    return cast(Callable[..., Any], getattr(routes, what))


def _alertmanager_answer(what: str) -> Callable[..., Any]:
    """Return what answers a request of Alertmanager's API v2."""
    from chalicelib.api import alertmanager_v2

    return cast(Callable[..., Any], getattr(alertmanager_v2, what))


def _api(find: Callable[[str], Callable[..., Any]], what: str, names: dict[str, str], *, basic: bool = False) -> Any:
    """Return the reply to a request whose token may do it; `find` loads what answers it."""
    from chalicelib.api.admission import admit
    from chalicelib.ingest.wiring import ports as ingest_ports

    def store() -> Any:
        from chalicelib import wiring

        return wiring.ports(account).store

    request: Any = app.current_request
    account = _account(app.lambda_context)
    address = str((request.context.get("identity") or {}).get("sourceIp", ""))
    headers, secrets = dict(request.headers), ingest_ports(account).secrets
    sender = admit(
        headers,
        secrets,
        store=store,
        address=address,
        now=_now(),
        writes=request.method != "GET",
        basic=basic,
    )
    return _admitted(find, what, names, sender)


def _admitted(find: Callable[[str], Callable[..., Any]], what: str, names: dict[str, str], sender: Any) -> Any:
    """Return the reply to a request of a known sender whose role allows it."""
    from chalicelib import wiring
    from chalicelib.api import routes
    from chalicelib.core.access import Role
    from chalicelib.core.sign_in import KEY

    request: Any = app.current_request
    account = _account(app.lambda_context)
    changes = request.method != "GET"
    ports = wiring.ports(account)
    office = routes.ApiContext(
        store=ports.store,
        webhooks=ports.webhooks,
        rules=wiring.rules(),
        now=_now(),
        session_keys=lambda: ports.secrets.values((KEY,)),
    )
    query = request.query_params
    asked = routes.Request(
        query={name: query.getlist(name) for name in query} if query else {},
        body=request.raw_body if changes else b"",
        holder=sender.name,
        most=sender.most,
        key=request.headers.get("idempotency-key", ""),
        content_type=request.headers.get("content-type", ""),
    )
    if what in TOKEN_REQUESTS:
        least = Role.ADMIN
    else:
        least = Role.RESPONDER if changes and what != "make_login_link" else Role.VIEWER
    routes.check_role(office, asked, least)
    return find(what)(office, asked, **names)


@contextmanager
def _worked(stage: str, event: SQSEvent, queue: str) -> Iterator[list["Message"]]:
    """Yield the messages of a queue that an event holds. When the worker fails, they come back soon."""
    with _reported(stage):
        from chalicelib import wiring
        from chalicelib.aws.batches import back_soon, messages_of

        messages = messages_of(event.to_dict()["Records"])
        with back_soon(messages, lambda: wiring.queue(_account(event.context), queue)):
            yield messages


@contextmanager
def _reported(stage: str) -> Iterator[None]:
    """Turn whatever a worker raises into one log line and an error whose text is safe for Lambda to print."""
    try:
        yield
    except Exception as error:
        log.line(stage, failed=True, **log.failure(error))
        if not isinstance(error, TocsinError) and not _is_of_aws(error):
            _to_sentry(error)
        failure = log.failure(error)
        text = f"{stage}: {failure['error']} at {failure['at']}" + (
            f": {failure['reason']}" if "reason" in failure else ""
        )
    else:
        return
    raise HandlerError(text) from None


def _ended_well(store: Any, function: str) -> None:
    """Mark that a run ended well: the tick reports a function that has not had one for too long."""
    from chalicelib.schedule.runs import run_marks

    run_marks().mark(store, function, _now())


def _to_sentry(error: BaseException) -> None:
    """Report faults in the code only: what AWS or a target did is in the log and comes back by itself."""
    dsn = os.environ.get("SENTRY_DSN")
    if dsn:
        from chalicelib import telemetry

        telemetry.capture(error, dsn, os.environ.get("TOCSIN_STAGE", ""))


def _is_of_aws(error: BaseException) -> bool:
    """Return whether AWS refused or did not answer a call of boto3, by the names of its errors: the ingest path never loads them."""
    names = {(each.__module__, each.__name__) for each in type(error).__mro__}
    return not names.isdisjoint(("botocore.exceptions", name) for name in AWS_ERRORS)


def _account(context: Any) -> str | None:
    """Return the AWS account of `arn:<partition>:lambda:<region>:<account>:function:<name>`."""
    parts = _function(context).split(":")
    return parts[4] if len(parts) > 4 and parts[4].isdigit() else None


def _function(context: Any) -> str:
    """Return the ARN by which the function that runs was called."""
    return str(getattr(context, "invoked_function_arn", ""))


def _now() -> datetime:
    return datetime.now(UTC)
