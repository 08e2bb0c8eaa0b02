"""What rules cost: evaluations a second for 100 rules, and loading 1,000 rules from YAML and from the compiled form.

    python bench/rules.py

Prints one JSON object. Times are processor time, the best of several runs; a cold start is measured in a process of its
own, where importing yaml and pydantic counts as well.
"""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from chalicelib.core.language.condition import evaluate, parse
from chalicelib.core.metrics.rollup import bucket_of
from chalicelib.core.metrics.sample import Bucket, Sample
from chalicelib.rules.file import compile_rules, from_compiled, load

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
RULES, LOADED_RULES, RUNS = 100, 1_000, 3
CONDITIONS = (
    "error_rate > {}%",
    "p95_latency_ms > {}",
    "events[1m] > {}",
    "error_rate > {}% and requests_per_min >= 200",
    "avg(p95_latency_ms[5m]) > {}",
    "uptime < 99.{}%",
    "p95(latency_ms[5m]) > {}",
    "growth(db_size_gb[1h]) > {}%",
    "absent(requests_per_min[{}m])",
    "db_size_gb > {}GB",
)


@dataclass(frozen=True)
class Hour:
    """An hour of a sample a minute, and an event a second of the last minute."""

    found: Sequence[Bucket] = field(
        default_factory=lambda: [
            bucket_of(Sample("x", 0.5 + minute / 100, NOW - timedelta(minutes=60 - minute))) for minute in range(1, 61)
        ]
    )
    times: Sequence[datetime] = field(
        default_factory=lambda: tuple(NOW - timedelta(seconds=60 - second) for second in range(60))
    )

    def buckets(self, metric: str, since: datetime, until: datetime) -> Sequence[Bucket]:
        """Return the same values for every metric."""
        return [bucket for bucket in self.found if since < bucket.last_at <= until]

    def event_times(self) -> Sequence[datetime]:
        """Return the times, oldest first."""
        return self.times


def seconds(work: Callable[[], object]) -> float:
    """Return the least processor time of some runs."""
    best = float("inf")
    for _ in range(RUNS):
        started = time.process_time()
        work()
        best = min(best, time.process_time() - started)
    return best


def rules_yaml(count: int) -> str:
    """Return a file of so many rules."""
    lines = ["default: {notification: [{slack_channel: '#alerts'}]}", "alerts:"]
    for number in range(count):
        condition = CONDITIONS[number % len(CONDITIONS)].format(1 + number % 9)
        lines += [f"  - name: Rule {number}", f'    condition: "{condition}"', "    severity: warning", "    for: 2m"]
        lines += ["    match: {service: '=~api|web'}", '    notification: [{slack_channel: "#incidents"}]']
    return "\n".join(lines) + "\n"


def cold_start_ms(code: str, folder: str) -> float:
    """Return milliseconds from the start of a process to its loaded rules, the best of several."""
    best = float("inf")
    for _ in range(RUNS):
        started = time.perf_counter()
        subprocess.run([sys.executable, "-c", code, folder], cwd=ROOT, check=True)
        best = min(best, time.perf_counter() - started)
    return best * 1000


def main() -> None:
    """Measure and print."""
    series = Hour()
    conditions = [parse(CONDITIONS[n % len(CONDITIONS)].format(1 + n % 9)) for n in range(RULES)]
    counting = parse("events[1m] > 10")
    text = rules_yaml(LOADED_RULES)
    compiled = compile_rules(text)
    each = seconds(lambda: [evaluate(condition, series, NOW) for _ in range(20) for condition in conditions])
    counts = seconds(lambda: [evaluate(counting, series, NOW) for _ in range(5_000)])
    code = "import sys; from chalicelib.rules.loader import load_rules; load_rules(sys.argv[1])"
    with tempfile.TemporaryDirectory() as folder:
        shipped = (ROOT / "alert-rules.yaml").read_text(encoding="utf-8")
        (Path(folder) / "alert-rules.yaml").write_text(shipped, encoding="utf-8")
        from_yaml = cold_start_ms(code, folder)
        (Path(folder) / "compiled-rules.json").write_text(compile_rules(shipped), encoding="utf-8")
        from_json = cold_start_ms(code, folder)
    result = {
        "evaluations_a_second_of_100_rules": round(20 * RULES / each),
        "microseconds_an_evaluation": round(each / (20 * RULES) * 1e6, 1),
        "microseconds_an_event_count": round(counts / 5_000 * 1e6, 1),
        "load_1000_rules_from_yaml_ms": round(seconds(lambda: load(text)) * 1000),
        "load_1000_rules_compiled_ms": round(seconds(lambda: from_compiled(compiled)) * 1000),
        "cold_start_shipped_rules_yaml_ms": round(from_yaml),
        "cold_start_shipped_rules_compiled_ms": round(from_json),
    }
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
