"""Templates: what they fill in, what they refuse, and that nothing runs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.core.language.template import TemplateError, compile_template, render

VARIABLES = {
    "value": "3.2 %",
    "threshold": "1 %",
    "labels": {"service": "api", "odd key": "x", "__class__": "label"},
    "annotations": {"summary": "it {{ broke }}"},
    "group": {"environment": "prod"},
    "name": "High Error Rate",
    "title": "boom",
    "severity": "critical",
    "events": 12,
    "count": 12,
    "starts_at": "2026-03-02T12:00:00+00:00",
}

TABLE = [
    ("", ""),
    ("plain", "plain"),
    ("{{ value }} over {{threshold}}", "3.2 % over 1 %"),
    ("{{ labels.service }}", "api"),
    ("{{ labels['odd key'] }}{{ labels[\"odd key\"] }}", "xx"),
    ("{{ labels.missing }}!", "!"),
    ('{{ labels.missing | default("nothing }} at all") }}', "nothing }} at all"),
    ('{{ labels.service | default("x") | upper }}', "API"),
    ("{{ name | lower }}", "high error rate"),
    ("{{ events }} {{ count }} {{ severity }} {{ title }}", "12 12 critical boom"),
    ("{{ group.environment }} since {{ starts_at }}", "prod since 2026-03-02T12:00:00+00:00"),
    ("{{ annotations.summary }}", "it {{ broke }}"),
    ("{{ labels.__class__ }}", "label"),
    ("a } b { c", "a } b { c"),
]


@pytest.mark.parametrize(("text", "rendered"), TABLE, ids=[row[0] for row in TABLE])
def test_places_are_filled(text, rendered):
    """Every place is replaced once; what is filled in is not read again."""
    assert render(text, VARIABLES) == rendered


REFUSED = [
    ("{{ value", "column 1: '{{' is not closed; allowed is '}}' after it"),
    ("value }}", "column 7: '}}' closes nothing; allowed is '{{' before it"),
    ("{{ valeu }}", "did you mean value"),
    ("{{ label.service }}", "did you mean labels.service"),
    ("{{ labels }}", "column 4: labels needs a key; allowed is labels.service"),
    ("{{ value.x }}", "column 4: value has no keys; allowed is {{ value }}"),
    ("{{ value | uper }}", "'uper' is not a filter; allowed is default, upper, lower, trim; did you mean upper"),
    ("{{ value | default }}", 'the filter default is given nothing; allowed is default("text")'),
    ('{{ value | upper("x") }}', "the filter upper is given a text; allowed is upper"),
    ("{{ value + 1 }}", "'+ 1' cannot follow a name; allowed is | and a filter"),
    ("{{ }}", "'' is not a name"),
    ("{% if value %}", "'{%' is not part of the language; allowed is {{ name }}"),
    ("{{ labels.service.__class__ }}", None),
    ("{{ ''.__class__ }}", "is not a name"),
]


@pytest.mark.parametrize(("text", "message"), REFUSED, ids=[row[0] for row in REFUSED])
def test_broken_templates_say_what_is_wrong(text, message):
    """Unknown names and filters, and braces without a partner, are told when compiled."""
    if message is None:
        assert render(text, VARIABLES) == ""
        return
    with pytest.raises(TemplateError) as caught:
        compile_template(text)
    assert message in str(caught.value)


@given(
    st.one_of(
        st.text(max_size=60),
        st.lists(st.sampled_from(["{{", "}}", "value", "|", "labels.", "x", '"', " "])).map("".join),
    )
)
def test_no_text_breaks_templates(text):
    """Any text renders or is a TemplateError."""
    try:
        compiled = compile_template(text)
    except TemplateError as error:
        assert str(error)
    else:
        assert isinstance(render(compiled, VARIABLES), str)
        assert isinstance(render(compiled, {}), str)
