"""The names of what a stage owns on AWS."""

APP = "tocsin"
STAGES = ("local", "dev", "prod")


def lambda_name(function: str, stage: str) -> str:
    """The name Chalice gives a function on AWS; that of the REST API has none of its own."""
    return f"{APP}-{stage}" if function == "api_handler" else f"{APP}-{stage}-{function}"


def tags(stage: str) -> list[dict[str, str]]:
    """Return the tags of everything that a stage owns, in the form of most services."""
    return [{"Key": "app", "Value": APP}, {"Key": "stage", "Value": stage}]
