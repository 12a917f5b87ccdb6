"""A network of its own for each member, joined by a bridge: packets vanish in silence, or crawl."""

import os
import random
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import msgspec

from steelyard.ops.cluster import MEMBERS, LocalGroup
from steelyard.ops.errors import GroupError
from steelyard.ops.packet_loss import PacketLoss
from steelyard.replication.config import GROUP_FILE, split_endpoint

#: Nobody's hardware address: what is sent there reaches nobody.
NOWHERE: Final = "02:00:00:00:00:fe"
BRIDGE_HOST: Final = 254
_TRIES: Final = 20


class Namespaces:
    """Three network namespaces and a bridge, with names of our own; all of them are removed by ``remove``."""

    def __init__(self) -> None:
        mark = random.randrange(16**6)
        self._bridge = f"sy{mark:06x}"
        self._links = {member: f"sy{mark:06x}-{member}" for member in MEMBERS}
        self._spaces = {member: f"steelyard-{mark:06x}-{member}" for member in MEMBERS}
        self._subnet = ""
        self._blocked: list[tuple[int, int]] = []
        self._slowed: list[int] = []
        self._losses: list[PacketLoss] = []

    def make(self) -> None:
        """Make everything.

        Raises:
            GroupError: The system refuses.

        """
        taken = _ip("-o", "-4", "address")
        candidates = (f"10.{200 + random.randrange(50)}.{random.randrange(256)}" for _ in range(_TRIES))
        self._subnet = next(subnet for subnet in candidates if f" {subnet}." not in taken)
        _ip("link", "add", self._bridge, "type", "bridge")
        _ip("address", "add", f"{self._subnet}.{BRIDGE_HOST}/24", "dev", self._bridge)
        _ip("link", "set", self._bridge, "up")
        for member in MEMBERS:
            space, link = self._spaces[member], self._links[member]
            _ip("netns", "add", space)
            _ip("link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", space)
            _ip("link", "set", link, "master", self._bridge)
            _ip("link", "set", link, "up")
            for arguments in (
                ("address", "add", f"{self.host(member)}/24", "dev", "eth0"),
                ("link", "set", "eth0", "up"),
                ("link", "set", "lo", "up"),
            ):
                _ip("-n", space, *arguments)

    def remove(self) -> None:
        """Remove what was made; links go with their namespaces."""
        self._lose_no_more()
        spaces, links = _ip("netns", "list"), _ip("-o", "link")
        for space in self._spaces.values():
            if space in spaces.split():
                _ip("netns", "delete", space)
        if f" {self._bridge}:" in links:
            _ip("link", "delete", self._bridge)

    def host(self, member: int) -> str:
        """Return a member's address."""
        return f"{self._subnet}.{member}"

    def prefix(self, member: int) -> list[str]:
        """Return what a command has to be started through to live in a member's network."""
        return ["ip", "netns", "exec", self._spaces[member]]

    def block(self, source: int, target: int) -> None:
        """Let every packet from one member to another vanish; the way back stays open."""
        self._neighbour(source, "replace", self.host(target), "lladdr", NOWHERE, "nud", "permanent")
        self._blocked.append((source, target))

    def unplug(self, member: int) -> None:
        """Pull a member's plug: neither peers nor clients reach it."""
        _ip("link", "set", self._links[member], "down")

    def lose(self, member: int, share_ppm: int) -> None:
        """Let so many in a million of the packets that a member sends vanish, whomever they are for."""
        self._losses.append(PacketLoss(self._links[member], share_ppm))

    def slow(self, member: int, bits_per_s: int) -> None:
        """Let a member send and receive no faster than this; what would wait for long vanishes."""
        shape = ("root", "tbf", "rate", f"{bits_per_s}bit", "burst", "16kb", "latency", "200ms")
        self._slowed.append(member)
        _run("tc", "qdisc", "add", "dev", self._links[member], *shape)
        _run("tc", "-n", self._spaces[member], "qdisc", "add", "dev", "eth0", *shape)

    def held_back(self, member: int) -> int:
        """Return how often a packet to or from a slowed member had to wait."""
        said = _run("tc", "-s", "qdisc", "show", "dev", self._links[member]) + _run(
            "tc", "-n", self._spaces[member], "-s", "qdisc", "show", "dev", "eth0"
        )
        return sum(map(int, re.findall(r"overlimits (\d+)", said)))

    def repeated(self, member: int) -> int:
        """Return how many segments a member's TCP has sent again so far."""
        counters = _run(*self.prefix(member), "cat", "/proc/net/snmp").splitlines()
        names, values = (line.split() for line in counters if line.startswith("Tcp:"))
        return int(values[names.index("RetransSegs")])

    def heal(self) -> None:
        """Make everything reachable again, without loss and at full speed."""
        self._lose_no_more()
        for member in self._slowed:
            _run("tc", "qdisc", "delete", "dev", self._links[member], "root")
            _run("tc", "-n", self._spaces[member], "qdisc", "delete", "dev", "eth0", "root")
        self._slowed = []
        for source, target in self._blocked:
            self._neighbour(source, "delete", self.host(target))
        self._blocked = []
        for link in self._links.values():
            _ip("link", "set", link, "up")

    def _lose_no_more(self) -> None:
        for loss in self._losses:
            loss.close()
        self._losses = []

    def _neighbour(self, member: int, verb: str, *arguments: str) -> None:
        host, *rest = arguments
        _ip("-n", self._spaces[member], "neighbour", verb, host, "dev", "eth0", *rest)


@contextmanager
def in_namespaces(group: LocalGroup) -> Iterator[Namespaces]:
    """Give each member of a group that does not run yet a network of its own, until the end of the block."""
    spaces = Namespaces()
    try:
        spaces.make()
        members = [
            msgspec.structs.replace(
                each,
                peer=f"{spaces.host(each.member)}:{split_endpoint(each.peer)[1]}",
                client=f"{spaces.host(each.member)}:{split_endpoint(each.client)[1]}",
            )
            for each in group.config.members
        ]
        group.config = msgspec.structs.replace(group.config, members=members)
        (group.directory / GROUP_FILE).write_bytes(msgspec.json.encode(group.config))
        group.prefixes = {member: spaces.prefix(member) for member in MEMBERS}
        yield spaces
    finally:
        spaces.remove()


def needs_namespaces() -> str:
    """Return why there can be no namespaces here, or an empty text."""
    if os.geteuid() != 0:
        return "not root"
    if shutil.which("ip") is None:
        return "no ip command"
    spaces = Namespaces()
    try:
        spaces.make()
    except GroupError as error:
        return f"no network namespaces: {error}"
    finally:
        spaces.remove()
    return ""


def needs_slow_links() -> str:
    """Return why links cannot be slowed here, or an empty text."""
    why = needs_namespaces()
    if why:
        return why
    if shutil.which("tc") is None:
        return "no tc command"
    spaces = Namespaces()
    try:
        spaces.make()
        spaces.slow(1, 1_000_000)
    except GroupError as error:
        return f"no slow links: {error}"
    finally:
        spaces.remove()
    return ""


def _ip(*arguments: str) -> str:
    return _run("ip", *arguments)


def _run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise GroupError(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout
