"""Why a deploy ends."""

from chalicelib.core.errors import TocsinError


class DeployError(TocsinError):
    """The deploy cannot go on; the text is what is wrong and what to do."""
