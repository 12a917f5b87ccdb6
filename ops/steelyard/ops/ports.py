"""Free ports on loopback for a group's processes."""

import random
import socket
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

LOWEST: Final = 20_000
#: Where Linux starts by default with the ports of outgoing connections.
OUTGOING_LOWEST: Final = 32_768


#: Where a group's gateways and replicas listen if nobody else does: the ports that the README shows.
USUAL_CLIENT: Final = (7443, 7444, 7445)
USUAL_PEER: Final = (7453, 7454, 7455)


def free_ports(count: int, usual: Sequence[int] = ()) -> list[int]:
    """Return ``count`` ports of 127.0.0.1 that nobody uses now: the ``usual`` ones, if all of them are free.

    The others lie below the range from which the system gives ports to outgoing connections: while a node is
    down, a client that dials it could otherwise be given the node's own port, and keep it.

    Raises:
        OSError: There are not that many.

    """
    if usual and len(_free_among(usual, count)) == count:
        return list(usual)
    limits = Path("/proc/sys/net/ipv4/ip_local_port_range")
    outgoing = int(limits.read_text(encoding="ascii").split()[0]) if limits.exists() else OUTGOING_LOWEST
    highest = outgoing if outgoing > LOWEST + count else OUTGOING_LOWEST
    # Two groups founded in the same moment must not walk through the same numbers.
    first = random.randrange(LOWEST, highest)
    found = _free_among((*range(first, highest), *range(LOWEST, first)), count)
    if len(found) < count:
        raise OSError(f"no {count} free ports between {LOWEST} and {highest}")
    return found


def _free_among(candidates: Iterable[int], count: int) -> list[int]:
    """Return the first ``count`` candidates that can be bound at the same time, or as many as there are."""
    found: list[socket.socket] = []
    try:
        for port in candidates:
            candidate = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            # A port whose last connections are still fading away is free, as it is for the gateway itself.
            candidate.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                candidate.bind(("127.0.0.1", port))
            except OSError:
                candidate.close()
                continue
            found.append(candidate)
            if len(found) == count:
                break
        return [taken.getsockname()[1] for taken in found]
    finally:
        for taken in found:
            taken.close()
