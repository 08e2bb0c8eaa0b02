"""What `tocsin doctor` looks at: each check is a function of a stage that yields findings.

A check never changes anything, and one that cannot be made is a finding of its own.
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from chalicelib import plugins, redact
from chalicelib.core import openid
from chalicelib.core.delivery.request_template import secrets_in
from chalicelib.core.delivery.target_state import TargetState
from chalicelib.core.delivery.writing import one_line
from chalicelib.core.errors import RequestError, RulesError, TocsinError
from chalicelib.core.language.durations import duration_of
from chalicelib.core.routing import all_targets
from chalicelib.core.rule import Target
from chalicelib.core.sign_in import PAGE_URL
from chalicelib.process.rules_digest import rules_digest
from chalicelib.slack.membership import GUESTS, TEAMS, teams_of, unreadable
from chalicelib.slack.vendors import slack as slack_target
from chalicelib.sources import generic
from chalicelib.targets import checked_module_for
from chalicelib.web.openid_pages import BACK
from chalicelib.web.provider import Providers
from cli import checkup_aws as aws
from cli import checkup_mail as mail
from cli.finding import DEPLOY, OK, WARNING, WRONG, Check, Finding, log_lines, parameter_path
from cli.stage import Stage
from deploy.policies import retention_days

SILENCE = timedelta(days=7)
"""A sender that is set up and has sent nothing for so long has perhaps been switched off."""
SMOKE_SOURCE = "sentry"
"""Whose webhook a deploy sends to the stage (deploy/smoke.py)."""
DURATIONS = ("DELIVERY_MAX_AGE", "TARGET_GRACE")


def findings(stage: Stage, checks: Mapping[str, Check] | None = None) -> Iterator[tuple[str, Finding]]:
    """Yield every finding with the name of its check."""
    for name, check in (CHECKS if checks is None else checks).items():
        try:
            yield from ((name, found) for found in check(stage))
        except (ClientError, BotoCoreError, TocsinError) as error:
            yield (
                name,
                Finding(
                    WRONG,
                    f"could not be checked: {one_line(str(error))}",
                    "your keys may lack the right (deploy/operator-policy.json), or nothing is deployed yet",
                ),
            )


def deployed_rules(stage: Stage) -> Iterator[Finding]:
    """Yield the rules at work are those of this checkout, and nobody is left out of them."""
    digest = stage.store.context().marks.get("rules")
    if digest is None:
        yield Finding(WARNING, "no tick has run yet", "it runs each minute once the stage is deployed")
    elif digest != rules_digest(stage.rules):
        yield Finding(
            WARNING, "other rules are at work than those of this checkout", DEPLOY.format(stage=stage.settings.stage)
        )
    else:
        yield Finding(OK, f"the rules of this checkout are at work: {len(stage.rules.rules)} of them")
    fallback = {target.key for target in stage.rules.fallback.targets}
    if not fallback:
        yield Finding(
            WARNING, "nobody is notified of what could not be delivered", "name a `fallback:` in alert-rules.yaml"
        )
    elif fallback >= {target.key for target in all_targets(stage.rules)}:
        yield Finding(WARNING, "the fallback is the only target", "name another kind of target as the fallback")


# ---------------------------------------------------------------------------------------------------------------------
# Secrets and senders


def secrets(stage: Stage) -> Iterator[Finding]:
    """Yield what the targets of the rules need; and whether settings can be read."""
    for target in all_targets(stage.rules):
        yield from _target_secret(stage, target)
    for name in DURATIONS:
        text = stage.clients.setting(name)
        try:
            duration_of(text or 0)
        except ValueError as error:
            yield Finding(
                WRONG, f"{name}: {error}; the default holds", f"write it anew to {parameter_path(stage, name)}"
            )
    try:
        redact.compiled(stage.clients.setting(redact.ENVIRONMENT) or "")
    except RulesError as error:
        yield Finding(
            WRONG, f"{error}; every worker stops at it", f"write {parameter_path(stage, redact.ENVIRONMENT)} anew"
        )
    if not stage.clients.setting("RUNBOOK_BASE_URL"):
        yield Finding(WARNING, "messages cannot link runbook pages", f"set {parameter_path(stage, 'RUNBOOK_BASE_URL')}")


def people(stage: Stage) -> Iterator[Finding]:
    """Yield whether what people do by the API is done in their own names."""
    live = [each.strip() for each in (stage.clients.secret("API_TOKEN") or "").split(",") if each.strip()]
    named = sorted({each.rpartition(":")[0].strip() for each in live} - {""})
    if live and not named:
        advice = f"give each person one of their own: ana:<token>,ben:<token> in {parameter_path(stage, 'API_TOKEN')}"
        yield Finding(WARNING, "API_TOKEN holds shared tokens only: who has one acts by any name", advice)
    elif live:
        shared = sum(":" not in each for each in live)
        beside = f", beside {shared} shared" if shared else ""
        yield Finding(OK, f"API_TOKEN has named tokens of {len(named)}{beside}")


def provider(stage: Stage) -> Iterator[Finding]:
    """Yield whether people can sign in at the page by the provider, where one is set up."""
    names = (openid.ISSUER, openid.CLIENT_ID, openid.CLIENT_SECRET, PAGE_URL)
    values = {name: stage.clients.setting(name) for name in names}
    if not values[openid.ISSUER]:
        return
    if missing := [name for name, value in values.items() if not value]:
        yield Finding(
            WRONG,
            f"nobody can sign in by the provider: {missing[0]} is not set",
            f"set {parameter_path(stage, missing[0])}",
        )
        return
    try:
        Providers().of(values[openid.ISSUER], stage.clients.http, datetime.now(UTC))
    except RequestError as error:
        yield Finding(
            WRONG,
            f"{openid.ISSUER}: {error}",
            f"compare {parameter_path(stage, openid.ISSUER)} with its discovery document",
        )
        return
    if not (stage.clients.setting(openid.DOMAINS) or stage.rules.access.declared):
        advice = f"set {parameter_path(stage, openid.DOMAINS)}, or name people in `access:` of the rules file"
        yield Finding(
            WARNING, f"{openid.DOMAINS} is not set, and no entry names anybody: the provider signs nobody in", advice
        )
    yield Finding(OK, f"the provider answers; it leads back to {values[PAGE_URL].rstrip('/')}/{BACK}")


def _written_request(stage: Stage, target: Target, entry: Mapping[str, Any]) -> Iterator[Finding]:
    """Yield whether every secret is set that a request of the rules file needs."""
    for name in secrets_in(entry):
        if not (stage.clients.secret(name) or stage.clients.setting(name)):
            yield Finding(WRONG, f"{target.shown}: {name} is not set", f"set {parameter_path(stage, name)}")
            return
    yield Finding(OK, f"{target.shown}: its request is in the rules file, and its secrets are set")


def _target_secret(stage: Stage, target: Target) -> Iterator[Finding]:
    if target.kind == "webhook" and target.address in stage.rules.webhooks:
        yield from _written_request(stage, target, stage.rules.webhooks[target.address])
        return
    module = checked_module_for(target.kind)
    if module is not None:
        found = module.check_target(target, stage.clients)
        advice = f"set {parameter_path(stage, found.parameter)}" if found.parameter else found.advice
        yield Finding(found.state, found.text, advice)


def sources(stage: Stage) -> Iterator[Finding]:
    """Find whether senders whose secret is set send, and whether they are refused.

    The log of the receiving function says so, as far back as it goes.
    """
    days = min(SILENCE, timedelta(days=retention_days(stage.settings.stage)))
    for name in plugins.names("sources"):
        wanted = plugins.load_source(name).SECRETS
        if wanted and any(stage.clients.secret(each) for each in wanted):
            yield _source_finding(stage, name, days)


def _source_finding(stage: Stage, name: str, days: timedelta) -> Finding:
    now, period = datetime.now(UTC), "day" if days.days == 1 else f"{days.days} days"
    if not any(_receive_lines(stage, now - days, source=name, status=202)):
        what = f"no webhook of {name} was accepted in the last {period}"
        return Finding(WARNING, what, "send a test from there, or see whether it is on")
    if any(_receive_lines(stage, now - timedelta(days=1), source=name, status=401)):
        what = f"a webhook of {name} was refused in the last day"
        return Finding(WARNING, what, "somebody guesses, or its secret is another one now: then set both, with a comma")
    smoke = "; the smoke test of a deploy counts as one" if name == SMOKE_SOURCE else ""
    return Finding(OK, f"a webhook of {name} was accepted in the last {period}{smoke}")


def declared_sources(stage: Stage) -> Iterator[Finding]:
    """Find declared sources without their secret: whatever their sender posts is refused."""
    for entry in stage.rules.sources:
        for name in generic.secrets(entry):
            if not stage.clients.secret(name):
                what = f"{entry['name']}: {name} is not set, so its sender is refused"
                yield Finding(WRONG, what, f"tocsin secrets set {name} --stage {stage.settings.stage}")


def _receive_lines(stage: Stage, since: datetime, **wanted: Any) -> Iterator[Mapping[str, Any]]:
    """Yield such lines of the receiving function."""
    return log_lines(stage, "api_handler", since, {"stage": "receive", **wanted})


# ---------------------------------------------------------------------------------------------------------------------
# Targets


def targets(stage: Stage) -> Iterator[Finding]:
    """Yield what is known against a target: broken, failing, marked."""
    for target in all_targets(stage.rules):
        yield _target_finding(target.shown, stage.store.target_state(target.key))


def _target_finding(shown: str, target_state: TargetState) -> Finding:
    again = f"repair the target, then `tocsin send-test {shown}`"
    health = target_state.health
    if health.refusal:
        return Finding(WRONG, f"{shown}: nothing is sent there: {health.refusal}", again)
    if health.is_broken and health.failing_since:
        return Finding(WRONG, f"{shown}: broken since {health.failing_since:%Y-%m-%d %H:%M} UTC; it is probed", again)
    waiting = f", {len(target_state.slots)} deliveries pending" if target_state.slots else ""
    if health.failing_since:
        return Finding(WARNING, f"{shown}: failing since {health.failing_since:%Y-%m-%d %H:%M} UTC{waiting}", again)
    return Finding(OK, f"{shown}: nothing is known against it")


def slack(stage: Stage) -> Iterator[Finding]:
    """Look at token, scopes and channels, and whose people may act."""
    channels = [target.address for target in all_targets(stage.rules) if target.kind == "slack_channel"]
    if channels:
        for state, text in slack_target().check(stage.clients, channels):
            yield Finding(state, text)
        yield from _slack_people(stage)


def _slack_people(stage: Stage) -> Iterator[Finding]:
    """Yield whose people may press buttons: only the app's own workspace, unless settings name others."""
    said, guests = stage.clients.setting(TEAMS), stage.clients.setting(GUESTS).strip().lower()
    if wrong := unreadable(said):
        yield Finding(
            WRONG,
            f"{TEAMS}: {wrong[0][:40]!r} is no id of a workspace",
            f"write {parameter_path(stage, TEAMS)} as T0123,E0456",
        )
    if guests not in ("", "yes", "no"):
        yield Finding(
            WRONG,
            f"{GUESTS} is {guests[:40]!r}: guests are refused",
            f"write {parameter_path(stage, GUESTS)} as yes or no",
        )
    named = ", ".join(sorted(teams_of(said)))
    others = f"and of {named} ({TEAMS})" if named else f"only; {TEAMS} names others of shared channels"
    yield Finding(OK, f"Slack: people of the app's workspace act {others}")


CHECKS: Mapping[str, Check] = {
    "table": aws.table,
    "queues": aws.queues,
    "functions": aws.functions,
    "schedules": aws.schedules,
    "events": aws.events_of_aws,
    "alarms": aws.alarms,
    "logs": aws.logs,
    "sdk": aws.sdk,
    "rules": deployed_rules,
    "secrets": secrets,
    "people": people,
    "provider": provider,
    "sources": sources,
    "declared sources": declared_sources,
    "targets": targets,
    "slack": slack,
    "mail": mail.mail,
}
