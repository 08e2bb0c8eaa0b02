"""Rate limits of the stand-ins: a bucket that fills again, and a count in the last minute. Times are Unix seconds."""

import math
from collections import deque
from dataclasses import dataclass, field

MINUTE_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Limits:
    """How fast each vendor takes requests.

    slack_per_second, slack_burst   messages to one channel: https://docs.slack.dev/apis/web-api/rate-limits says about
                                    one a second and short bursts, whose size is not published
    slack_per_minute                messages to the whole workspace ("several hundred")
    slack_tiers                     whether other methods keep to their tier
    pagerduty_per_minute            events of one routing key: 120
    ses_per_second                  mails: 14, the first rate of an account outside the sandbox
    discord_per_second, discord_burst   requests of one webhook; Discord publishes no number
    teams_per_second                requests of one flow: 4, as Microsoft says of incoming webhooks
    """

    slack_per_second: float = 1.0
    slack_burst: int = 4
    slack_per_minute: int = 600
    slack_tiers: bool = True
    pagerduty_per_minute: int = 120
    ses_per_second: int = 14
    discord_per_second: float = 2.5
    discord_burst: int = 5
    teams_per_second: int = 4


_MANY = 1_000_000_000
UNLIMITED = Limits(1e9, _MANY, _MANY, False, _MANY, _MANY, 1e9, _MANY, _MANY)
"""For tests of something else."""


@dataclass(slots=True)
class Bucket:
    """`burst` at once, then `per_second`."""

    per_second: float
    burst: int
    filled: float = -1
    at: float = 0

    def take(self, now: float) -> float:
        """Take one and return 0. When none is left, return the seconds until one is."""
        if self.filled < 0:
            self.filled = float(self.burst)
        else:
            self.filled = min(float(self.burst), self.filled + max(0.0, now - self.at) * self.per_second)
        self.at = now
        if self.filled >= 1 - 1e-9:
            self.filled -= 1
            return 0
        return (1 - self.filled) / self.per_second


@dataclass(slots=True)
class Window:
    """`limit` in any `seconds`."""

    limit: int
    seconds: float = MINUTE_SECONDS
    taken: deque[float] = field(default_factory=deque)

    def take(self, now: float) -> float:
        """Take one and return 0. When none is left, return the seconds until one is."""
        while self.taken and self.taken[0] <= now - self.seconds:
            self.taken.popleft()
        if len(self.taken) < self.limit:
            self.taken.append(now)
            return 0
        return self.taken[0] + self.seconds - now


def whole_seconds(wait: float) -> int:
    """Return a wait as Retry-After has it: whole seconds, at least one."""
    return max(1, math.ceil(wait))
