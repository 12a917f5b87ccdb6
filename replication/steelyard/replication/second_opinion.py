"""Compares digests of our own with those that the replica publishes of itself."""

import os
import socket
from collections import OrderedDict
from pathlib import Path
from typing import Final

import msgspec

from steelyard.replication.digests import INTERVAL
from steelyard.replication.front import FRAME_BYTES_MAX, PROTOCOL, FromReplica, Open, State

#: How many digests are remembered: of the last 100,000 entries.
HELD_MAX: Final = 1_000
_LENGTH_BYTES: Final = 4
_decode: Final = msgspec.msgpack.Decoder(FromReplica).decode


class SecondOpinion:
    """Listens at the replica's front, as a gateway that asks for nothing, and never waits for it."""

    def __init__(self, path: Path, group: str, name: str) -> None:
        self.compared = 0
        """How many digests were equal."""
        self._path = path
        self._opening = msgspec.msgpack.encode(Open(PROTOCOL, group, name))
        self._socket: socket.socket | None = None
        self._received = b""
        self._ours: OrderedDict[int, bytes] = OrderedDict()
        self._theirs: OrderedDict[int, bytes] = OrderedDict()

    def reached(self, index: int, digest: bytes) -> None:
        """Note our digest after an entry, where members compare theirs."""
        if index % INTERVAL == 0:
            _hold(self._ours, index, digest)

    def compare(self) -> None:
        """Hear what the replica says, and compare.

        Raises ``AssertionError`` if it has another digest than we have.
        """
        self._listen()
        for index in self._ours.keys() & self._theirs.keys():
            ours, theirs = self._ours.pop(index), self._theirs.pop(index)
            assert ours == theirs, f"the replica has another digest after entry {index} than its log gives"
            self.compared += 1

    def close(self) -> None:
        """Listen no more."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
            self._received = b""

    def _listen(self) -> None:
        try:
            if self._socket is None:
                self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
                self._socket.connect(os.fspath(self._path))
                self._socket.setblocking(False)
                self._socket.sendall(len(self._opening).to_bytes(_LENGTH_BYTES, "little") + self._opening)
            while True:
                data = self._socket.recv(1 << 16)
                if not data:
                    self.close()
                    return
                self._received += data
                self._take_frames()
        except BlockingIOError:
            return
        except OSError:
            # The replica is away, or about to be: whatever it says, it says when it is back.
            self.close()

    def _take_frames(self) -> None:
        while len(self._received) >= _LENGTH_BYTES:
            end = _LENGTH_BYTES + int.from_bytes(self._received[:_LENGTH_BYTES], "little")
            assert end <= FRAME_BYTES_MAX, end
            if len(self._received) < end:
                return
            frame = _decode(self._received[_LENGTH_BYTES:end])
            self._received = self._received[end:]
            if isinstance(frame, State) and frame.digest_index:
                _hold(self._theirs, frame.digest_index, frame.digest)


def _hold(digests: OrderedDict[int, bytes], index: int, digest: bytes) -> None:
    digests[index] = digest
    while len(digests) > HELD_MAX:
        digests.popitem(last=False)
