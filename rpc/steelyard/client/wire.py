"""Protobuf bytes by hand, for the few messages of which there are a hundred thousand a second."""

from struct import Struct
from typing import Final
from zlib import crc32

#: An unsigned field of the protocol is below this; a signed one is within it.
NUMBER_MAX: Final = (1 << 62) - 1
_UINT64_MAX: Final = (1 << 64) - 1
_INT64_MIN: Final = -(1 << 63)
_CHUNK: Final = 1 << 14
_TWO_CHUNKS: Final = 1 << 28

fixed32: Final = Struct("<I").pack


def _slow_varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:  # noqa: PLR2004 - seven bits a byte
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


#: The varints of all numbers of up to 14 bits, and the same 14 bits when more follow.
_WHOLE: Final = tuple(_slow_varint(number) for number in range(_CHUNK))
_MORE: Final = tuple(bytes((number & 0x7F | 0x80, number >> 7 | 0x80)) for number in range(_CHUNK))


def varint(number: int) -> bytes:
    """Return the varint of ``number``; below zero as 64-bit two's complement, like ``int64``.

    Raises:
        ValueError: It does not fit 64 bits.

    """
    if number < _CHUNK:
        if number >= 0:
            return _WHOLE[number]
        if number < _INT64_MIN:
            raise ValueError(f"{number} does not fit 64 bits")
        number &= _UINT64_MAX
    elif number < _TWO_CHUNKS:
        return _MORE[number & 0x3FFF] + _WHOLE[number >> 14]
    elif number > _UINT64_MAX:
        raise ValueError(f"{number} does not fit 64 bits")
    out = _MORE[number & 0x3FFF]
    number >>= 14
    while number >= _CHUNK:
        out += _MORE[number & 0x3FFF]
        number >>= 14
    return out + _WHOLE[number]


def zigzag(number: int) -> int:
    """Return the unsigned form of a ``sint64``: 0, -1, 1, -2 … become 0, 1, 2, 3 …."""
    return number * 2 if number >= 0 else -number * 2 - 1


def delimited(tag: bytes, body: bytes) -> bytes:
    """Return a length-delimited field: ``tag | length | body``."""
    return b"%b%b%b" % (tag, varint(len(body)), body)


#: The unchanging middle of a PlaceOrder, by (instrument, side, kind, time in force): fields 2 to 5.
_middles: Final[dict[tuple[int, int, int, int], bytes]] = {}
_MIDDLES_MAX: Final = 4096


def place_order(
    order: int,
    instrument: int,
    side: int,
    kind: int,
    time_in_force: int,
    size_lots: int,
    limit_ticks: int,
    post_only: bool,
    label: str,
) -> bytes:
    """Return the bytes of a ``PlaceOrder``."""
    key = (instrument, side, kind, time_in_force)
    middle = _middles.get(key)
    if middle is None:
        if len(_middles) >= _MIDDLES_MAX:
            _middles.clear()
        middle = b"".join(
            tag + varint(value)
            for tag, value in zip((b"\x10", b"\x18", b"\x20", b"\x28"), key, strict=True)
            if value
        )
        _middles[key] = middle
    body = b"\x08%b%b\x30%b" % (varint(order), middle, varint(size_lots))
    if limit_ticks:
        body += b"\x38" + varint(limit_ticks)
    if post_only:
        body += b"\x40\x01"
    if label:
        body += delimited(b"\x4a", label.encode())
    return body


def cancel_order(order: int, number: int, label: str) -> bytes:
    """Return the bytes of a ``CancelOrder``."""
    body = b"\x08" + varint(order) if order else b""
    if number:
        body += b"\x10" + varint(number)
    if label:
        body += delimited(b"\x1a", label.encode())
    return body


PLACE_ORDER: Final = b"\x22"
CANCEL_ORDER: Final = b"\x2a"


def command(request: int, fingerprint: int, not_after_ns: int, kind: bytes, body: bytes) -> bytes:
    """Return one ``commands`` field of a ``TradeRequest``; ``kind`` is the tag of the command's own field."""
    head = b"\x08%b\x15%b" % (varint(request), fixed32(fingerprint))
    if not_after_ns:
        head += b"\x18" + varint(not_after_ns)
    size = len(head) + len(kind) + 1 + len(body)
    if len(body) < 128:  # noqa: PLR2004 - a length of one byte
        return b"\x12%b%b%b%b%b" % (varint(size), head, kind, varint(len(body)), body)
    inner = head + delimited(kind, body)
    return delimited(b"\x12", inner)


def wants_from(request: int) -> bytes:
    """Return the ``wants_from`` field of a ``TradeRequest``."""
    return b"\x18" + varint(request)


def fingerprint_of(kind: bytes, body: bytes) -> int:
    """Return the number by which a client knows its own command again."""
    return crc32(body, kind[0])
