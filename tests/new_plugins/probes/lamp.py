"""How bright a lamp is.

    - name: hall
      watts: 40

Samples: `uptime` and `lumens`.
"""

from collections.abc import Mapping
from typing import Any

from chalicelib.probes import Attempt, Down, common_mistakes

MEANING = "Lamps whose light is measured."
METRICS = ("lumens",)
SAMPLE = {"name": "hall", "watts": 40}


async def check(attempt: Attempt) -> None:
    """Add the light of the lamp. Raise Down when it is dark."""
    watts = float(attempt.params["watts"])
    attempt.expected = "light"
    if watts <= 0:
        raise Down("the lamp is dark")
    attempt.up()
    attempt.add("lumens", 10.0 * watts)


def validate(params: Mapping[str, Any]) -> list[str]:
    """Return the mistakes of an entry of `probes: {lamp: […]}`, in words."""
    return common_mistakes(params, required=("watts",), allowed=())
