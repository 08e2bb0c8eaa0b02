"""The index of rules: it finds what a comparison with every rule finds, in the same order."""

from hypothesis import given
from hypothesis import strategies as st

from chalicelib.core.match import Matcher, matches_all
from chalicelib.core.rule_index import indexed

LABELS = st.sampled_from(["source", "kind", "service"])
VALUES = st.sampled_from(["", "a", "b", "High Error Rate", "a|b", "a.b", "A"])
PATTERNS = st.sampled_from(["a|b", "a", "a.b", ".*", "", "b|", "(a|b)", "High Error Rate|a", "a|b|a", "[", "A"])
MATCHERS = st.one_of(
    st.builds(Matcher, LABELS, st.sampled_from(["=", "!="]), VALUES),
    st.builds(Matcher, LABELS, st.sampled_from(["=~", "!~"]), PATTERNS),
)


@given(st.lists(st.lists(MATCHERS, max_size=3), max_size=12), st.dictionaries(LABELS, VALUES))
def test_it_finds_what_matches_in_order(rules: list[list[Matcher]], labels: dict[str, str]) -> None:
    """Given any matchers and labels, when they are looked up → the items whose matchers hold, in the order of the file."""
    index = indexed((matchers, number) for number, matchers in enumerate(rules))
    assert index.matching(labels) == [number for number, each in enumerate(rules) if matches_all(each, labels)]


def test_a_rule_that_requires_a_value_is_not_compared_with_other_labels() -> None:
    """Given a thousand rules of as many services, when an event of one comes → it is compared with one rule."""
    rules = [
        ((Matcher("source", "=", "sentry"), Matcher("service", "=", f"s{number}")), number) for number in range(1_000)
    ]
    index = indexed(rules)
    assert index.anywhere == []
    assert {label: max(map(len, values.values())) for label, values in index.under.items()} == {"service": 1}
    assert index.matching({"source": "sentry", "service": "s7"}) == [7]
