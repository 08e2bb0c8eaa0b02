"""Names and words are remembered by their text: what is asked again has the answer of the first time, and huge ones are not kept."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.core.payload import coerce

TEXTS = st.text(max_size=12) | st.sampled_from(
    ["null", " None ", "a  b", "\ud83d", "x\u200by", "b" * 600, "1.5", "N/A", "@a b"]
)


@given(TEXTS, st.integers(1, 20))
def test_a_line_is_that_of_its_text(value: str, limit: int) -> None:
    """Given any text → the line is what `text` says on one line: short and clean ones are taken without a detour."""
    said = coerce.text(value, limit)
    assert coerce.line(value, limit) == " ".join(said.split())


@given(st.lists(st.tuples(TEXTS, TEXTS | st.none() | st.integers() | st.booleans()), max_size=6))
def test_labels_are_the_same_each_time(pairs: list[tuple[str, object]]) -> None:
    """Given any pairs → their labels are those of each pair by itself, the first of a name, the second time as well."""
    expected: dict[str, str] = {}
    for pair in pairs:
        for name, said in coerce.labels([pair]).items():
            expected.setdefault(name, said)
    assert coerce.labels(pairs) == coerce.labels(pairs) == expected


@pytest.mark.parametrize("value", ["none", " NONE", "null ", "N/A"])
def test_a_label_that_says_nothing_is_left_out(value: str) -> None:
    """Given a value that says nothing, with blanks around it or not → there is no such label."""
    assert coerce.labels([("team", value)]) == {}


@given(TEXTS, st.integers(1, 20))
def test_a_word_is_the_same_each_time(value: str, limit: int) -> None:
    """Given any text → its word is the same the second time, also after another limit."""
    first = coerce.word(value, limit)
    coerce.word(value, limit + 1)
    assert coerce.word(value, limit) == first


@pytest.mark.parametrize("value", [True, 1, 1.0, "1", "True", "true"])
def test_equal_values_of_other_types_are_not_mixed_up(value: object) -> None:
    """Given true, one and their texts one after another → each has the word of its own."""
    for other in (True, 1, 1.0, "1", "True", "true"):
        coerce.word(other)
    assert coerce.word(value) == ("true" if str(value).lower() == "true" else "")
