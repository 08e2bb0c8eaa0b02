"""The configuration of the command line: stages by their names, each with an address and where its token is.

~/.config/tocsin/config.toml (XDG_CONFIG_HOME counts), or the file that TOCSIN_CONFIG names:

    stage = "prod"            the stage of commands without --stage
    user = "ana"              who acts; TOCSIN_USER counts before it

    [stages.prod]
    url = "https://tocsin.example.com"          the address that the deploy printed
    token_command = "pass show tocsin/prod"     or token_file = "~/.tocsin-prod", or token_env = "TOCSIN_PROD"

The token itself is not written here. A file of a token must be its owner's alone.
"""

import os
import shlex
import stat
import subprocess
import tomllib
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from chalicelib.core.errors import TocsinError

FIELDS = ("stage", "user", "stages")
STAGE_FIELDS = ("url", "token_command", "token_file", "token_env")
SOURCES = STAGE_FIELDS[1:]
COMMAND_SECONDS = 30


class ConfigError(TocsinError):
    """The configuration has a mistake; the text names the file and the field."""


@dataclass(frozen=True, slots=True)
class Config:
    """What the file says. `stages` are tables as read."""

    path: Path
    stage: str = ""
    user: str = ""
    stages: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def url(self, stage: str) -> str:
        """Return the address of a stage; empty where the file has none."""
        return self.stages.get(stage, {}).get("url", "")

    def token(self, stage: str, environment: Mapping[str, str]) -> str:
        """Return the token of a stage from where the file says that it is. Raise ConfigError without one."""
        given = self.stages[stage]
        source = next((name for name in SOURCES if name in given), "")
        if source == "token_env":
            found = environment.get(given[source], "")
        elif source == "token_file":
            found = self._from_file(Path(given[source]).expanduser(), stage)
        else:
            found = self._from_command(given.get(source, ""), stage)
        if not found.strip():
            raise ConfigError(f"{self.path}: stages.{stage}: {source or 'a token'} is missing or empty; {_EXPECTED}")
        return found.strip()

    def _from_file(self, path: Path, stage: str) -> str:
        try:
            if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
                raise ConfigError(f"{path} can be read by others: run `chmod 600 {path}`")
            return path.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is not UTF-8"
            raise ConfigError(f"{self.path}: stages.{stage}: token_file {path}: {reason}") from None

    def _from_command(self, command: str, stage: str) -> str:
        try:
            words = shlex.split(command)
        except ValueError as error:
            raise ConfigError(f"{self.path}: stages.{stage}: token_command is no command: {error}") from None
        if not words:
            return ""
        try:
            done = subprocess.run(words, stdout=subprocess.PIPE, encoding="utf-8", timeout=COMMAND_SECONDS, check=False)
        except UnicodeDecodeError:
            raise ConfigError(f"{self.path}: stages.{stage}: token_command {words[0]} printed no UTF-8") from None
        except (OSError, subprocess.TimeoutExpired) as error:
            reason = getattr(error, "strerror", None) or f"it took longer than {COMMAND_SECONDS} s"
            raise ConfigError(f"{self.path}: stages.{stage}: token_command {words[0]}: {reason}") from None
        if done.returncode:
            raise ConfigError(f"{self.path}: stages.{stage}: token_command {words[0]} ended with {done.returncode}")
        return done.stdout


_EXPECTED = f"expected is one of {', '.join(SOURCES)}"


def config(environment: Mapping[str, str] = os.environ) -> Config:
    """Return the configuration; an empty one where there is no file. Raise ConfigError at a mistake."""
    path = path_of(environment)
    try:
        found = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        if environment.get("TOCSIN_CONFIG"):
            raise ConfigError(f"{path}: there is no such file, and TOCSIN_CONFIG names it") from None
        return Config(path)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None
    except ValueError as error:
        raise ConfigError(f"{path}: it is no TOML: {error}") from None
    return _checked(path, found)


def is_address(url: str) -> bool:
    """Return whether a request can be sent to it: http or https, a host, a port that is a number, printable ASCII."""
    try:
        parts = urllib.parse.urlsplit(url)
        known = parts.port is None or parts.port > 0
    except ValueError:
        return False
    plain = url.isascii() and url.isprintable() and " " not in url
    return known and plain and parts.scheme in ("http", "https") and bool(parts.hostname)


def path_of(environment: Mapping[str, str]) -> Path:
    """Return where the file is, or would be."""
    if given := environment.get("TOCSIN_CONFIG"):
        return Path(given).expanduser()
    home = environment.get("XDG_CONFIG_HOME") or "~/.config"
    return Path(home).expanduser() / "tocsin" / "config.toml"


def _checked(path: Path, found: Mapping[str, Any]) -> Config:
    _only(path, "", found, FIELDS)
    stages = found.get("stages", {})
    if not isinstance(stages, dict) or not all(isinstance(each, dict) for each in stages.values()):
        raise ConfigError(f"{path}: stages is no table; expected is [stages.prod]")
    for name, given in stages.items():
        _only(path, f"stages.{name}.", given, STAGE_FIELDS)
        _texts(path, f"stages.{name}.", given)
        if not is_address(given.get("url", "")):
            raise ConfigError(f"{path}: stages.{name}.url is no address; expected is https://…")
    _texts(path, "", {name: found[name] for name in ("stage", "user") if name in found})
    return Config(path, found.get("stage", ""), found.get("user", ""), stages)


def _only(path: Path, place: str, given: Mapping[str, Any], allowed: tuple[str, ...]) -> None:
    for name in given:
        if name not in allowed:
            raise ConfigError(f"{path}: {place}{name} is unknown; allowed are {', '.join(allowed)}")


def _texts(path: Path, place: str, given: Mapping[str, Any]) -> None:
    for name, value in given.items():
        if not isinstance(value, str):
            raise ConfigError(f"{path}: {place}{name} is no text")
