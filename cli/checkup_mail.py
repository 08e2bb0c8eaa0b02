"""What `tocsin doctor` looks at in SES: the account, the sender, the way back of bounces, and each address."""

from collections.abc import Iterator, Mapping
from email.utils import parseaddr
from typing import Any

from chalicelib.core.routing import all_targets
from cli.finding import DEPLOY, OK, WARNING, WRONG, Finding, parameter_path
from cli.stage import Stage
from deploy.mail import MAIL_EVENTS

FALLBACK_IS_MAIL = "the fallback is mail too: when SES refuses mails, nobody is notified of it"


def mail(stage: Stage) -> Iterator[Finding]:
    """Yield the account, the sender, the way back, and each address."""
    addresses = [target.address for target in all_targets(stage.rules) if target.kind == "email"]
    if not addresses:
        return
    ses = stage.aws("sesv2")
    account = ses.get_account()
    yield from _account_findings(account)
    if {target.kind for target in stage.rules.fallback.targets} == {"email"}:
        yield Finding(WARNING, FALLBACK_IS_MAIL, "name a fallback of another kind in alert-rules.yaml")
    yield _sender_finding(ses, stage)
    yield _feedback_finding(ses, stage)
    for address in addresses:
        yield from _address_findings(ses, address, sandbox=not account.get("ProductionAccessEnabled"))


def _account_findings(account: Mapping[str, Any]) -> Iterator[Finding]:
    quota = account.get("SendQuota", {})
    sent, most = quota.get("SentLast24Hours", 0), quota.get("Max24HourSend", 0)
    if not account.get("SendingEnabled", True):
        yield Finding(WRONG, "SES: sending is paused for the account", "resume it in the SES console")
    if account.get("EnforcementStatus", "HEALTHY") != "HEALTHY":
        yield Finding(
            WARNING, f"SES: the account is under {account['EnforcementStatus'].lower()}", "see the SES console"
        )
    rate = f"{most:.0f} mails a day, {quota.get('MaxSendRate', 0):.0f} a second"
    if not account.get("ProductionAccessEnabled"):
        what = f"SES: the account is in the sandbox: only verified addresses get mail, {rate}"
        yield Finding(WARNING, what, "ask for production access")
    if most > 0 and sent > 0.8 * most:
        what = f"SES: {sent:.0f} of {most:.0f} mails of a day are used, {max(0, most - sent):.0f} are left"
        yield Finding(WARNING, what, "ask for a higher quota")
    left = f"; {max(0, most - sent):.0f} are left today" if sent > 0 and most > 0 else ""
    yield Finding(OK, f"SES: {rate}{left}")


def _sender_finding(ses: Any, stage: Stage) -> Finding:
    sender = parseaddr(stage.clients.setting("SES_FROM"))[1]
    if not sender:
        return Finding(WRONG, "SES_FROM is not set: no mail can be sent", f"set {parameter_path(stage, 'SES_FROM')}")
    if any(_is_verified(ses, each) for each in (sender, sender.rpartition("@")[2])):
        return Finding(OK, "SES: the sender is verified")
    return Finding(WRONG, "SES: neither SES_FROM nor its domain is verified", "verify one of them in SES")


def _is_verified(ses: Any, identity: str) -> bool:
    try:
        return bool(ses.get_email_identity(EmailIdentity=identity).get("VerifiedForSendingStatus"))
    except ses.exceptions.NotFoundException:
        return False


def _feedback_finding(ses: Any, stage: Stage) -> Finding:
    name, deploy = stage.clients.setting("SES_CONFIGURATION_SET"), DEPLOY.format(stage=stage.settings.stage)
    if not name:
        return Finding(WARNING, "SES: bounces are not reported: SES_CONFIGURATION_SET is not set", deploy)
    try:
        found = ses.get_configuration_set_event_destinations(ConfigurationSetName=name)["EventDestinations"]
    except ses.exceptions.NotFoundException:
        return Finding(WRONG, f"SES: there is no configuration set {name}: mails are refused", deploy)
    reported = {
        kind
        for each in found
        if each.get("Enabled") and "SnsDestination" in each
        for kind in each["MatchingEventTypes"]
    }
    topics = {each["SnsDestination"]["TopicArn"].rpartition(":")[2] for each in found if "SnsDestination" in each}
    if not reported.issuperset(MAIL_EVENTS):
        return Finding(WARNING, f"SES: {name} does not report bounces and complaints", deploy)
    return Finding(OK, f"SES: {name} publishes bounces and complaints to {' and '.join(sorted(topics))}")


def _address_findings(ses: Any, address: str, *, sandbox: bool) -> Iterator[Finding]:
    if sandbox and not any(_is_verified(ses, each) for each in (address, address.rpartition("@")[2])):
        yield Finding(WRONG, f"email:{address}: not verified, and the account is in the sandbox", "verify it in SES")
    try:
        found = ses.get_suppressed_destination(EmailAddress=address)["SuppressedDestination"]
    except ses.exceptions.NotFoundException:
        return
    reason = str(found.get("Reason", "")).lower()
    yield Finding(WRONG, f"email:{address}: on the account's suppression list ({reason})", "take it off in SES")
