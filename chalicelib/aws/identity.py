"""Where faults and incidents are, in DynamoDB: items that are found by a key, never by a scan.

    pk                sk          what
    fault#<name>      fault       a holder in each attribute `h#<slot>`, an end that met none in each `e#<id>`
    id#<id, alias>    incident    the group key of the incident with that id or alias

One conditional update of one attribute claims a slot, so that two workers that meet a fault first agree on its home:
1 write unit. A read of many faults is one BatchGetItem, consistent: 1 read unit each. Items expire 90 days after
their last change.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import timedelta
from typing import Any

from chalicelib.aws.json_client import AwsError
from chalicelib.aws.table_client import stored_item
from chalicelib.aws.table_errors import CONFLICT, table_errors
from chalicelib.core.event import fingerprint
from chalicelib.core.identity import End, Fault, Holder, with_end
from chalicelib.messages import codec

KEPT = timedelta(days=90)
SLOT, END = "h#", "e#"
Item = Mapping[str, Any]


class DynamoIdentity:
    """`read` reads items by their keys, consistently; `clock` gives seconds since the epoch, for clean-up dates only."""

    def __init__(
        self,
        client: Any,
        table: str,
        *,
        clock: Callable[[], float],
        read: Callable[[Collection[str], str], Iterable[Item]],
    ) -> None:
        self._client = client
        self._table = table
        self._clock = clock
        self._read = read

    def faults(self, names: Collection[str]) -> Mapping[str, Fault]:
        """Return what is stored of these faults."""
        items = self._read([f"fault#{name}" for name in names], "fault")
        return {item["pk"]["S"].partition("#")[2]: _fault(item) for item in items}

    def claim(self, name: str, slot: str, holder: Holder, *, over: Holder | None) -> Fault:
        """Store a holder in a slot of a fault if the slot is empty or still has `over`. Return the fault as it is then."""
        values = {":holder": {"S": codec.dumps(holder)}}
        condition = "attribute_not_exists(#slot) OR #slot = :holder"
        if over is not None:
            values[":over"] = {"S": codec.dumps(over)}
            condition += " OR #slot = :over"
        with table_errors("a fault"):
            try:
                answer = self._updated(
                    name,
                    "SET #slot = :holder, expires_at = :expires",
                    {"#slot": f"{SLOT}{slot}"},
                    values,
                    ConditionExpression=condition,
                    ReturnValuesOnConditionCheckFailure="ALL_OLD",
                )
            except AwsError as error:
                if error.code != CONFLICT:
                    raise
                return _fault(stored_item(error))
        return _fault(answer["Attributes"])

    def end_fault(self, name: str, end: End) -> Fault:
        """Remember an end that no incident knows the fault of. Return the fault as it is then.

        Each end is an attribute of its own, so that two workers lose none; the oldest go once there are too many.
        """
        before = self.faults([name]).get(name, Fault())
        kept = with_end(before, end).ends
        names = {"#end": f"{END}{fingerprint(end.id)}"}
        names |= {
            f"#gone{number}": f"{END}{fingerprint(each.id)}"
            for number, each in enumerate(before.ends)
            if each not in kept
        }
        removed = ", ".join(each for each in names if each != "#end")
        with table_errors("a fault"):
            answer = self._updated(
                name,
                f"SET #end = :end, expires_at = :expires{f' REMOVE {removed}' if removed else ''}",
                names,
                {":end": {"S": codec.dumps(end)}},
            )
        return _fault(answer["Attributes"])

    def located(self, name: str) -> str | None:
        """Return the group key of the incident with this id or alias; None for an unknown one."""
        for item in self._read([f"id#{name}"], "incident"):
            return str(item["key"]["S"])
        return None

    def locate(self, names: Collection[str], key: str) -> None:
        """Remember the group key of an incident's id and aliases."""
        for name in names:
            item = {
                "pk": {"S": f"id#{name}"},
                "sk": {"S": "incident"},
                "key": {"S": key},
                "expires_at": self._expires(),
            }
            with table_errors("the place of an incident"):
                self._client.put_item(TableName=self._table, Item=item)

    def _updated(
        self, name: str, expression: str, names: Mapping[str, str], values: Mapping[str, Any], **more: str
    ) -> Mapping[str, Any]:
        answer: Mapping[str, Any] = self._client.update_item(
            TableName=self._table,
            Key={"pk": {"S": f"fault#{name}"}, "sk": {"S": "fault"}},
            UpdateExpression=expression,
            ExpressionAttributeNames=names,
            ExpressionAttributeValues={**values, ":expires": self._expires()},
            ReturnValues="ALL_NEW",
            **more,
        )
        return answer

    def _expires(self) -> dict[str, str]:
        return {"N": str(int(self._clock() + KEPT.total_seconds()))}


def _fault(item: Item) -> Fault:
    holders = {
        name.removeprefix(SLOT): codec.loads(Holder, value["S"])
        for name, value in item.items()
        if name.startswith(SLOT)
    }
    ends = [codec.loads(End, value["S"]) for name, value in item.items() if name.startswith(END)]
    return Fault(holders, tuple(sorted(ends, key=lambda end: end.at)))
