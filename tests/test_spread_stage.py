"""A stage with more probes than one run takes, on the embedded AWS: the function asks further workers of itself."""

import json
import re

import pytest

from chalicelib.core.probe_state import STATE, read
from tests.deployed import Stage, deployed_stage
from tests.slow_server import slow_server
from tests.test_app import schedule

PROBES = 1_100


def rules(port: int) -> str:
    """So many probes of a port, and nobody to notify."""
    probes = [{"name": f"p{number}", "host": "127.0.0.1", "port": port} for number in range(PROBES)]
    return json.dumps({"default": {"notification": [{"nobody": "a test"}]}, "probes": {"tcp": probes}})


def ran(stage: Stage) -> list[int]:
    """How many probes each run of the watch had, as it logged."""
    return [int(each) for each in re.findall(r'"stage": "watch", "ran": (\d+)', stage.said())]


@pytest.mark.acceptance
def test_workers_share_the_probes_of_a_minute(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Given 1,100 probes, and the rights of the function alone → three workers try them in one run, which has all in its state."""
    with slow_server(lambda connection: None) as server:
        folders = tmp_path_factory.mktemp("project"), tmp_path_factory.mktemp("cloud")
        with deployed_stage(*folders, rules(server.port)) as stage:
            call = {"FunctionName": "tocsin-local-watch", "InvocationType": "Event", "Payload": json.dumps(schedule())}
            stage.clients("lambda").invoke(**call)
            stage.eventually(lambda: PROBES in ran(stage), "no run had all probes")
            shares = re.findall(r'"action": "share", "ran": (\d+)', stage.said())
            assert sorted(shares[:2]) == ["366", "367"]
            assert '"unanswered"' not in stage.said()
            table, key = stage.clients("dynamodb"), {"pk": {"S": f"mark#{STATE}"}, "sk": {"S": "mark"}}
            text = table.get_item(TableName="tocsin-local", Key=key, ConsistentRead=True)["Item"]["text"]["S"]
            state = read(text)
            assert (len(state.series), state.broken) == (PROBES, {})
            assert all(past.fine_at is not None for past in state.series.values())
