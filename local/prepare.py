"""Set-up: virtual environments and Debian packages. Runs before there are any, on the standard library alone.

    python3 local/prepare.py            .venv and .venv-emulator
    python3 local/prepare.py --tests    and the Debian packages that tests need

Safe to repeat: what is there for the same Python and requirements is left alone. Every failure is one line that says
what to do. The Makefile has seen to it that the Python is one that can run this.
"""

import argparse
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ENVIRONMENTS = {
    ".venv": ["requirements.txt", "requirements-dev.txt"],
    ".venv-emulator": ["requirements-emulator.txt"],
}
INSTALLED = {".venv": "requirements-dev.txt", ".venv-emulator": "requirements-emulator.txt"}
STAMP = "tocsin-stamp"
TEST_PACKAGES = {
    "postgresql": ["/usr/lib/postgresql/*/bin/initdb", "initdb"],
    "redis-server": ["redis-server"],
}


class SetupError(Exception):
    """Set-up cannot go on; the text is one line that says what is wrong and what to do."""


def main() -> int:
    """Set up; 1 with one line when it cannot be done."""
    parser = argparse.ArgumentParser(description="Set Tocsin up.")
    parser.add_argument("--tests", action="store_true", help="also the Debian packages that tests need")
    asked = parser.parse_args()
    try:
        check_writable(ROOT)
        prepare_environments()
        if asked.tests:
            missing = [name for name, signs in TEST_PACKAGES.items() if not any(map(is_there, signs))]
            install_packages(missing, root=os.geteuid() == 0)
    except SetupError as error:
        print(f"set-up: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def check_writable(folder: Path) -> None:
    """Raise SetupError unless files can be made in the folder."""
    for path in [folder] + [folder / name for name in [*ENVIRONMENTS, ".tocsin"] if (folder / name).exists()]:
        if not os.access(str(path), os.W_OK | os.X_OK):
            raise SetupError(
                f"no permission to write to {path}: run this as its owner, or give it to yourself by chown"
            )


def prepare_environments() -> None:
    """Make what is missing or out of date; both at once, since most of the time is waiting."""
    stale = [name for name in ENVIRONMENTS if read(ROOT / name / STAMP) != wanted(name)]
    if not stale:
        return
    need_venv()
    print(f"set-up: installing {' and '.join(stale)} (once; about a minute)", flush=True)
    for name in stale:
        make(name)
    started = [(name, install(name)) for name in stale]
    for name, process in started:
        output, _ = process.communicate()
        if process.returncode != 0:
            for _, other in started:
                other.terminate()
            raise SetupError(f"{name}: {reason(output)}")
        if name == ".venv":
            add_command(name)
        (ROOT / name / STAMP).write_text(wanted(name))


def wanted(name: str) -> str:
    """What the stamp of an up-to-date environment says: Python, its home, and the requirements."""
    digest = hashlib.sha256()
    for file in [*ENVIRONMENTS[name], "pyproject.toml"] if name == ".venv" else ENVIRONMENTS[name]:
        digest.update((ROOT / file).read_bytes() + b"\0")
    return f"{sys.version.split()[0]} {ROOT} {os.path.realpath(sys.executable)} {digest.hexdigest()}\n"


def read(path: Path) -> str:
    """The text of a file, empty when there is none."""
    try:
        return path.read_text()
    except OSError:
        return ""


def need_venv() -> None:
    """Raise SetupError unless virtual environments can be made; as root the Debian package is installed."""
    if importlib.util.find_spec("venv") and importlib.util.find_spec("ensurepip"):
        return
    install_packages(["python3-venv"], root=os.geteuid() == 0)


def make(name: str) -> None:
    """Make an empty environment unless one of this very Python is there."""
    folder = ROOT / name
    if read(folder / STAMP).split(" ")[:3] == wanted(name).split(" ")[:3] and (folder / "bin" / "python").exists():
        return
    fresh = not (folder / "bin" / "pip").exists() or version_of(folder) != tuple(sys.version_info[:2])
    command = [sys.executable, "-m", "venv"] + (["--clear"] if fresh else []) + [str(folder)]
    made = run(command)
    if made.returncode != 0:
        raise SetupError(f"{name}: {reason(made.stdout)}")


def version_of(folder: Path) -> tuple[int, ...]:
    """The Python of an environment, as (3, 12)."""
    for line in read(folder / "pyvenv.cfg").splitlines():
        if line.replace(" ", "").startswith("version="):
            return tuple(int(part) for part in line.split("=")[1].strip().split(".")[:2])
    return ()


def install(name: str) -> subprocess.Popen[bytes]:
    """Begin to install an environment's requirements."""
    pip = [str(ROOT / name / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "--quiet", "install"]
    return subprocess.Popen(
        [*pip, "--requirement", str(ROOT / INSTALLED[name])], stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )


def add_command(name: str) -> None:
    """Put `tocsin` into the environment; the code stays where it is."""
    python = str(ROOT / name / "bin" / "python")
    quiet = ["--disable-pip-version-check", "--quiet", "install", "--no-deps", "--no-build-isolation"]
    made = run([python, "-m", "pip", *quiet, "--editable", str(ROOT)])
    if made.returncode != 0:
        raise SetupError(f"{name}: {reason(made.stdout)}")


def is_there(sign: str) -> bool:
    """Whether a program (a name or a pattern of paths) is on this machine."""
    if sign.startswith("/"):
        return any(Path("/").glob(sign.lstrip("/")))
    return shutil.which(sign) is not None


def install_packages(names: Sequence[str], *, root: bool) -> None:
    """Install Debian packages as root; else raise SetupError that names them."""
    if not names:
        return
    command = f"apt-get install --yes --no-install-recommends {' '.join(names)}"
    if not root or shutil.which("apt-get") is None:
        raise SetupError(f"system packages are missing; install them first: sudo {command}")
    print(f"set-up: {command}", flush=True)
    done = run(command.split())
    if done.returncode != 0:
        run(["apt-get", "update"])
        done = run(command.split())
    if done.returncode != 0:
        raise SetupError(f"`{command}` failed: {reason(done.stdout)}")


def run(command: Sequence[str]) -> subprocess.CompletedProcess[bytes]:
    """Run a tool that asks nothing, its output kept for when it fails."""
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment, check=False)


def reason(output: bytes) -> str:
    """The line of a tool's output that says why it failed."""
    lines = [line.strip() for line in output.decode(errors="replace").splitlines() if line.strip()]
    errors = [line for line in lines if line.lower().startswith(("error", "e:"))]
    return (errors or lines or ["it failed and said nothing"])[-1]


if __name__ == "__main__":
    sys.exit(main())
