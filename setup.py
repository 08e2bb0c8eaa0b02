"""What pyproject.toml cannot say: a wheel holds the folders of the project in `tocsin/_project`."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent
FOLDERS = ("chalicelib", "cli", "deploy", "local", "simulation", "vendor")
FILES = (
    ".env.example",
    "app.py",
    "requirements.txt",
    "docs/openapi.json",
    "docs/alert-rules.schema.json",
    "LICENSE",
    "NOTICE",
)
POLICIES = ".chalice"
"""What Chalice reads. The rest of the folder is what deploys have left there."""
LEFT_OUT = shutil.ignore_patterns("__pycache__", "*.pyc", "compiled-rules.json")


class BuildWithProject(build_py):
    """Build the package `tocsin`, and with a wheel what it runs."""

    def run(self) -> None:
        """Copy the parts. Links of chalicelib/ (rules, runbook) become files."""
        super().run()
        if self.editable_mode:
            return
        target = Path(self.build_lib, "tocsin", "_project")
        shutil.rmtree(target, ignore_errors=True)
        for name in FOLDERS:
            shutil.copytree(ROOT / name, target / name, ignore=LEFT_OUT)
        for name in FILES:
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, target / name)
        (target / POLICIES).mkdir()
        for path in [ROOT / POLICIES / "config.json", *(ROOT / POLICIES).glob("policy-*.json")]:
            shutil.copy(path, target / POLICIES)


setup(cmdclass={"build_py": BuildWithProject})
