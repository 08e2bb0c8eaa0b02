"""What a probe raises about its target."""

from datetime import timedelta

from chalicelib.core.errors import TargetUnavailableError


class Down(Exception):
    """What is watched did not do what was expected; the text says what it did instead, without secrets."""


class UnmeasuredError(TargetUnavailableError):
    """The probe cannot know how its target is; the text says why. `final`: a second try cannot know either."""

    def __init__(self, text: str, *, final: bool = False, retry_after: timedelta | None = None) -> None:
        super().__init__(text, retry_after=retry_after)
        self.final = final
