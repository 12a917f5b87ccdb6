"""Frames between members, ``u32 length | u32 epoch | u64 sequence | u32 header crc | u32 crc | payload``.

Numbers are big-endian. The sequence counts from 0 on each connection and direction; a gap, a
repeat, another connection's epoch or a wrong crc ends the connection, so what arrives is always
a prefix of what was sent, in order. The header has a crc of its own: a damaged length would be
waited for, on a connection that looks alive and says nothing.
"""

import struct
import zlib
from collections.abc import Iterator
from typing import Final

_PLACE: Final = struct.Struct(">IIQ")  # length, epoch, sequence
_CRCS: Final = struct.Struct(">II")  # of these, and of the payload on top of that
HEADER_BYTES: Final = _PLACE.size + _CRCS.size


class FrameError(Exception):
    """The other side sent what a member never sends; close the connection."""


class FrameWriter:
    """Numbers the frames of one direction of one connection."""

    def __init__(self) -> None:
        self.epoch = 0
        self._sequence = 0

    def header(self, payload: bytes) -> bytes:
        """Return the header to send before ``payload``."""
        place = _PLACE.pack(len(payload), self.epoch, self._sequence)
        self._sequence += 1
        crc = zlib.crc32(place)
        return place + _CRCS.pack(crc, zlib.crc32(payload, crc))


class FrameReader:
    """Cuts a byte stream into payloads; ``payload_bytes_max`` caps what a frame may claim."""

    def __init__(self, payload_bytes_max: int) -> None:
        self.payload_bytes_max = payload_bytes_max
        self.epoch = 0
        self._sequence = 0
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield the payloads completed by ``data``, one by one: epoch and cap may change in between.

        Raises:
            FrameError: Oversized, damaged, out of sequence, or another connection's.

        """
        buffer = self._buffer
        buffer += data
        position = 0
        try:
            while len(buffer) - position >= HEADER_BYTES:
                length, epoch, sequence = _PLACE.unpack_from(buffer, position)
                header_crc, crc = _CRCS.unpack_from(buffer, position + _PLACE.size)
                start = position + HEADER_BYTES
                if zlib.crc32(buffer[position : position + _PLACE.size]) != header_crc:
                    raise FrameError("wrong checksum")
                if length > self.payload_bytes_max:
                    raise FrameError("oversized frame")
                if epoch != self.epoch or sequence != self._sequence:
                    raise FrameError("frame out of sequence")
                end = start + length
                if len(buffer) < end:
                    break
                payload = bytes(memoryview(buffer)[start:end])
                if zlib.crc32(payload, header_crc) != crc:
                    raise FrameError("wrong checksum")
                self._sequence += 1
                position = end
                yield payload
        finally:
            del buffer[:position]
