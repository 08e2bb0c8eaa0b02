"""The embedded AWS as a process: started, waited for, stopped; on loopback only, in a virtual environment of its own.

    with Cloud(folder, port=7466) as cloud:
        boto3.client("sqs", **cloud.client_arguments())

Its functions run as processes below it, in its own interpreter, with its environment: it gets a bare one, so that no
variable of the developer's shell changes what they do. It runs uploaded code and holds secrets, so each run has a random
access key of its own, and `local/guard.py` refuses what web pages could send.
"""

import importlib.util
import os
import secrets
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from chalicelib.core.errors import TocsinError
from cli.running import INSTALLED
from local.guard import key_headers
from local.private import FOLDER_MODE, open_private, private_folder, write_private

ROOT = Path(__file__).resolve().parent.parent
PYTHON = Path(sys.executable) if INSTALLED else ROOT / ".venv-emulator" / "bin" / "python"
"""The interpreter that has ministack: with an installed program its own, by the extra `run`."""
HOST = "127.0.0.1"
DEFAULT_PORT = 7466
"""Not 4566, the usual port of such emulators: a web page that looks for one tries that first."""
REGION = "us-east-1"
LOST_SECONDS = 2
"""What is accepted in these seconds before a kill -9 may be lost. `local/saving.py` saves about every 0.2 seconds."""
START_SECONDS = 30.0
STOP_SECONDS = 15.0
PASSED_ON = ("PATH", "HOME", "LANG", "SSL_CERT_FILE", "SSL_CERT_DIR")


class CloudError(TocsinError):
    """The embedded AWS cannot be started; one line that says what to do."""


@dataclass(frozen=True, slots=True)
class Key:
    """An access key. Its id is as secret as its secret, since the guard of the emulator looks at the id alone."""

    id: str = field(repr=False)
    secret: str = field(repr=False)

    @classmethod
    def random(cls) -> Self:
        """Return a key that nobody can guess."""
        return cls(f"LOCAL{secrets.token_hex(20).upper()}", secrets.token_hex(20))

    def environment(self) -> dict[str, str]:
        """Return the variables by which any AWS tool finds it."""
        return {"AWS_ACCESS_KEY_ID": self.id, "AWS_SECRET_ACCESS_KEY": self.secret}


class Cloud:
    """One emulator with its state in a folder. Use it as a context manager, or `start` and `stop` it.

    `auth` makes it enforce IAM. `persist` keeps the state over restarts; a kill loses LOST_SECONDS at most.
    `key` is the one access key it takes; without it the key is random.
    """

    def __init__(
        self,
        folder: Path,
        *,
        port: int = 0,
        persist: bool = True,
        auth: bool = False,
        key: Key | None = None,
        environment: dict[str, str] | None = None,
    ) -> None:
        self.folder = folder
        self.key = key or Key.random()
        self.port = port or free_port()
        self.persist = persist
        self.auth = auth
        self._more = environment or {}
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Return where all its services listen."""
        return f"http://{HOST}:{self.port}"

    @property
    def log(self) -> Path:
        """Return what the emulator and the functions in it print."""
        return self.folder / "emulator.log"

    @property
    def shell(self) -> Path:
        """Return the file that gives a shell its address and key, while it runs."""
        return self.folder / "aws.env"

    def environment(self) -> dict[str, str]:
        """Return the variables by which any AWS tool finds it."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_REGION": REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
            **self.key.environment(),
        }

    def client_arguments(self) -> dict[str, Any]:
        """Return the arguments of a boto3 client or session client."""
        return {
            "endpoint_url": self.url,
            "region_name": REGION,
            "aws_access_key_id": self.key.id,
            "aws_secret_access_key": self.key.secret,
        }

    def start(self) -> Self:
        """Start it and wait until it answers; CloudError with one line when it does not."""
        if not is_installed():
            remedy = "pip install 'tocsin[run]'" if INSTALLED else "run `make setup`"
            raise CloudError(f"the embedded AWS is not installed: {remedy}")
        if not is_free(self.port):
            raise CloudError(
                f"port {self.port} is taken: stop what uses it, or choose another by TOCSIN_PORT={self.port + 1}"
            )
        temporary = self._prepare()
        with open(open_private(self.log), "wb") as log:
            self._process = subprocess.Popen(
                [str(PYTHON), str(ROOT / "local" / "emulator.py")],
                cwd=self.folder,
                env=self._environment(temporary),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._wait()
        return self

    def stop(self) -> None:
        """Stop it and every function in it; it saves its state first. Nothing happens when it is not running."""
        process, self._process = self._process, None
        if process is None:
            return
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
        stop_group(process.pid)
        process.wait()
        self.shell.unlink(missing_ok=True)
        shutil.rmtree(self.folder / "temporary", ignore_errors=True)

    def kill(self) -> None:
        """End it as a power cut would."""
        if self._process is not None:
            stop_group(self._process.pid)
            self._process.wait()
            self._process = None

    def answers(self) -> bool:
        """Return whether it answers requests now."""
        return answers(f"{self.url}/_ministack/health", key_headers(self.key.id))

    @property
    def running(self) -> bool:
        """Return whether the process is there."""
        return self._process is not None and self._process.poll() is None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _prepare(self) -> Path:
        """Make the folder private, empty its temporary part and write the key; return the temporary part."""
        temporary = self.folder / "temporary"
        try:
            private_folder(self.folder)
            shutil.rmtree(temporary, ignore_errors=True)
            temporary.mkdir(mode=FOLDER_MODE)
            write_private(self.shell, exports(self.environment()))
        except OSError as error:
            raise CloudError(
                f"{error.filename or self.folder} cannot be kept private ({error.strerror}): run as its owner, or remove it"
            ) from None
        return temporary

    def _environment(self, temporary: Path) -> dict[str, str]:
        return {
            **{name: os.environ[name] for name in PASSED_ON if name in os.environ},
            **self.key.environment(),
            "GATEWAY_PORT": str(self.port),
            "BIND_HOST": HOST,
            "MINISTACK_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "PERSIST_STATE": "1" if self.persist else "0",
            "STATE_DIR": str(self.folder / "state"),
            "TMPDIR": str(temporary),
            "AUTH": "true" if self.auth else "false",
            "LOG_LEVEL": "WARNING",
            "LAMBDA_EXECUTOR": "local",
            "SFTP_ENABLED": "0",
            "IOT_MTLS_ENABLED": "0",
            "STOP_WITH_PARENT": "1",
            "PYTHONUNBUFFERED": "1",
            "ALLOW_LOOPBACK_TARGETS": "1",
            **self._more,
        }

    def _wait(self) -> None:
        until = time.monotonic() + START_SECONDS
        while time.monotonic() < until:
            if not self.running:
                break
            if self.answers():
                return
            time.sleep(0.05)
        said = self.log.read_text(errors="replace").strip().splitlines()
        self.stop()
        raise CloudError(f"the embedded AWS did not start; {self.log} ends with: {said[-1] if said else 'nothing'}")


def is_installed() -> bool:
    """Return whether the embedded AWS is there."""
    return importlib.util.find_spec("ministack") is not None if INSTALLED else PYTHON.exists()


def exports(environment: Mapping[str, str]) -> str:
    """Return lines by which a shell sets variables."""
    return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in environment.items())


def stop_group(group: int) -> None:
    """Kill what is left of a process group."""
    try:
        os.killpg(group, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return


def answers(url: str, headers: Mapping[str, str]) -> bool:
    """Return whether a server answers 200 there."""
    asked = urllib.request.Request(url, headers=dict(headers))
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(asked, timeout=1) as found:
            return bool(found.status == 200)
    except (OSError, urllib.error.URLError, ValueError):
        return False


def is_free(port: int) -> bool:
    """Return whether a server could listen at that port of loopback now."""
    with socket.socket() as tried:
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            tried.bind((HOST, port))
        except OSError:
            return False
    with socket.socket() as tried:
        tried.settimeout(0.2)
        return tried.connect_ex((HOST, port)) != 0


def free_port() -> int:
    """Return a port of loopback that nothing listens at."""
    with socket.socket() as found:
        found.bind((HOST, 0))
        return int(found.getsockname()[1])


def main() -> int:
    """Run the embedded AWS alone until Ctrl-C (`python -m local.cloud`)."""
    try:
        with Cloud(ROOT / ".tocsin", port=int(os.environ.get("TOCSIN_PORT") or DEFAULT_PORT)) as cloud:
            print(f"embedded AWS: {cloud.url} (its key: . {cloud.shell})", flush=True)
            signal.sigwait([signal.SIGINT, signal.SIGTERM])
    except CloudError as error:
        print(f"cloud: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
