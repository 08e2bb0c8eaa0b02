"""The names of what a stage owns on AWS."""

import os
from collections.abc import Mapping

from deploy.company_tags import company_tags

APP = "tocsin"
STAGES = ("local", "dev", "prod")
"""The stages whose configuration and policies are committed. A deploy writes those of another one for itself."""
API_STAGE = "api"
"""The stage that API Gateway knows: the first part of every address, and the same in all of our stages."""
API = "api_handler"
"""Chalice's name of the function behind the API."""


def lambda_name(function: str, stage: str) -> str:
    """Return the name Chalice gives a function on AWS; that of the API has none of its own."""
    return f"{APP}-{stage}" if function == API else f"{APP}-{stage}-{function}"


def function_of(name: str, stage: str) -> str:
    """Return the function's name in app.py from its name on AWS; empty when it is not of this stage."""
    if name == lambda_name(API, stage):
        return API
    prefix = lambda_name("", stage)
    return name.removeprefix(prefix) if name.startswith(prefix) else ""


def chalice_tag(stage: str) -> str:
    """Return how the tag `aws-chalice` of every function ends that Chalice made for the stage."""
    return f":stage={stage}:app={APP}"


def api_name(stage: str) -> str:
    """Return the name of the REST API, which `app.py` gives it. Versions before called it `tocsin` in every stage."""
    return f"{APP}-{stage}"


def tags_by_name(stage: str, environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the tags of everything that a stage owns, those of the company included."""
    return {"app": APP, "stage": stage, **company_tags(environment)}


def tags(stage: str, environment: Mapping[str, str] = os.environ) -> list[dict[str, str]]:
    """Return the same tags in the form of most services."""
    return [{"Key": name, "Value": value} for name, value in tags_by_name(stage, environment).items()]
