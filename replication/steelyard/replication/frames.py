"""Frames between members: ``u32 length | u32 crc32 | u32 epoch | u64 sequence | payload``, big-endian.

The sequence counts from 0 on each connection and direction; a gap, a repeat, another
connection's epoch or a wrong crc ends the connection, so what arrives is always a
prefix of what was sent, in order.
"""

import struct
import zlib
from collections.abc import Iterator
from typing import Final

_HEADER: Final = struct.Struct(">IIIQ")
_COVERED: Final = struct.Struct(">IQ")  # epoch, sequence


class FrameError(Exception):
    """The other side sent what a member never sends; close the connection."""


class FrameWriter:
    """Numbers the frames of one direction of one connection."""

    def __init__(self) -> None:
        self.epoch = 0
        self._sequence = 0

    def header(self, payload: bytes) -> bytes:
        """Return the header to send before ``payload``."""
        crc = zlib.crc32(payload, zlib.crc32(_COVERED.pack(self.epoch, self._sequence)))
        header = _HEADER.pack(len(payload), crc, self.epoch, self._sequence)
        self._sequence += 1
        return header


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
            while len(buffer) - position >= _HEADER.size:
                length, crc, epoch, sequence = _HEADER.unpack_from(buffer, position)
                if length > self.payload_bytes_max:
                    raise FrameError("oversized frame")
                if epoch != self.epoch or sequence != self._sequence:
                    raise FrameError("frame out of sequence")
                end = position + _HEADER.size + length
                if len(buffer) < end:
                    break
                payload = bytes(memoryview(buffer)[position + _HEADER.size : end])
                if zlib.crc32(payload, zlib.crc32(_COVERED.pack(epoch, sequence))) != crc:
                    raise FrameError("wrong checksum")
                self._sequence += 1
                position = end
                yield payload
        finally:
            del buffer[:position]
