"""Directed faults: they wait for the dangerous moment that uniform noise needs hours to meet."""

import random
from collections.abc import Callable, Iterable
from typing import Final

from steelyard.replication.group import MemberId
from steelyard.simulation.cascade import cascade
from steelyard.simulation.cluster import Cluster
from steelyard.simulation.node import Node

Adversary = Callable[[Cluster, random.Random, Callable[[], bool]], None]
"""Sets itself up on a cluster; the last argument says whether the run is healed."""

_TAG_ACK, _TAG_VOTE = 5, 7
_PATIENCE_S: Final = 0.7
_LEFT_BEHIND_S: Final = 12.0


def after_promise(cluster: Cluster, rng: random.Random, _: Callable[[], bool]) -> None:
    """End a member right after an ack or a vote of its left, at the next thing it wants to do."""
    ready_s = [0.0]

    def watch(sender: int, __: int, message: bytes) -> None:
        now_s = cluster.agenda.now_s
        if now_s >= ready_s[0] and message[1] in (_TAG_ACK, _TAG_VOTE) and rng.random() < 0.2:
            ready_s[0] = now_s + _PATIENCE_S + 2 * rng.random()
            process = cluster.nodes[MemberId(sender)].process
            if process is not None:
                process.calls_left = rng.randrange(1, 3)

    cluster.net.watch = watch


def holders(cluster: Cluster, rng: random.Random, over: Callable[[], bool]) -> None:
    """Kill the leader, and sometimes all, as soon as something is applied that one member does not have."""

    def look() -> None:
        if over():
            return
        checkers = cluster.checkers
        without = [
            node
            for node in cluster.nodes.values()
            if not node.platter.holds(checkers.frontier, checkers.frontier_chain)
        ]
        leader = cluster.leader()
        if without and leader is not None:
            victims = [leader] if rng.random() < 0.7 else list(cluster.nodes.values())
            for victim in victims:
                _power(cluster, victim, over)
            cluster.agenda.after(_PATIENCE_S + 2 * rng.random(), look)
        else:
            cluster.agenda.after(0.003, look)

    cluster.agenda.after(_PATIENCE_S, look)


def new_leader(cluster: Cluster, rng: random.Random, over: Callable[[], bool]) -> None:
    """Cut off each leader in the moment after its election, and depose the one that is."""
    weather = cluster.net.weather

    def cut(node: Node) -> None:
        member = node.member
        others = [other for other in cluster.nodes if other != member]
        keep = rng.choice([*others, 0, 0])
        ways = {(member, o) for o in others if o != keep} | {(o, member) for o in others}
        weather.blocked.update(ways)
        cluster.count("cut off new leader")

        def end() -> None:
            if not over():
                weather.blocked.difference_update(ways)
                cluster.net.release()

        cluster.agenda.after(1 + 2 * rng.random(), end)

    def told(node: Node) -> None:
        cluster.agenda.after(rng.choice((0.0, 0.001, 0.005)), lambda: None if over() else cut(node))

    def depose() -> None:
        leader = cluster.leader()
        if not over():
            if leader is not None:
                _power(cluster, leader, over)
            cluster.agenda.after(3 + 3 * rng.random(), depose)

    cluster.on_leader.append(told)
    cluster.agenda.after(1.0, depose)


def old_leader(cluster: Cluster, rng: random.Random, over: Callable[[], bool]) -> None:
    """Cut the leader off while clients still come to it, so that it returns with a tail of its own.

    Sometimes what it says still arrives for a moment: then a part of the tail is not only its own.
    """
    weather = cluster.net.weather

    def block(ways: Iterable[tuple[int, int]]) -> None:
        if not over():
            weather.blocked.update(ways)

    def cut() -> None:
        leader = cluster.leader()
        if over():
            return
        max_s = cluster.tuning.timeouts.max_s
        if leader is not None:
            member = leader.member
            others = [other for other in cluster.nodes if other != member]
            answers, says = {(o, member) for o in others}, {(member, o) for o in others}
            block(answers)
            cluster.agenda.after(rng.choice((0.0, 0.01, 0.1, 0.6)) * rng.random(), lambda: block(says))
            cluster.count("cut off leader")

            def end() -> None:
                if not over():
                    weather.blocked.difference_update(answers | says)
                    cluster.net.release()

            cluster.agenda.after(max_s * rng.choice((0.7, 1.5, 3.0)), end)
        cluster.agenda.after(max_s * (3.2 + 2 * rng.random()), cut)

    cut()


def snapshots(cluster: Cluster, rng: random.Random, over: Callable[[], bool]) -> None:
    """Crash members a few calls into writing, fetching or installing a snapshot."""
    seen: dict[int, list[str]] = {}

    def look() -> None:
        if over():
            return
        for member, node in cluster.nodes.items():
            names = sorted(node.platter.files)
            if names != seen.get(member, names) and node.process is not None and rng.random() < 0.4:
                node.process.calls_left = rng.randrange(1, 12)
            seen[member] = names
        cluster.agenda.after(0.002, look)

    def everybody() -> None:
        if not over():
            for node in cluster.nodes.values():
                if node.process is not None:
                    node.process.calls_left = rng.randrange(1, 40)
            cluster.agenda.after(2 + 4 * rng.random(), everybody)

    look()
    if rng.random() < 0.5:
        everybody()


def sleeper(cluster: Cluster, rng: random.Random, over: Callable[[], bool]) -> None:
    """Pause the leader for longer than an election takes, then let its backlog go at once."""

    def pause() -> None:
        if over():
            return
        leader = cluster.leader()
        if leader is not None:
            cluster.count("pause leader")
            leader.pause(cluster.tuning.timeouts.max_s * (1 + rng.random()))
        cluster.agenda.after(cluster.tuning.timeouts.max_s * (2 + 2 * rng.random()), pause)

    pause()


def forgetter(cluster: Cluster, rng: random.Random, over: Callable[[], bool]) -> None:
    """Wipe a member's disk, or put an older copy back, when it has just voted or acknowledged."""
    copies = {member: node.platter.copy() for member, node in cluster.nodes.items()}
    ready_s = [cluster.agenda.now_s + 1.0]

    def strike(node: Node) -> None:
        if over() or node.damaged or not cluster.may_lose(node):
            return
        copy = copies[node.member]
        same_life = copy.identity.incarnation == node.platter.identity.incarnation
        if same_life and cluster.may_restore(node, copy) and rng.random() < 0.5:
            cluster.count("older copy of a disk")
            node.replace_disk(copy.copy())
            cluster.restart_later(node, 0.05 + rng.random())
        else:
            node.kill(power=True)
            cluster.renew(node)

    def watch(sender: int, _: int, message: bytes) -> None:
        now_s = cluster.agenda.now_s
        tag = message[1]
        if now_s >= ready_s[0] and (tag == _TAG_VOTE or (tag == _TAG_ACK and rng.random() < 0.01)):
            ready_s[0] = now_s + 1.0 + 3 * rng.random()
            node = cluster.nodes[MemberId(sender)]
            cluster.agenda.after(0.0, lambda: strike(node))

    def copy_again() -> None:
        if not over():
            node = rng.choice(list(cluster.nodes.values()))
            if not node.platter.identity.joining and not node.damaged:
                copies[node.member] = node.platter.copy()
            leader = cluster.leader()
            if leader is not None and rng.random() < 0.5:
                leader.kill()
                cluster.restart_later(leader)
            cluster.agenda.after(2 + 2 * rng.random(), copy_again)

    cluster.net.watch = watch
    copy_again()


def late_answers(cluster: Cluster, rng: random.Random, over: Callable[[], bool]) -> None:
    """Hold back what one follower says, depose the leader, and let the old answers come to the new one."""
    weather = cluster.net.weather

    def hold() -> None:
        leader = cluster.leader()
        if over() or leader is None:
            if not over():
                cluster.agenda.after(0.2, hold)
            return
        follower = rng.choice([member for member in cluster.nodes if member != leader.member])
        ways = {(follower, member) for member in cluster.nodes if member != follower}
        weather.stalled.update(ways)
        cluster.count("held back answers")
        if rng.random() < 0.5:
            leader.pause(cluster.tuning.timeouts.max_s * 1.2)

        def burst() -> None:
            weather.stalled.difference_update(ways)
            cluster.net.release()

        cluster.agenda.after(rng.random() * 3, burst)
        cluster.agenda.after(3 + rng.random(), hold)

    hold()


def left_behind(cluster: Cluster, rng: random.Random, over: Callable[[], bool]) -> None:
    """Keep a leader away with a tail of its own until the others have trimmed their logs beyond its end.

    When it comes back nobody can send it entries that follow its own: all it hears are heartbeats and offers.
    """
    weather = cluster.net.weather

    def cut() -> None:
        leader = cluster.leader()
        if over():
            return
        if leader is None:
            cluster.agenda.after(0.2, cut)
            return
        others = [node for node in cluster.nodes.values() if node is not leader]
        ways = {(leader.member, other.member) for other in others}
        ways |= {(other.member, leader.member) for other in others}
        weather.blocked.update(ways)
        cluster.count("left behind")
        given_up_s = cluster.agenda.now_s + _LEFT_BEHIND_S

        def look() -> None:
            if over():
                return
            if cluster.agenda.now_s < given_up_s and not all(
                other.platter.first_index > leader.platter.last_index for other in others
            ):
                cluster.agenda.after(0.05, look)
                return
            weather.blocked.difference_update(ways)
            cluster.net.release()
            cluster.agenda.after(2 + 2 * rng.random(), cut)

        look()

    cluster.agenda.after(rng.random(), cut)


def _power(cluster: Cluster, node: Node, over: Callable[[], bool]) -> None:
    if not over():
        cluster.count("power loss")
        node.kill(power=True)
        cluster.restart_later(node)


ADVERSARIES: Final[dict[str, Adversary]] = {
    "after-promise": after_promise,
    "holders": holders,
    "new-leader": new_leader,
    "old-leader": old_leader,
    "snapshots": snapshots,
    "sleeper": sleeper,
    "forgetter": forgetter,
    "late-answers": late_answers,
    "left-behind": left_behind,
    "cascade": cascade,
}
"""Every adversary by its name."""
