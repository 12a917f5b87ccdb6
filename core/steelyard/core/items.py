"""Where the items of a msgpack message begin and end, found without recursion and without decoding them."""
# ruff: noqa: PLR2004 (the marks are numbers of the msgpack specification)

from typing import Final

#: Marks of msgpack by the size of what follows: plain payload, or a length and that many bytes (and a type
#: byte for extensions), or a count of items.
_PLAIN_BYTES: Final = {
    0xC0: 0, 0xC2: 0, 0xC3: 0, 0xCA: 4, 0xCB: 8, 0xCC: 1, 0xCD: 2, 0xCE: 4, 0xCF: 8,
    0xD0: 1, 0xD1: 2, 0xD2: 4, 0xD3: 8, 0xD4: 2, 0xD5: 3, 0xD6: 5, 0xD7: 9, 0xD8: 17,
}  # fmt: skip
_LENGTH_BYTES: Final = {0xC4: 1, 0xC5: 2, 0xC6: 4, 0xD9: 1, 0xDA: 2, 0xDB: 4}
_EXTENSION_BYTES: Final = {0xC7: 1, 0xC8: 2, 0xC9: 4}
_ARRAY_BYTES: Final = {0xDC: 2, 0xDD: 4}
_MAP_BYTES: Final = {0xDE: 2, 0xDF: 4}


class CutShort(Exception):
    """The bytes are no msgpack, or end in the middle of it."""


def array_header(body: bytes, at: int) -> tuple[int, int]:
    """Return the length of the array that starts at ``at``, and where its first item does.

    Raises ``CutShort`` if there is no array.
    """
    mark = body[at] if at < len(body) else 0
    if 0x90 <= mark <= 0x9F:
        return mark - 0x90, at + 1
    if mark in _ARRAY_BYTES:
        return _unsigned(body, at + 1, _ARRAY_BYTES[mark]), at + 1 + _ARRAY_BYTES[mark]
    raise CutShort("no array where one must be")


def end_of_item(body: bytes, at: int) -> int:
    """Return where the item that starts at ``at`` ends, or raise ``CutShort`` if it does not."""
    pending = 1
    while pending > 0:
        if at >= len(body):
            raise CutShort("the bytes end too early")
        mark = body[at]
        at += 1
        pending -= 1
        if mark <= 0x7F or mark >= 0xE0:
            continue
        if mark <= 0x8F:
            pending += 2 * (mark - 0x80)
        elif mark <= 0x9F:
            pending += mark - 0x90
        elif mark <= 0xBF:
            at += mark - 0xA0
        elif mark in _PLAIN_BYTES:
            at += _PLAIN_BYTES[mark]
        elif mark in _LENGTH_BYTES:
            at += _LENGTH_BYTES[mark] + _unsigned(body, at, _LENGTH_BYTES[mark])
        elif mark in _EXTENSION_BYTES:
            at += _EXTENSION_BYTES[mark] + 1 + _unsigned(body, at, _EXTENSION_BYTES[mark])
        elif mark in _ARRAY_BYTES:
            pending += _unsigned(body, at, _ARRAY_BYTES[mark])
            at += _ARRAY_BYTES[mark]
        elif mark in _MAP_BYTES:
            pending += 2 * _unsigned(body, at, _MAP_BYTES[mark])
            at += _MAP_BYTES[mark]
        else:
            raise CutShort("a byte that msgpack does not use")
    if at > len(body):
        raise CutShort("the bytes end too early")
    return at


def _unsigned(body: bytes, at: int, size: int) -> int:
    if at + size > len(body):
        raise CutShort("the bytes end too early")
    return int.from_bytes(body[at : at + size], "big")
