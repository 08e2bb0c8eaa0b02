"""How often SSM is asked, what is read along, and what holds while SSM refuses or is away."""

from contextlib import contextmanager

import pytest

from chalicelib.aws.json_client import AwsError
from chalicelib.aws.secrets import AWAY_SECONDS, FAST_FAILURE_SECONDS, KEPT_SECONDS, Secrets
from chalicelib.core.errors import NotStoredError

THROTTLED, DENIED, AWAY = "ThrottlingException", "AccessDeniedException", "Unreachable"


class Ssm:
    """SSM with parameters `stored`; the next calls fail with the codes of `failures`, each after `takes` seconds.

    It refuses a call as a whole when one of its names is `denied`, as IAM does.
    """

    def __init__(self, **stored):
        self.stored, self.denied = stored, set()
        self.failures, self.takes = [], 0.0
        self.asked, self.pauses, self.now = [], [], 1_000.0

    def call(self, service, action, arguments):
        """GetParameters."""
        assert (service, action, arguments["WithDecryption"]) == ("ssm", "GetParameters", True)
        names = [path.removeprefix("/tocsin/x/") for path in arguments["Names"]]
        assert 1 <= len(names) == len(set(names)) <= 10
        self.asked.append(names)
        self.now += self.takes
        if self.failures:
            raise AwsError("ssm GetParameters: refused", self.failures.pop(0))
        if self.denied.intersection(names):
            raise AwsError("ssm GetParameters: refused", DENIED)
        return {"Parameters": [{"Name": f"/tocsin/x/{n}", "Value": self.stored[n]} for n in names if n in self.stored]}

    def secrets(self, *others, **environment):
        """A fresh environment's secrets."""
        return Secrets(
            self, "/tocsin/x/", others=lambda: others, environment=environment,
            clock=lambda: self.now, pause=self.pauses.append,
        )  # fmt: skip


@contextmanager
def away(ssm):
    """SSM is away for the block."""
    before, ssm.failures = ssm.failures, [AWAY] * 1_000
    yield
    ssm.failures = before


def test_one_call_reads_what_will_be_needed():
    """Given six names that a function may need, then its first question reads all of them."""
    ssm = Ssm(A="a", B="b", F="f")
    secrets = ssm.secrets(*"ABCDEF")
    assert [secrets.get(name) for name in "BACDEF"] == ["b", "a", None, None, None, "f"]
    assert ssm.asked == [["B", "C", "D", "E", "F", "A"]]


def test_more_names_than_a_call_holds_are_read_when_one_of_them_is_needed():
    """Given 14 names, then the first call reads ten, and a second one the others once one of these is asked for."""
    names = [f"N{number}" for number in range(14)]
    ssm = Ssm(**dict.fromkeys(names, "x"))
    secrets = ssm.secrets(*names)
    for name in names:
        assert secrets.get(name) == "x"
    assert ssm.asked == [names[:10], names[10:]]


def test_what_was_read_together_is_read_together_again():
    """After five minutes one call renews all names; the environment's own are never asked for."""
    ssm = Ssm(A="a", B="b", C="c")
    secrets = ssm.secrets("A", "B", "MINE", MINE="m")
    secrets.values(["A", "C"])
    ssm.now += KEPT_SECONDS + 1
    ssm.stored["B"] = "new"
    assert secrets.values(["A", "B", "C", "MINE"]) == ["m", "a", "new", "c"]
    assert [sorted(names) for names in ssm.asked] == [["A", "B", "C"]] * 2


def test_a_name_that_may_not_be_read_takes_no_other_along():
    """Given that IAM refuses one of the others, then what is needed is read alone, and so for five minutes."""
    ssm = Ssm(A="a", B="b")
    ssm.denied = {"X"}
    secrets = ssm.secrets("A", "B", "X")
    assert [secrets.get("A"), secrets.get("B")] == ["a", "b"]
    assert ssm.asked == [["A", "B", "X"], ["A"], ["B"]]
    with pytest.raises(NotStoredError):
        secrets.get("X")
    assert ssm.pauses == []


@pytest.mark.parametrize("code", [THROTTLED, AWAY, "InternalServerError", "500"])
def test_a_failed_call_is_tried_once_more_after_a_pause(code):
    """One call that fails costs a pause of 50 to 150 ms."""
    ssm = Ssm(A="a")
    ssm.failures = [code]
    assert ssm.secrets().values(["A"]) == ["a"]
    (pause,) = ssm.pauses
    assert 0.05 <= pause <= 0.15
    assert len(ssm.asked) == 2


def test_without_a_value_two_failures_are_an_error():
    """No value is ever invented; the next request asks again."""
    ssm = Ssm(A="a")
    ssm.failures = [THROTTLED] * 2
    secrets = ssm.secrets()
    with pytest.raises(NotStoredError):
        secrets.values(["A"])
    assert secrets.values(["A"]) == ["a"]


def test_a_slow_failure_is_not_tried_again():
    """A sender waits for one second: a call that took its time leaves none for another."""
    ssm = Ssm(A="a")
    ssm.failures, ssm.takes = [AWAY], FAST_FAILURE_SECONDS * 2
    with pytest.raises(NotStoredError):
        ssm.secrets().values(["A"])
    assert len(ssm.asked) == 1


@pytest.mark.parametrize("read", ["values", "renewed"])
def test_values_in_hand_outlive_an_outage_and_cost_a_call_now_and_then(read):
    """While SSM is away the last values are used, whoever asks, with two calls every 15 seconds at most."""
    ssm = Ssm(A="old")
    secrets = ssm.secrets()
    secrets.values(["A"])
    ssm.now += 3_600
    asked = len(ssm.asked)
    with away(ssm):
        for _ in range(50):
            assert getattr(secrets, read)(["A"]) == ["old"]
        assert len(ssm.asked) == asked + 2
        with pytest.raises(NotStoredError):
            secrets.values(["A", "B"])
    ssm.now += AWAY_SECONDS + 1
    ssm.stored["A"] = "new"
    assert secrets.values(["A"]) == ["new"]
