"""A copy of what a deploy needs, so that tests leave the checkout alone; and a place in the embedded AWS."""

import os
import shutil
from pathlib import Path
from typing import Any

import boto3

from deploy.clients import Clients
from local.cloud import Cloud

ROOT = Path(__file__).resolve().parent.parent
PARTS = ("app.py", "requirements.txt", "alert-rules.yaml", "chalicelib", "vendor", "runbook", ".chalice")
LEFT_OUT = shutil.ignore_patterns("__pycache__", "deployments", "deployed", "compiled-rules.json")


def copied(folder: Path) -> Path:
    """The project in a folder, links kept as links."""
    for name in PARTS:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, symlinks=True, ignore=LEFT_OUT)
        elif source.exists():
            shutil.copy2(source, folder / name)
    return folder


def readable_by_others(folder: Path) -> list[Path]:
    """What of a folder, itself included, others than its owner may read, write or enter."""
    found = [folder, *folder.rglob("*")]
    return [each for each in found if not each.is_symlink() and each.stat().st_mode & 0o077]


def environment(cloud: Cloud) -> dict[str, str]:
    """This process's environment, in which the only AWS is the embedded one."""
    bare = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    return {**bare, **cloud.environment()}


def clients(cloud: Cloud) -> Clients:
    """boto3 clients of the embedded AWS."""
    arguments: dict[str, Any] = cloud.client_arguments()
    arguments.pop("endpoint_url")
    return Clients(boto3.Session(**arguments), cloud.url)
