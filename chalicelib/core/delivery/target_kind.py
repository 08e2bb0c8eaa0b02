"""What a file of targets/ declares of its kind: how its field in the rules file is read, and what its receiver can do.

Decisions know the capabilities of a kind and no receiver by name.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from chalicelib.core.errors import FieldError

DEFAULT_ADDRESS = "default"
"""The address that `true` stands for, at kinds that take it: `pagerduty: true`."""
LAST_PLACE = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What the receivers of a kind can do. A kind that is not known can do nothing.

    pages           it wakes people: nothing that is info reaches it, and what is acknowledged there makes no sound again
    edits           a message that was sent can be changed without notifying anyone
    shows_silences  its messages show that what fires is muted
    takes_changes   it takes changes (deploys), which notify nobody: its file has `send_change`
    threads         later notifications belong to the first message, which its receipt names
    """

    pages: bool = False
    edits: bool = False
    shows_silences: bool = False
    takes_changes: bool = False
    threads: bool = False


NOTHING = Capabilities()


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetSample:
    """What tests and `tocsin replay` need to send: settings, and the body of an answer that takes the message.

    Secrets are none of it: replay sets every one, to something that is none.
    """

    settings: Mapping[str, str] = field(default_factory=dict)
    answer: Any = "ok"


@dataclass(frozen=True, slots=True)
class TargetCheck:
    """What `tocsin doctor` finds of a target's settings: `state` is ok, warning or wrong.

    `parameter` is what to set; without it `advice` says what to do.
    """

    state: str
    text: str
    advice: str = ""
    parameter: str = ""


def _never(text: str) -> bool:
    return False


def _nothing(address: str) -> tuple[str, ...]:
    return ()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TargetKind:
    """A kind of target. The name of its file is its word in the rules file and in everything stored.

    title    the receiver's name for people
    meaning  what its field holds, in one line for editors
    read     returns a value of the field, or raises FieldError
    schema   the JSON Schema of the field
    example  a value that is right
    can      what its receivers can do
    sample   what a test needs to send to the example
    names    whether a bare text, as a person writes it on the command line, is a target of this kind
    written  how a person writes such a target on the command line; without it `kind:ADDRESS`
    words    an address for people; without it the title before it
    needs    the parameters without which nothing is sent to the example, each with what that means
    parameters   the names of the secrets and settings that may be read for an address, those of a plain send first
    place    where it stands in a list of kinds; kinds of one place by name
    """

    title: str
    meaning: str
    read: Callable[[Any], Any]
    schema: Mapping[str, Any]
    example: Any
    can: Capabilities
    sample: TargetSample
    names: Callable[[str], bool] = _never
    written: tuple[str, ...] = ()
    words: Callable[[str], str] | None = None
    needs: tuple[tuple[str, str], ...] = ()
    parameters: Callable[[str], tuple[str, ...]] = _nothing
    place: int = LAST_PLACE

    @property
    def takes_true(self) -> bool:
        """Return whether `true` is a value of the field: the default address."""
        try:
            return self.read(True) is True
        except FieldError:
            return False

    def value_of(self, address: str) -> Any:
        """Return an address as the rules file writes it."""
        return True if address == DEFAULT_ADDRESS and self.takes_true else address

    def shown(self, address: str) -> str:
        """Return a target for people; of a web address, which may hold a secret, only the host."""
        if "://" in address:
            return f"{self.title} at {address.split('://', 1)[1].split('/', 1)[0]}"
        return self.words(address) if self.words is not None else f"{self.title} {address}"


def address_of(value: Any) -> str:
    """Return the address that a value of the rules file stands for."""
    return DEFAULT_ADDRESS if value is True else str(value)
