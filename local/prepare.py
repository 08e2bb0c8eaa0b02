"""Set-up: virtual environments and Debian packages. Runs before there are any, on the standard library alone.

    python3 local/prepare.py            .venv and .venv-emulator
    python3 local/prepare.py --tests    and what only tests need, Debian packages too

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
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SHIPPED = ("requirements-dev.txt", "requirements.txt", "pyproject.toml")
ENVIRONMENTS = {".venv": SHIPPED, ".venv-emulator": ("requirements-emulator.txt",)}
"""What is in each: the first file is installed, a change of any of them is noticed."""
TESTS = {**ENVIRONMENTS, ".venv": ("requirements-test.txt", *SHIPPED)}
TEST_PACKAGES = {
    "postgresql": ["/usr/lib/postgresql/*/bin/initdb", "initdb"],
    "pgbouncer": ["/usr/sbin/pgbouncer", "pgbouncer"],
    "locales": ["/usr/share/i18n/locales/de_DE"],
    "redis-server": ["redis-server"],
    "nghttp2-server": ["/usr/sbin/nghttpd", "nghttpd"],
    "prometheus": ["prometheus"],
    "prometheus-alertmanager": ["amtool"],
    "chromium": ["chromium"],
    "chromium-driver": ["chromedriver"],
}


class SetupError(Exception):
    """Set-up cannot go on; the text is one line that says what is wrong and what to do."""


def main() -> int:
    """Set up; 1 with one line when it cannot be done."""
    parser = argparse.ArgumentParser(description="Set Tocsin up.")
    parser.add_argument("--tests", action="store_true", help="also what only tests need")
    asked = parser.parse_args()
    try:
        check_writable(ROOT)
        prepare_environments(TESTS if asked.tests else ENVIRONMENTS)
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


def prepare_environments(environments: Mapping[str, Sequence[str]]) -> None:
    """Make what is missing or out of date; both at once, since most of the time is waiting."""
    stale = {name: files for name, files in environments.items() if read(stamp(name, files)) != wanted(files)}
    if not stale:
        return
    need_venv()
    print(f"set-up: installing {' and '.join(stale)} (once; about a minute)", flush=True)
    for name, files in stale.items():
        make(name, files)
    started = {name: install(name, files[0]) for name, files in stale.items()}
    for name, process in started.items():
        output, _ = process.communicate()
        if process.returncode != 0:
            for other in started.values():
                other.terminate()
            raise SetupError(f"{name}: {reason(output)}")
        if name == ".venv":
            add_command(name)
        for files in (ENVIRONMENTS[name], environments[name]):
            stamp(name, files).write_text(wanted(files))


def stamp(name: str, files: Sequence[str]) -> Path:
    """Return the file that says that an environment is up to date with those requirements."""
    return ROOT / name / f"tocsin-{files[0]}"


def wanted(files: Sequence[str]) -> str:
    """Return what the stamp of an up-to-date environment says: Python, its home, and the requirements."""
    digest = hashlib.sha256()
    for file in files:
        digest.update((ROOT / file).read_bytes() + b"\0")
    return f"{sys.version.split()[0]} {ROOT} {os.path.realpath(sys.executable)} {digest.hexdigest()}\n"


def read(path: Path) -> str:
    """Return the text of a file, empty when there is none."""
    try:
        return path.read_text()
    except OSError:
        return ""


def need_venv() -> None:
    """Raise SetupError unless virtual environments can be made; as root the Debian package is installed."""
    if importlib.util.find_spec("venv") and importlib.util.find_spec("ensurepip"):
        return
    install_packages(["python3-venv"], root=os.geteuid() == 0)


def make(name: str, files: Sequence[str]) -> None:
    """Make an empty environment unless one of this very Python is there."""
    folder = ROOT / name
    made_by = read(stamp(name, ENVIRONMENTS[name])).split(" ")[:3]
    if made_by == wanted(files).split(" ")[:3] and (folder / "bin" / "python").exists():
        return
    fresh = not (folder / "bin" / "pip").exists() or version_of(folder) != tuple(sys.version_info[:2])
    command = [sys.executable, "-m", "venv"] + (["--clear"] if fresh else []) + [str(folder)]
    made = run(command)
    if made.returncode != 0:
        raise SetupError(f"{name}: {reason(made.stdout)}")


def version_of(folder: Path) -> tuple[int, ...]:
    """Return the Python of an environment, as (3, 12)."""
    for line in read(folder / "pyvenv.cfg").splitlines():
        if line.replace(" ", "").startswith("version="):
            return tuple(int(part) for part in line.split("=")[1].strip().split(".")[:2])
    return ()


def install(name: str, file: str) -> subprocess.Popen[bytes]:
    """Begin to install an environment's requirements."""
    pip = [str(ROOT / name / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "--quiet", "install"]
    return subprocess.Popen([*pip, "--requirement", str(ROOT / file)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def add_command(name: str) -> None:
    """Put `tocsin` into the environment; the code stays where it is."""
    python = str(ROOT / name / "bin" / "python")
    quiet = ["--disable-pip-version-check", "--quiet", "install", "--no-deps", "--no-build-isolation"]
    made = run([python, "-m", "pip", *quiet, "--editable", str(ROOT)])
    if made.returncode != 0:
        raise SetupError(f"{name}: {reason(made.stdout)}")


def is_there(sign: str) -> bool:
    """Return whether a program (a name or a pattern of paths) is on this machine."""
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
    """Return the line of a tool's output that says why it failed."""
    lines = [line.strip() for line in output.decode(errors="replace").splitlines() if line.strip()]
    errors = [line for line in lines if line.lower().startswith(("error", "e:"))]
    return (errors or lines or ["it failed and said nothing"])[-1]


if __name__ == "__main__":
    sys.exit(main())
