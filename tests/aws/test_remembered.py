"""Values by their bytes: one object for equal bytes, and no more bytes than allowed."""

from chalicelib.aws.remembered import Remembered
from chalicelib.core.context import Context
from chalicelib.core.delivery.delivery_log import DeliveryLog
from chalicelib.messages import codec


def test_equal_bytes_are_one_object() -> None:
    """Given a value that was read, when the same bytes come again → the same object; other bytes are another value."""
    values, first, second = Remembered(), codec.pack(Context(version=1)), codec.pack(Context(version=2))
    assert values.unpack(Context, first) is values.unpack(Context, bytes(first))
    assert values.unpack(Context, second).version == 2
    assert values.unpack(Context, first).version == 1


def test_the_same_bytes_of_two_kinds_are_two_values() -> None:
    """Given bytes that can be read as two kinds → each kind has its own value."""
    values, data = Remembered(), codec.pack({"key": "k", "version": 3})
    assert isinstance(values.unpack(DeliveryLog, data), DeliveryLog)
    assert isinstance(values.unpack(Context, data), Context)


def test_what_was_used_longest_ago_goes_first() -> None:
    """Given more than fits, when values are read → those used last are kept, and one too large for all is not."""
    packed = [codec.pack(Context(version=number)) for number in range(1, 5)]
    values = Remembered(max_bytes=sum(map(len, packed[:3])))
    found = [values.unpack(Context, data) for data in packed[:3]]
    assert values.unpack(Context, packed[0]) is found[0]
    values.unpack(Context, packed[3])
    assert values.unpack(Context, packed[0]) is found[0]
    assert values.unpack(Context, packed[1]) is not found[1]
    small = Remembered(max_bytes=1)
    assert small.unpack(Context, packed[0]) is not small.unpack(Context, packed[0])
