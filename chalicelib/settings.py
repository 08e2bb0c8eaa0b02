"""Settings: names of things, from the environment, read once. Secrets are not here: see aws/secrets.py.

TOCSIN_STAGE          local, or the name of a stage on AWS such as prod
TOCSIN_TABLE          the table; without it `tocsin-<stage>`
TOCSIN_QUEUE_PREFIX   queues are `<prefix>-webhooks` and `<prefix>-notifications`, dead letters the same with
                      `-dead`; without it `tocsin-<stage>`
TOCSIN_PARAMETERS     where secrets are; without it `/tocsin/<stage>/`
AWS_REGION            set by Lambda; AWS_DEFAULT_REGION will do
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass

from chalicelib.core.errors import TocsinError

DEFAULT_STAGE = "local"


class SettingsError(TocsinError):
    """The environment lacks something; the text names all of it."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Names of the things of one stage."""

    stage: str
    region: str
    table: str
    queue_prefix: str
    parameters: str

    @classmethod
    def from_env(cls, environment: Mapping[str, str] = os.environ) -> "Settings":
        """Return the settings; raises SettingsError naming all variables that are missing."""
        stage = environment.get("TOCSIN_STAGE", "")
        region = environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION") or ""
        missing = [name for name, value in (("TOCSIN_STAGE", stage), ("AWS_REGION", region)) if not value]
        if missing:
            raise SettingsError(f"the environment lacks {' and '.join(missing)}")
        return cls(
            stage=stage,
            region=region,
            table=environment.get("TOCSIN_TABLE") or f"tocsin-{stage}",
            queue_prefix=environment.get("TOCSIN_QUEUE_PREFIX") or f"tocsin-{stage}",
            parameters=environment.get("TOCSIN_PARAMETERS") or f"/tocsin/{stage}/",
        )

    @property
    def webhooks_queue(self) -> str:
        """Return the name of the queue of what came in."""
        return f"{self.queue_prefix}-webhooks"

    @property
    def notifications_queue(self) -> str:
        """Return the name of the queue of what goes out."""
        return f"{self.queue_prefix}-notifications"

    @property
    def counts_queue(self) -> str:
        """Return the name of the queue of events that only count."""
        return f"{self.queue_prefix}-counts"

    @property
    def history_queue(self) -> str:
        """Return the name of the queue of what is to be recorded."""
        return f"{self.queue_prefix}-history"


def queue_prefix(environment: Mapping[str, str] = os.environ) -> str:
    """Return the prefix of the queues for Chalice's decorators, which need one whenever `app.py` is imported."""
    stage = environment.get("TOCSIN_STAGE") or DEFAULT_STAGE
    return environment.get("TOCSIN_QUEUE_PREFIX") or f"tocsin-{stage}"


def dead_letters(queue: str) -> str:
    """Return the name of the dead-letter queue of a queue."""
    return f"{queue}-dead"
