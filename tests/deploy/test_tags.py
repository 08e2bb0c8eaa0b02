"""Tags of a company: read strictly, put on what is made, and never in the way of a deploy."""

import re
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from deploy.company_tags import MAX_TAGS, company_tags
from deploy.errors import DeployError
from deploy.names import tags
from deploy.tagging import tag_what_others_made
from deploy.topics import topic
from tests.project import ROOT


def given(text: str) -> dict[str, str]:
    """The tags of a setting."""
    return company_tags({"TOCSIN_TAGS": text})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {}),
        (" , ", {}),
        ("team=ops", {"team": "ops"}),
        (" team = ops , cost-center=42,", {"team": "ops", "cost-center": "42"}),
        ("empty=", {"empty": ""}),
        ("url=https://example.com/?a", None),
        ("formula=a=b", {"formula": "a=b"}),
        ("k" * 128 + "=" + "v" * 256, {"k" * 128: "v" * 256}),
    ],
)
def test_tags_are_read(text: str, expected: dict[str, str] | None) -> None:
    """Given a setting → names and values without blanks around them; what AWS refuses is refused."""
    if expected is None:
        with pytest.raises(DeployError):
            given(text)
    else:
        assert given(text) == expected


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("team", "'team' is no tag; expected is name=value"),
        ("=ops", "'=ops' is no tag"),
        ("aws:team=ops", "'aws:team' is taken by AWS"),
        ("AWS:team=ops", "'AWS:team' is taken by AWS"),
        ("stage=prod", "'stage' is taken"),
        ("aws-chalice=1", "'aws-chalice' is taken"),
        ("team=ops,team=dev", "team is there twice"),
        ("team=a;b", "'a;b' is refused by AWS; at most 256 letters"),
        ("k" * 129 + "=a", "at most 128 letters"),
        ("a=" + "v" * 257, "at most 256 letters"),
        (",".join(f"t{number}=x" for number in range(MAX_TAGS + 1)), "48 tags; AWS takes 47"),
    ],
)
def test_what_aws_refuses_is_named(text: str, reason: str) -> None:
    """Given a tag that AWS would refuse in the middle of a deploy → it is named before anything is made."""
    with pytest.raises(DeployError, match=f"^TOCSIN_TAGS: .*{re.escape(reason)}"):
        given(text)


def test_tags_stand_beside_those_of_the_stage() -> None:
    """Given tags of a company → everything that is made has them beside app and stage."""
    found = {each["Key"]: each["Value"] for each in tags("prod", {"TOCSIN_TAGS": "team=ops"})}
    assert found == {"app": "tocsin", "stage": "prod", "team": "ops"}


class DifferentTagsError(Exception):
    """What SNS answers when a topic is made again with other tags."""


class Sns:
    """SNS with a topic that has other tags, or another trouble."""

    exceptions = SimpleNamespace(InvalidParameterException=DifferentTagsError)

    def __init__(self, reason: str) -> None:
        self.reason = reason

    def create_topic(self, Name: str, Tags: Any = None) -> dict[str, str]:
        """Refuse tags; without them the topic is found."""
        if Tags is not None:
            raise DifferentTagsError(self.reason)
        return {"TopicArn": f"arn:{Name}"}


def test_a_topic_with_other_tags_is_found() -> None:
    """Given a topic that somebody tagged, when a stage is deployed again → SNS is asked for it without tags."""
    assert (
        topic(Sns("Invalid parameter: Tags Reason: Topic already exists with different tags"), "t", "dev")
        == "arn:tocsin-dev-t"
    )
    with pytest.raises(DifferentTagsError, match="Name"):
        topic(Sns("Invalid parameter: Name"), "t", "dev")


def refused(operation: str) -> ClientError:
    """What AWS answers without the right."""
    return ClientError({"Error": {"Code": "AccessDeniedException", "Message": ""}}, operation)


class Account:
    """An account in which each call is refused, beside those that are named."""

    meta = SimpleNamespace(region_name="us-east-1", partition="aws")

    def __init__(self, *allowed: str) -> None:
        self.allowed = allowed

    def __call__(self, service: str) -> "Account":
        """Every client."""
        return self

    def __getattr__(self, name: str) -> Any:
        """Every call."""

        def call(**wanted: Any) -> dict[str, Any]:
            if name not in self.allowed:
                raise refused(name)
            return {"Account": "123456789012", "Rules": [{"Name": "tocsin-dev-tick-event", "Arn": "arn:rule"}]}

        return call

    def get_paginator(self, name: str) -> Any:
        """Two log groups: one of the stage, and one of somebody else."""
        groups = [{"logGroupName": f"/aws/lambda/tocsin-{end}"} for end in ("dev-tick", "development")]
        return SimpleNamespace(paginate=lambda **wanted: [{"logGroups": groups}])


def test_a_refused_tag_is_a_note() -> None:
    """Given keys that may not tag, when a stage is deployed → each thing without tags is a note, and the deploy goes on."""
    may_look: Any = Account("get_caller_identity", "list_rules")
    assert tag_what_others_made(may_look, "dev", "a1", {}) == [
        "tags of the REST API are not set: AccessDeniedException",
        "tags of tocsin-dev-tick-event are not set: AccessDeniedException",
        "tags of /aws/lambda/tocsin-dev-tick are not set: AccessDeniedException",
    ]
    may_not: Any = Account("get_caller_identity", "tag_resource")
    assert tag_what_others_made(may_not, "dev", "a1", {}) == [
        "tags are not set: AWS refused list_rules: AccessDeniedException"
    ]


def test_every_topic_is_asked_for_in_one_place() -> None:
    """Given the deploy → no other file makes a topic, since SNS refuses one that has other tags."""
    found = [path for path in (ROOT / "deploy").glob("*.py") if ".create_topic(" in path.read_text()]
    assert found == [ROOT / "deploy" / "topics.py"]
