"""Other partitions of AWS: China and GovCloud have other ARNs; where a deploy cannot work it says so first."""

import ast
import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.loaders import Loader

from chalicelib.aws import PARTITIONS, dns_suffix
from deploy import policies
from deploy.deployment import Deploy
from deploy.errors import DeployError
from deploy.policies import configure
from tests.project import ROOT, copied

IN_ONE_PLACE = ROOT / "chalicelib" / "aws" / "__init__.py"
FILES = sorted(
    path
    for path in [
        ROOT / "app.py",
        *(each for name in ("chalicelib", "deploy", "cli", "local") for each in (ROOT / name).rglob("*.py")),
    ]
    if path != IN_ONE_PLACE
)


def known_regions() -> list[tuple[str, str, str]]:
    """Every Region that botocore knows of our partitions, with its partition and the end of its addresses."""
    found = Loader().load_data("partitions")["partitions"]
    return [
        (region, each["id"], each["outputs"]["dnsSuffix"])
        for each in found
        if each["id"] in PARTITIONS
        for region in each["regions"]
        if re.fullmatch(r"[a-z]{2}(-[a-z]+)+-\d", region)
    ]


def test_addresses_end_as_the_sdk_says() -> None:
    """Given every Region of the partitions → its addresses end as botocore says."""
    regions = known_regions()
    assert {partition for _, partition, _ in regions} == set(PARTITIONS)
    assert [(region, dns_suffix(region)) for region, _, _ in regions] == [(region, end) for region, _, end in regions]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_partition_is_written_in_one_place(path: Path) -> None:
    """Given a file of ours → it composes no ARN of one partition and no address of AWS."""
    texts = [node.value for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Constant)]
    assert not [text for text in texts if isinstance(text, str) and re.search(r"arn:aws:|amazonaws\.com", text)]


@pytest.mark.parametrize("partition", PARTITIONS)
def test_a_run_has_the_policies_of_its_partition(partition: str, tmp_path: Path) -> None:
    """Given a deploy to a partition → every ARN that Chalice is given begins with it, and nothing else differs."""
    config = json.loads(configure(tmp_path, partition, {"team": "ops"}).read_text())
    assert config["stages"]["prod"]["tags"] == {"app": "tocsin", "stage": "prod", "team": "ops"}
    for name, needs in config["stages"]["prod"]["lambda_functions"].items():
        found = json.loads(Path(needs["iam_policy_file"]).read_text())
        arns = [each for statement in found["Statement"] for each in statement["Resource"] if each != "*"]
        assert {each.split(":")[1] for each in arns} == {partition}
        assert json.loads(json.dumps(found).replace(f"arn:{partition}:", "arn:aws:")) == policies.policy(name, "prod")


def test_without_tags_a_run_is_what_is_committed(tmp_path: Path) -> None:
    """Given no tags and the partition aws → Chalice is given what is in .chalice."""
    config = json.loads(configure(tmp_path, "aws", {}).read_text())
    for stage in config["stages"].values():
        for needs in stage["lambda_functions"].values():
            needs["iam_policy_file"] = Path(needs["iam_policy_file"]).name
    assert config == json.loads((ROOT / ".chalice" / "config.json").read_text())


@pytest.mark.parametrize("partition", ["aws-iso", "aws-eusc"])
def test_a_partition_that_is_not_known_is_refused_first(partition: str, tmp_path: Path) -> None:
    """Given a Region of another partition, when a stage is deployed → one line says so, and nothing was asked of AWS."""

    def service(name: str) -> Any:
        assert name == "sts", name
        return SimpleNamespace(meta=SimpleNamespace(partition=partition))

    clients: Any = service
    with pytest.raises(DeployError, match=f"aws, aws-cn, aws-us-gov, not to the partition {partition}"):
        Deploy("prod", clients, {}, copied(tmp_path)).run()
