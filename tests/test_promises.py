"""The promises, against whatever may happen in whatever order: deaths, refusals, doubles, late and shuffled delivery.

`Life` lets hypothesis choose. After each life everything ends and the clock runs on: then nothing may be left open, in
a queue or untold, and each target has heard of each incident a beginning, once, and its end, once. How long it looks for
counter-examples is set by TOCSIN_EXAMPLES (lives; 60 where it is not set).
"""

import os
from datetime import timedelta
from random import Random

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from chalicelib.core.delivery.notification import Reason
from chalicelib.core.errors import NotStoredError
from chalicelib.core.event import Status
from chalicelib.messages.queue import Message, Queues, events_messages, wake_message
from chalicelib.process.worker import process, process_counts
from simulation.memory_store import MemoryStore
from tests.fakes import Death, MemoryQueue
from tests.scenario import START, Router, event, rules_of

EXAMPLES = int(os.environ.get("TOCSIN_EXAMPLES", "60"))

FILE = """
defaults: {group_by: [alertname], group_wait: 10s, group_interval: 1m, repeat_interval: 20m, ack_timeout: 30m}
default: {notification: [{slack_channel: "#incidents"}, {webhook: ops}]}
fallback: {notification: [{email: late@example.com}]}
inhibit: [{cause: {alertname: Down}, symptom: {alertname: Slow}, equal: [service]}]
windows: {lunch: {from: "09:20", to: "09:40"}}
alerts:
  - {name: Errors, condition: "error_rate > 1%", severity: critical, for: 30s}
  - {name: Spike, match: {alertname: Error}, condition: "events[1m] > 2", severity: critical}
  - {name: Muted, match: {alertname: Noise}, mute: [lunch], notification: [{slack_channel: "#noise"}]}
"""
OTHER = FILE.replace("  - {name: Errors", "  - {name: Renamed").replace('"#noise"', '"#other"')
RULES = (rules_of(FILE), rules_of(OTHER))
NAMES = st.sampled_from(["Down", "Slow", "Disk", "Noise"])
SERVICES = st.sampled_from(["api", "web"])
SENDS = ("slack", "hook", "ses")


class Life(RuleBasedStateMachine):
    """One life of a router, by chance."""

    @initialize(seed=st.integers(0, 2**32))
    def begin(self, seed):
        """Messages come in an order drawn from the seed."""
        self.router = Router(RULES[0], chance=Random(seed))
        self.sent = []
        self.silences = 0
        self.redeploys = False
        self.router.run(seconds=1)

    @rule(name=NAMES, service=SERVICES, late=st.integers(0, 120))
    def fire(self, name, service, late):
        """A fault, told up to two minutes late."""
        at = max(START, self.router.now - timedelta(seconds=late))
        self.post(event(name, Status.FIRING, at, {"service": service}))

    @rule(name=NAMES, service=SERVICES, late=st.integers(0, 120))
    def resolve(self, name, service, late):
        """Its end, told up to two minutes late."""
        at = max(START, self.router.now - timedelta(seconds=late))
        self.post(event(name, Status.RESOLVED, at, {"service": service}))

    @rule(count=st.integers(1, 5), service=SERVICES)
    def errors(self, count, service):
        """Some errors, which a rule counts."""
        for number in range(count):
            at = self.router.now + timedelta(milliseconds=number)
            self.post(event("Error", Status.FIRING, at, {"service": service}))

    @rule(value=st.sampled_from([0.0, 0.5]), service=SERVICES)
    def measure(self, value, service):
        """A sample of a series with a threshold."""
        self.router.measure("error_rate", value, service=service)

    @precondition(lambda self: self.sent)
    @rule(data=st.data())
    def again(self, data):
        """Something that was delivered before is delivered again."""
        self.router.webhooks.put([data.draw(st.sampled_from(self.sent))])

    @rule(kind=st.sampled_from(["ack", "unack", "resolve"]), name=NAMES)
    def act(self, kind, name):
        """A person acts."""
        self.router.act(kind, alertname=name)

    @rule(name=NAMES, minutes=st.integers(1, 60), maintenance=st.booleans())
    def silence(self, name, minutes, maintenance):
        """A person silences, or holds back what is new."""
        self.silences += 1
        self.router.silence(f"s{self.silences}", minutes=minutes, maintenance=maintenance, alertname=name)

    @precondition(lambda self: self.silences)
    @rule(data=st.data())
    def unsilence(self, data):
        """A person ends a silence."""
        self.router.unsilence(f"s{data.draw(st.integers(1, self.silences))}")

    @rule(number=st.integers(0, 1))
    def redeploy(self, number):
        """Other rules, or the ones before."""
        self.router.rules = RULES[number]
        self.redeploys = True

    @rule(ahead=st.integers(0, 60), after=st.booleans(), error=st.sampled_from([Death, NotStoredError]))
    def fail(self, ahead, after, error):
        """One of the next calls fails."""
        sites = self.router.sites
        sites.at, sites.after, sites.error = len(sites.names) + ahead, after, error

    @rule(answer=st.sampled_from([{"status": 503}, {"status": 429, "retry_after": 20}, {"error": "internal_error"}]))
    def trouble(self, answer):
        """Slack has a trouble of its own, once."""
        self.router.inbox.answer("slack", "chat.postMessage", [answer])

    @rule(seconds=st.integers(0, 90))
    def wait(self, seconds):
        """A little time passes."""
        self.router.run(seconds=seconds)

    @rule(minutes=st.integers(2, 40))
    def sleep(self, minutes):
        """More time passes."""
        self.router.run(minutes=minutes)

    def post(self, told):
        """Events arrive, and are remembered."""
        self.sent += events_messages([told])
        self.router.webhooks.put(self.sent[-1:])

    def teardown(self):
        """Everything ends; then the promises must have been kept."""
        if not hasattr(self, "router"):
            return
        router = self.router
        router.sites.at = None
        router.run(minutes=5)
        for service in ("api", "web"):
            for name in ("Down", "Slow", "Disk", "Noise"):
                router.resolve(name, service=service)
            router.measure("error_rate", 0.0, service=service)
        router.run(minutes=90)
        router.close()
        self.check_nothing_is_left()
        for heard in self.heard().values():
            self.check_heard(heard)

    def check_nothing_is_left(self):
        """Promise 2, and the end of promise 4."""
        assert [(each.key, each.alerts) for each in self.router.store.incidents()] == []
        assert self.router.undone == []

    def heard(self):
        """The reasons of what each target took of each incident, in order, each notification once."""
        found, ids = {}, set()
        for request in self.router.inbox.requests:
            notification = self.router.notification_of(request)
            if notification is None or (notification.reason is Reason.SYNC and not self.opens(request)):
                continue
            key = (request.service, notification.id)
            if request.service in ("hook", "ses") and key in ids:
                continue  # the receiver of a webhook knows the id; a mail in doubt is told again, and says so
            if request.operation == "chat.update":
                continue
            ids.add(key)
            found.setdefault((notification.target.key, notification.incident.id), []).append(notification)
        return found

    def opens(self, request):
        """Whether a request posts the first message of an incident."""
        return request.operation == "chat.postMessage" and not request.fields.get("thread_ts")

    def check_heard(self, heard):
        """Promises 3 and 4: nothing twice, one beginning and one end, and all in the order in which it was decided."""
        reasons = [each.reason.value for each in heard]
        if reasons[0] in ("updated", "reminder", "sync"):
            reasons[0] = "opened"  # it took the place of an opening that could not be sent yet
        assert len({each.id for each in heard}) == len(heard), reasons
        ends = [reason for reason in reasons if reason in ("opened", "resolved")]
        assert (reasons[0], reasons[-1]) == ("opened", "resolved"), reasons
        assert ends == ["opened", "resolved"] * (len(ends) // 2), reasons
        assert len(ends) == 2 or self.redeploys, reasons  # a target that left its route and came back
        assert [each.seq for each in heard] == sorted(each.seq for each in heard), reasons


Life.TestCase.settings = settings(
    max_examples=EXAMPLES,
    stateful_step_count=30,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
TestWhateverHappensThePromisesHold = Life.TestCase


COUNTED = rules_of(FILE.replace("group_wait: 10s", "group_wait: 2h"))
KINDS = {"fire": ("Down", Status.FIRING), "resolve": ("Down", Status.RESOLVED), "error": ("Error", Status.FIRING)}


def facts(batches):
    """What the router knows after these batches of events, all of which arrive half an hour after the first of them."""
    store, queues, now = MemoryStore(), Queues(MemoryQueue(), MemoryQueue(), MemoryQueue()), START + HALF_AN_HOUR

    def work(stage, bodies):
        messages = [Message(f"m{number}", body, "") for number, body in enumerate(bodies)]
        assert stage(messages, rules=COUNTED, store=store, queues=queues, now=now) == []

    for batch in batches:
        work(process, [events_messages([each])[0] for each in batch])
    work(process_counts, queues.counts.bodies)
    work(process, [wake_message(key) for key in KEYS])
    alerts = [alert for key in KEYS if (each := store.load(key)) for alert in each.alerts.values()]
    return {a.name: (a.state, a.ends_at, a.text.title, a.starts_at if a.name == "Down" else None) for a in alerts}


KEYS = ("default|alertname=Down", "default|alertname=Spike")
HALF_AN_HOUR = timedelta(minutes=30)


@settings(max_examples=EXAMPLES, deadline=None, database=None)
@given(
    st.lists(st.tuples(st.sampled_from(sorted(KINDS)), st.integers(0, 60)), min_size=1, max_size=6, unique=True),
    st.data(),
)
def test_the_same_events_in_any_order_and_number_say_the_same(happened, data):
    """In order, shuffled with some of them twice, in any batches: the alerts are the same in the end."""
    events = [
        event(*KINDS[kind], START + timedelta(seconds=10 * tens), {"service": "api"}, id=f"{kind}-{tens}")
        for kind, tens in happened
    ]
    in_order = sorted(events, key=lambda each: (each.occurred_at, each.status is Status.RESOLVED))
    shuffled = data.draw(st.permutations(events + events[:2]))
    cut = data.draw(st.integers(0, len(shuffled)))
    expected = facts([in_order])
    assert facts([batch for batch in (shuffled[:cut], shuffled[cut:]) if batch]) == expected
    assert facts([[each] for each in shuffled]) == expected
