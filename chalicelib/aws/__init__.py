"""Adapters for AWS. Those of the ingest path (json_client, http1, signer, queue, secrets, body_store) load no packages.

Here is what differs between the partitions of AWS: the beginning of every ARN and the end of every address.
"""

PARTITION = "aws"
PARTITIONS = ("aws", "aws-cn", "aws-us-gov")
"""Where Tocsin can be deployed. AWS names further ones, whose names of services are not published with the SDK."""


def dns_suffix(region: str) -> str:
    """Return the end of the addresses of a Region."""
    return "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"


def service_principal(service: str) -> str:
    """Return the name by which policies know a service; Lambda, API Gateway, SES and SNS have one name in all of PARTITIONS."""
    return f"{service}.amazonaws.com"


def arn(service: str, resource: str, *, region: str = "*", account: str = "*", partition: str = PARTITION) -> str:
    """Return the ARN of a resource; of every Region and account unless they are given."""
    return f"arn:{partition}:{service}:{region}:{account}:{resource}"
