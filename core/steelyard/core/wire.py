"""Entries, requests and what came of them, as bytes and back.

The bytes are msgpack arrays without names, so the order of the fields is the format: a new field goes last
and comes with a new entry version.
"""

from typing import Final, TypeVar

import msgspec

from steelyard.core import versions
from steelyard.core.commands import Skip
from steelyard.core.entry import AnyReply, Applied, AppliedWithDue, Entry, Request
from steelyard.core.items import CutShort, array_header, end_of_item
from steelyard.core.limits import INTEGER_MAX
from steelyard.core.rejects import Reject
from steelyard.core.units import KeyId, SessionId

_Decoded = TypeVar("_Decoded")

_ENCODER: Final = msgspec.msgpack.Encoder()
_ENTRY_DECODER: Final = msgspec.msgpack.Decoder(Entry)
_REQUEST_DECODER: Final = msgspec.msgpack.Decoder(Request)
_APPLIED_DECODER: Final = msgspec.msgpack.Decoder(Applied)
_APPLIED_WITH_DUE_DECODER: Final = msgspec.msgpack.Decoder(AppliedWithDue)
_REPLY_DECODER: Final[msgspec.msgpack.Decoder[AnyReply]] = msgspec.msgpack.Decoder(AnyReply)
_INT_DECODER: Final = msgspec.msgpack.Decoder(int)
_ENTRY_FIELDS: Final = len(Entry.__struct_fields__)
#: How an array of as many items begins as an entry's outcome has that did due work.
_WITH_DUE: Final = bytes((0x90 + len(AppliedWithDue.__struct_fields__),))

#: What decoding can raise: text that is not UTF-8 is no ``DecodeError`` to msgspec.
_NOT_DECODABLE: Final = (msgspec.DecodeError, UnicodeDecodeError)

#: What stands for a request that cannot be read: it belongs to no session and does nothing.
UNREADABLE: Final = Request(SessionId(0), 0, 0, KeyId(0), 0, 0, Skip(reason=Reject.MALFORMED))


class UnknownEntry(Exception):
    """The bytes are no entry that this version knows; nothing of it may be applied."""


def encode_entry(entry: Entry) -> bytes:
    """Return the bytes that go into the log."""
    return _ENCODER.encode(entry)


def decode_entry(body: bytes) -> Entry:
    """Return the entry that the log holds.

    A request that cannot be read becomes ``UNREADABLE``, so that whatever bytes a client got into the log
    are the same refusal on every replica.  Raises ``UnknownEntry`` if this build does not know the version,
    if the time is out of range, or if the bytes around the requests are no entry.
    """
    try:
        entry = _ENTRY_DECODER.decode(body)
    except _NOT_DECODABLE:
        entry = _decode_leniently(body)
    if not 0 < entry.version <= versions.KNOWN_MAX:
        raise UnknownEntry(f"entry of version {entry.version}, and this build knows {versions.KNOWN_MAX}")
    if not 0 < entry.time_ns <= INTEGER_MAX:
        raise UnknownEntry(f"entry time {entry.time_ns}")
    return entry


def encode_request(request: Request) -> bytes:
    """Return the bytes of one request, as they stand in an entry."""
    return _ENCODER.encode(request)


def decode_request(body: bytes) -> Request:
    """Return one request, or raise ``msgspec.DecodeError`` if the bytes are no request."""
    return _decode(_REQUEST_DECODER, body)


def encode_reply(reply: AnyReply) -> bytes:
    """Return the bytes of one reply."""
    return _ENCODER.encode(reply)


def decode_reply(body: bytes) -> AnyReply:
    """Return one reply, or raise ``msgspec.DecodeError`` if the bytes are no reply."""
    return _decode(_REPLY_DECODER, body)


def encode_applied(applied: Applied) -> bytes:
    """Return the bytes that feed the digest and the archive."""
    return _ENCODER.encode(applied)


def decode_applied(body: bytes) -> Applied:
    """Return what an entry came to, or raise ``msgspec.DecodeError`` if the bytes are something else."""
    if body[:1] == _WITH_DUE:
        return _decode(_APPLIED_WITH_DUE_DECODER, body)
    return _decode(_APPLIED_DECODER, body)


def _decode(decoder: msgspec.msgpack.Decoder[_Decoded], body: bytes) -> _Decoded:
    try:
        return decoder.decode(body)
    except UnicodeDecodeError as error:
        raise msgspec.DecodeError(str(error)) from error


def _decode_leniently(body: bytes) -> Entry:
    # Split by hand and without recursion: how deep the decoder may recurse depends on the stack of its
    # caller, which is not the same on every replica.
    try:
        fields, at = array_header(body, 0)
        if fields != _ENTRY_FIELDS:
            raise UnknownEntry(f"an entry of {fields} fields")
        version_end = end_of_item(body, at)
        time_end = end_of_item(body, version_end)
        version = _INT_DECODER.decode(body[at:version_end])
        time_ns = _INT_DECODER.decode(body[version_end:time_end])
        count, at = array_header(body, time_end)
        requests: list[Request] = []
        for _ in range(count):
            end = end_of_item(body, at)
            requests.append(_request_or_unreadable(body[at:end]))
            at = end
    except (CutShort, *_NOT_DECODABLE) as error:
        raise UnknownEntry(f"not an entry: {error}") from error
    if at != len(body):
        raise UnknownEntry(f"{len(body) - at} bytes after the entry")
    return Entry(version, time_ns, requests)


def _request_or_unreadable(body: bytes) -> Request:
    try:
        return _REQUEST_DECODER.decode(body)
    except _NOT_DECODABLE:
        return UNREADABLE
