"""Replay an encoded log in this process and print what it comes to: ``python -m tests.helpers.digests FILE``.

The log is a MessagePack list of encoded entries.  Prints the rolling digest, the snapshot's digest and the
sha-256 of the snapshot's bytes, in hexadecimal.
"""

import hashlib
import sys
from pathlib import Path

import msgspec

from steelyard.core import Exchange, snapshot


def load_log(path: Path) -> list[bytes]:
    """Read the encoded entries of a log file."""
    return msgspec.msgpack.decode(path.read_bytes(), type=list[bytes])


def replayed(bodies: list[bytes]) -> Exchange:
    """Replay encoded entries on a new exchange."""
    exchange = Exchange()
    for index, body in enumerate(bodies, 1):
        exchange.apply_bytes(index, body)
    return exchange


def digests_of(bodies: list[bytes]) -> dict[str, str]:
    """Replay encoded entries on a new exchange and return its three digests."""
    exchange = replayed(bodies)
    kept = snapshot.dump(exchange)
    return {
        "rolling": exchange.digest.hex(),
        "state": snapshot.state_digest(kept).hex(),
        "snapshot_sha256": hashlib.sha256(kept).hexdigest(),
    }


if __name__ == "__main__":
    print(msgspec.json.encode(digests_of(load_log(Path(sys.argv[1])))).decode())
