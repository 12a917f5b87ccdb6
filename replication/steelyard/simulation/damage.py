"""What goes wrong with disks: they fail, fill up, grow slow, rot, mix things up, or are lost."""

import errno
import random
from collections.abc import Callable

from steelyard.simulation.cluster import Cluster
from steelyard.simulation.disk import SYNC_S, Platter


def failing_sync(cluster: Cluster, rng: random.Random) -> None:
    """Let the next commit fail."""
    node = rng.choice(list(cluster.nodes.values()))
    if node.process is not None:
        cluster.count("failing sync")
        node.platter.fail_commit = rng.choice(("EIO", "MDB_MAP_FULL", "MDB_PANIC"))
        node.excused = True


def failing_files(cluster: Cluster, rng: random.Random) -> None:
    """Let files find no room for a while, or fail to sync."""
    node = rng.choice(list(cluster.nodes.values()))
    full = rng.random() < 0.5
    cluster.count("no room for files" if full else "failing file sync")
    node.platter.fail_files = errno.ENOSPC if full else errno.EIO
    node.excused = node.excused or not full
    platter = node.platter

    def room() -> None:
        if full:
            platter.fail_files = 0

    cluster.agenda.after(rng.random() * 3, room)


def slow_sync(cluster: Cluster, rng: random.Random) -> None:
    """Let every sync take long for a while."""
    cluster.count("slow sync")
    platter = rng.choice(list(cluster.nodes.values())).platter
    platter.sync_s = rng.choice((0.01, 0.1, 1.0, 3.0))

    def quick() -> None:
        platter.sync_s = SYNC_S

    cluster.agenda.after(rng.random() * 2, quick)


def low_storage(cluster: Cluster, rng: random.Random) -> None:
    """Let the log be nearly full for a while."""
    cluster.count("log nearly full")
    platter = rng.choice(list(cluster.nodes.values())).platter
    platter.used_fraction = rng.choice((0.91, 0.98))

    def room() -> None:
        platter.used_fraction = 0.0

    cluster.agenda.after(rng.random() * 4, room)


def failing_reads(cluster: Cluster, rng: random.Random) -> None:
    """Let the log or the files not be readable for a while."""
    node = rng.choice(list(cluster.nodes.values()))
    cluster.count("failing read")
    node.platter.fail_reads = rng.choice(("log", "files"))
    node.excused = True
    platter = node.platter

    def readable() -> None:
        platter.fail_reads = ""

    cluster.agenda.after(rng.random() * 2, readable)
    if rng.random() < 0.5:
        node.kill()
        cluster.restart_later(node, 0.1)


def wipe(cluster: Cluster, rng: random.Random) -> None:
    """Take a disk away for good; its member joins again from nothing."""
    node = rng.choice(list(cluster.nodes.values()))
    if not node.keep_down and cluster.may_lose(node):
        node.kill(power=True)
        cluster.renew(node)


def restore_copy(cluster: Cluster, rng: random.Random) -> None:
    """Take a copy of a disk, and put it back a while later."""
    node = rng.choice(list(cluster.nodes.values()))
    copy, life = node.platter.copy(), node.platter.identity.incarnation

    def restore() -> None:
        if (
            not cluster.healed
            and cluster.may_restore(node, copy)
            and not node.damaged
            and node.platter.identity.incarnation == life
            and not copy.identity.joining
        ):
            cluster.count("older copy of a disk")
            node.replace_disk(copy)
            cluster.restart_later(node)

    cluster.agenda.after(rng.random() * 8, restore)


def flip_log(cluster: Cluster, rng: random.Random) -> None:
    """Flip a bit in an entry."""
    _spoil(cluster, rng, "bit flip in the log", lambda platter: platter.flip(rng, snapshot=False))


def flip_snapshot(cluster: Cluster, rng: random.Random) -> None:
    """Flip a bit in a snapshot file."""
    _spoil(cluster, rng, "bit flip in a snapshot", lambda platter: platter.flip(rng, snapshot=True))


def misdirect(cluster: Cluster, rng: random.Random) -> None:
    """Let something stand where something else was written."""
    snapshot = rng.random() < 0.3
    _spoil(cluster, rng, "misdirected write", lambda platter: platter.misdirect(rng, snapshot=snapshot))


def _spoil(cluster: Cluster, rng: random.Random, kind: str, accident: Callable[[Platter], str]) -> None:
    node = rng.choice(list(cluster.nodes.values()))
    if cluster.may_lose(node) and not node.damaged:
        before = node.platter.copy()
        where = accident(node.platter)
        if where:
            cluster.count(kind)
            cluster.trace.note(node.member, f"{kind}: {where}")
            node.damaged = True
            cluster.checkers.spoiled(node.member, before)
            if rng.random() < 0.5:
                node.kill()
                cluster.restart_later(node)
