"""Requests of an HTTP API as Chalice reads them, and Chalice's answers as an HTTP API reads them."""

import base64
import gzip

import pytest

from chalicelib.ingest.http_api import as_answer, as_rest, matched
from chalicelib.messages.webhook import MAX_BODY_BYTES

PATHS = ("/webhooks/{source}", "/webhooks/{source}/{secret}", "/api/incidents/{id}", "/api/incidents/open", "/health")


def event(path, stage="$default", **fields):
    """A request in payload format 2.0."""
    context = {"http": {"method": "POST", "sourceIp": "203.0.113.9"}, "stage": stage}
    return {"version": "2.0", "rawPath": path, "rawQueryString": "", "headers": {}, "requestContext": context, **fields}


@pytest.mark.parametrize(
    ("asked", "path", "values"),
    [
        ("webhooks/sentry", "/webhooks/{source}", {"source": "sentry"}),
        ("webhooks/generic/s%20e%2Fc", "/webhooks/{source}/{secret}", {"source": "generic", "secret": "s e/c"}),
        ("api/incidents/open", "/api/incidents/open", {}),
        ("api/incidents/closed", "/api/incidents/{id}", {"id": "closed"}),
    ],
)
def test_a_path_is_found_by_its_parts(asked, path, values):
    """Given the parts of a path → its route with the values of its names; a literal part wins against a name."""
    assert matched(asked.split("/"), PATHS) == (path, values)
    assert matched(asked.split("/"), PATHS[::-1]) == (path, values)


@pytest.mark.parametrize("asked", ["", "webhooks", "webhooks/", "webhooks//x", "Health", "health/x", "webhooks/a/b/c"])
def test_an_unknown_path_has_no_route(asked):
    """Given parts that fit no path, or that leave a name empty → no route."""
    assert matched(asked.split("/"), PATHS) is None
    assert as_rest(event(f"/{asked}x/y/z/w"), PATHS) is None


@pytest.mark.parametrize(
    ("path", "stage"),
    [
        ("/health", "$default"),
        ("/health/", "$default"),
        ("/dev/health", "dev"),
        ("/health", "dev"),
        ("/api/health", "$default"),
    ],
)
def test_the_name_of_the_stage_is_no_part_of_the_path(path, stage):
    """Given a path behind a stage of its own, a domain that maps to it, or the `api` of REST APIs → the same route."""
    found = as_rest(event(path, stage), PATHS)
    assert found is not None
    assert found["resource"] == "/health"


def test_a_route_that_begins_with_api_is_found_with_and_without_the_prefix():
    """Given a route `/api/incidents/{id}` → it is found at its path, and behind the `api` of REST APIs."""
    for path in ("/api/incidents/1", "/api/api/incidents/1"):
        found = as_rest(event(path), PATHS)
        assert found is not None
        assert (found["resource"], found["pathParameters"]) == ("/api/incidents/{id}", {"id": "1"})


def test_a_packed_body_is_unpacked_as_a_rest_api_does_it():
    """Given gzip or deflate → the plain bytes; given what only says so → the bytes that came."""
    plain = '{"a":"é"}'.encode()

    def body(data, coding):
        given = event("/webhooks/x", headers={"content-encoding": coding}, isBase64Encoded=True)
        found = as_rest({**given, "body": base64.b64encode(data).decode()}, PATHS)
        return base64.b64decode(found["body"]) if found["isBase64Encoded"] else found["body"]

    assert body(gzip.compress(plain), "gzip") == body(gzip.compress(plain), "GZIP ") == plain
    assert body(plain, "gzip") == plain
    assert body(gzip.compress(plain), "br") == gzip.compress(plain)


def test_a_packed_body_is_no_larger_than_what_is_refused():
    """Given a small body that unpacks to a hundred megabytes → just more than the limit is kept, which is refused."""
    packed = base64.b64encode(gzip.compress(bytes(100_000_000), 9)).decode()
    given = event("/webhooks/x", headers={"content-encoding": "gzip"}, isBase64Encoded=True, body=packed)
    assert len(as_rest(given, PATHS)["body"]) == MAX_BODY_BYTES + 1


def test_an_answer_has_single_headers_and_cookies_apart():
    """Given an answer of Chalice with headers of several values → cookies by themselves, the others joined."""
    given = {"statusCode": 200, "body": "x", "headers": {"content-type": "text/plain"}}
    more = {"Set-Cookie": ["a=1", "b=2"], "Vary": ["Origin", "Cookie"]}
    found = as_answer({**given, "multiValueHeaders": more})
    assert found == {**given, "headers": {**given["headers"], "Vary": "Origin, Cookie"}, "cookies": ["a=1", "b=2"]}
    assert as_answer({**given, "multiValueHeaders": {}}) == given


def test_an_answer_without_a_type_is_json():
    """Given an answer that names no type → it is JSON, as a REST API would call it."""
    assert as_answer({"headers": {"A": "1"}, "body": "{}"})["headers"] == {"A": "1", "Content-Type": "application/json"}
