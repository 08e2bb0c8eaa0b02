"""Several workers at once: with interleavings drawn from a number in memory, and with real threads on the emulator."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from threading import Barrier

import pytest

from chalicelib.aws.dynamodb import DynamoStore
from chalicelib.core.event import Status
from chalicelib.deliver.worker import deliver
from chalicelib.messages.queue import Message, Queues, StormReport, Wake, events_messages, read_message, wake_message
from chalicelib.process.worker import process
from simulation.simulator import Simulator
from tests.aws.tables import client, new_table, table_client
from tests.fakes import Death, MemoryQueue, Sites
from tests.scenario import START, Router, event, rules_of
from tests.test_crashes import EVERYBODY, HEAD, STORIES, numbers, once, without_one_double

pytestmark = pytest.mark.acceptance

RULES = rules_of(HEAD + EVERYBODY)
KEY = "default|alertname=Down"
SEEDS = range(201)
WORKERS = 3


@pytest.fixture
def store(emulator):
    """An empty table on the emulator."""
    dynamodb = client("dynamodb", emulator)
    return DynamoStore(table_client(dynamodb.meta.endpoint_url), new_table(dynamodb))


def fires(number=0, **labels):
    """The message of an event."""
    at = START + timedelta(seconds=number)
    return events_messages([event("Down", Status.FIRING, at, labels, id=f"e{number}{labels}")])[0]


def test_no_interleaving_of_three_workers_doubles_or_loses():
    """Three workers get a fire, another one, and the end, in 201 orders of their calls: each target hears each once."""
    ends = replace(event("Down", Status.RESOLVED, START + timedelta(minutes=4), {"service": "api"}), id="end")
    other = replace(event("Down", Status.RESOLVED, START + timedelta(minutes=4), {"service": "web"}), id="end too")
    for seed in SEEDS:
        simulator = Simulator(RULES, START)
        simulator.contend(fires(service="api"), WORKERS, seed)
        simulator.run_until(START + timedelta(minutes=2), inclusive=True)
        simulator.contend(fires(120, service="web"), WORKERS, seed)
        simulator.run_until(START + timedelta(minutes=4), inclusive=True)
        simulator.contend(events_messages([ends, other])[0], WORKERS, seed)
        simulator.run_until(START + timedelta(minutes=8), inclusive=True)
        told = {}
        for sent in simulator.taken():
            told.setdefault(sent.notification.target.kind, []).append(sent.notification.reason.value)
        kinds = ("slack_channel", "pagerduty", "email", "webhook")
        assert told == {kind: ["opened", "updated", "resolved"] for kind in kinds}, seed
        (incident,) = simulator.store.incidents(ended_since=START)
        assert incident.events == 2, seed


def at_once(work, count=WORKERS):
    """The results of so many threads that begin together."""
    barrier = Barrier(count)

    def begin(number):
        barrier.wait()
        return work(number)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(begin, range(count)))


def test_three_workers_with_one_alert_tell_it_once(store):
    """On the emulator three workers get one alert, three its timer, and three each notification: one message for each."""
    router = Router(RULES, store=store)
    made = [Queues(MemoryQueue(), MemoryQueue(), MemoryQueue()) for _ in range(WORKERS)]

    def work(body, now):
        return at_once(lambda n: process([Message("m", body, "")], rules=RULES, store=store, queues=made[n], now=now))

    assert work(fires(service="api"), START) == [[]] * WORKERS
    due_at = START + timedelta(seconds=10)
    assert work(wake_message(KEY), due_at) == [[]] * WORKERS
    bodies = [body for queues in made for body in queues.notifications.bodies]
    router.decided = {each.id: each for each in map(read_message, bodies)}
    given = {"rules": RULES, "store": store, "clients": router.clients, "queues": made[0]}
    for now in (due_at, due_at + timedelta(minutes=2), due_at + timedelta(minutes=9)):
        for body in dict.fromkeys(bodies):
            at_once(lambda n, body=body, now=now: deliver(body, now=now, **given))
    router.close()
    told = router.told()
    assert told == {vendor: [f"Down {word}"] for vendor, word in FIRST.items()}


FIRST = {"slack": "opened", "pagerduty": "trigger", "email": "opened", "webhook": "opened"}


def test_of_32_workers_on_one_incident_none_is_lost(store):
    """On the emulator 32 workers bring an event each about another fault of one incident: all are in it in the end."""
    queues = Queues(MemoryQueue(), MemoryQueue(), MemoryQueue())

    def work(number):
        tries, left = 0, [Message("m", fires(number, service=f"s{number}"), "")]
        while left and tries < 100:
            tries += 1
            failures = process(left, rules=RULES, store=store, queues=queues, now=START + timedelta(seconds=40))
            left = [each for each in left if failures]
        return not left

    assert all(at_once(work, 32))
    incident = store.load(KEY)
    assert len(incident.firing) == incident.events == 32


CORRELATED = rules_of(
    "correlate: {by: [service]}\n"
    + HEAD
    + EVERYBODY
    + "alerts: [{name: Rate, match: {alertname: Down}, condition: 'events[1m] > 0', group_by: [service]}, {name: Each, match: {alertname: Down}}]\n"
)


def test_no_interleaving_of_three_workers_begins_two_incidents_of_one_service():
    """Three workers get the first alerts of a service, one that counts and one that does not: one incident has them all."""
    for seed in SEEDS:
        simulator = Simulator(CORRELATED, START)
        simulator.contend(fires(service="api"), WORKERS, seed)
        simulator.run_until(START + timedelta(seconds=30), inclusive=True)
        begun = [each for each in simulator.store.incidents(ended_since=START) if each.id]
        assert [sorted(alert.name for alert in each.firing) for each in begun] == [["Each", "Rate"]], seed


def test_of_25_workers_with_the_first_alerts_of_a_service_none_is_lost(store):
    """On the emulator 25 workers bring an alert each of one service at once: one incident has them all, and none fails."""
    queues = Queues(MemoryQueue(), MemoryQueue(), MemoryQueue())
    rules = rules_of("correlate: {by: [service]}\n" + HEAD + EVERYBODY)

    def work(number):
        message = Message("m", fires(number, service="api", pod=str(number)), "")
        tries = 1
        while process([message], rules=rules, store=store, queues=queues, now=START + timedelta(seconds=40)):
            tries += 1
        return tries

    tries = at_once(work, 25)
    assert max(tries) < 10, tries
    begun = [each for each in store.incidents() if each.is_correlated]
    assert [len(each.firing) for each in begun] == [25]


def test_of_25_services_that_fail_at_once_five_are_opened_and_the_others_are_one_storm(store):
    """On the emulator 25 workers bring a service each, then its timer, then a report each: no worker fails, and no service is lost."""
    queues = Queues(MemoryQueue(), MemoryQueue(), MemoryQueue())
    rules = rules_of("correlate: {by: [service]}\n" + HEAD + "default: {notification: [{webhook: ops}]}\n")
    given = {"rules": rules, "store": store, "queues": queues, "now": START + timedelta(seconds=40)}

    def work(body):
        tries = 1
        while process([Message("m", body, "")], **given):
            tries += 1
        return tries

    tries = at_once(lambda number: work(fires(number, service=f"s{number}")), 25)
    for kind in (Wake, StormReport):
        bodies = [each for each in queues.webhooks.bodies if isinstance(read_message(each), kind)]
        tries += at_once(lambda number, bodies=bodies: work(bodies[number]), len(bodies))
    assert max(tries) < 10, tries
    (storm,) = [each for each in store.incidents() if each.is_storm]
    opened = [
        each for each in store.incidents() if any(known.open and not known.storm for known in each.announced.values())
    ]
    alone = {each.group["service"] for each in opened if not each.is_storm}
    assert len(alone) <= 5
    assert {alert.labels["service"] for alert in storm.firing} | alone == {f"s{number}" for number in range(25)}
    assert len(storm.firing) + len(alone) == 25


def test_a_worker_that_dies_on_the_emulator_leaves_nobody_untold(emulator):
    """A sample of the deaths of test_crashes, over the real table: a whole life is told as without any."""
    story = STORIES["a whole life"]

    def lived(sites):
        dynamodb = client("dynamodb", emulator)
        router = Router(
            rules_of(story.rules),
            store=DynamoStore(table_client(dynamodb.meta.endpoint_url), new_table(dynamodb)),
            sites=sites,
        )
        story.life(router)
        router.close()
        return router

    calm = Sites()
    assert once(lived(calm).told()) == story.told
    writes = numbers(calm.names, after=True)
    for number in writes[:: max(1, len(writes) // 8)]:
        sites = Sites(at=number, after=number % 2 == 0, error=Death)
        router = lived(sites)
        told = once(router.told())
        told["email"] = without_one_double(told["email"], story.told["email"])
        assert (told, router.undone) == (story.told, []), (number, sites.failed)
