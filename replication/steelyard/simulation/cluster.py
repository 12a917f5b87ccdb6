"""Three machines, one network and one agenda: the group under simulation, and the operator who tends it."""

import random
from collections.abc import Callable
from typing import Final

from steelyard.core import versions
from steelyard.replication.config import GroupConfig, MemberConfig
from steelyard.replication.errors import EX_DISK, EX_REFUSED
from steelyard.replication.group import MemberId
from steelyard.simulation.checkers import Checkers, Promises
from steelyard.simulation.clock import Agenda
from steelyard.simulation.disk import Platter
from steelyard.simulation.doors import Door
from steelyard.simulation.network import Net
from steelyard.simulation.node import GROUP, MEMBERS, NEWEST, Node, Tuning
from steelyard.simulation.process import Processor
from steelyard.simulation.trace import Trace

OPERATOR_PUBLIC_KEY: Final = bytes(range(32))
MAP_BYTES: Final = 64 << 20
OPERATOR_S: Final = 1.5
"""How long it takes until somebody replaces a disk that does not verify."""


class Cluster:
    """The group."""

    def __init__(
        self, seed_rng: random.Random, tuning: Tuning, say: Callable[[str], None] | None = None
    ) -> None:
        self.rng = seed_rng
        self.tuning = tuning
        self.agenda = Agenda()
        self.trace = Trace(lambda: self.agenda.now_s, say)
        self.net = Net(self.agenda, random.Random(seed_rng.getrandbits(64)), self.trace)
        self.processor = Processor()
        self.checkers = Checkers(self.agenda)
        self.config = GroupConfig(
            group=GROUP,
            operator_public_key=OPERATOR_PUBLIC_KEY.hex(),
            members=[MemberConfig(member=m, peer=f"n{m}:1", client=f"n{m}:2") for m in MEMBERS],
            map_size_bytes=MAP_BYTES,
            snapshot_entries=tuning.snapshot_entries,
            log_keep_entries=tuning.log_keep_entries,
        )
        self.nodes = {member: Node(self, member) for member in MEMBERS}
        self.net.hosts = dict(self.nodes)  # type: ignore[arg-type]
        self.checkers.promises = {member: Promises() for member in MEMBERS}
        self.net.judge = self._judge
        self.faults: dict[str, int] = {}
        self.crashes = 0
        self.on_leader: list[Callable[[Node], None]] = []
        """Told when a member begins to lead."""
        self.healed = False
        """Whether faults are over."""
        self.version = versions.FIRST
        """The newest version in force anywhere."""

    @property
    def doors(self) -> dict[int, Door]:
        """Where clients go."""
        return {member: node.door for member, node in self.nodes.items()}

    def count(self, fault: str) -> None:
        """Count a fault by its kind."""
        self.faults[fault] = self.faults.get(fault, 0) + 1
        if fault.startswith(("crash", "kill", "power")):
            self.crashes += 1

    def run_until(self, time_s: float, until: Callable[[], bool] | None = None) -> bool:
        """Let time pass; return whether ``until`` became true before ``time_s``."""
        agenda, checkers = self.agenda, self.checkers
        while not checkers.violations:
            if until is not None and until():
                return True
            if not agenda.next(time_s):
                return until is not None and until()
        return False

    def leader(self) -> Node | None:
        """Return the node that leads in the highest term."""
        leading = [n for n in self.nodes.values() if n.replica is not None and n.replica.leads]
        return max(leading, key=lambda n: n.replica.store.current_term if n.replica else 0, default=None)

    def leader_changed(self, node: Node) -> None:
        """Tell adversaries."""
        for told in self.on_leader:
            told(node)

    def _judge(self, sender: int, receiver: int, payload: bytes) -> None:
        self.checkers.promised(sender, receiver, payload, self.nodes[MemberId(sender)].platter)

    def disk_changed(self, node: Node) -> None:
        """Hold a disk against what it promised."""
        self.checkers.unsettled = True
        self.checkers.kept(node.member, node.platter)
        self.checkers.caught_up(node.member, node.platter)

    def restart_later(self, node: Node, span_s: float | None = None) -> None:
        """Start a node's process after a while."""
        if span_s is None:
            span_s = self.rng.choice((0.01, 0.1, 0.5, 2.0, 6.0)) * self.rng.random()
        self.agenda.after(span_s, node.start)

    def stopped(self, node: Node, knows: int, code: int, reason: str) -> None:
        """Judge a member that stopped itself, and send an operator if its disk or its build is bad."""
        excused = code in (EX_DISK, EX_REFUSED) and (node.excused or node.damaged)
        # Whoever finds a version that its build does not know says so in these words.
        outdated = knows < self.version and f"and this build knows {knows}" in reason
        self.checkers.stopped(node.member, code, reason, excused=excused or outdated)
        self.count("stopped itself")
        if outdated and not node.damaged:
            node.knows = NEWEST
            self.restart_later(node)
        elif node.excused and not node.damaged:
            node.excused = False
            node.platter.fail_commit, node.platter.fail_files, node.platter.fail_reads = "", 0, ""
            self.restart_later(node)
        else:
            self.agenda.after(OPERATOR_S, lambda: self.renew(node))

    def renew(self, node: Node) -> None:
        """Put an empty disk into a machine and let it join; later, if that would lose something now."""
        if node.process is not None:
            return
        if not self.may_lose(node):
            self.agenda.after(OPERATOR_S, lambda: self.renew(node))
            return
        incarnation = node.clock.wall_ns()
        self.count("wiped disk")
        node.replace_disk(Platter.founded(GROUP, node.member, incarnation=incarnation, joining=True))
        node.start()

    def version_in_force(self, node: Node, version: int) -> None:
        """Judge what a member does with a version: its build knows it, and every member did."""
        assert node.process is not None
        if version > node.process.knows:
            self.checkers.violate("C1", f"n{node.member} goes on in version {version}, unknown to its build")
        self.version_activated(version)

    def version_activated(self, version: int) -> None:
        """Note what an entry that is committed switches to, and judge that every member was known to know it.

        Whoever comes to that entry first may have been set back to an older build since it was asked:
        then nobody has applied it yet, and the member has to stop.
        """
        if version > self.version:
            self.version = version
            ignorant = [each.member for each in self.nodes.values() if each.knew < version]
            if ignorant:
                self.checkers.violate("C12", f"version {version} is active, and {ignorant} never knew it")

    def may_restore(self, node: Node, copy: Platter) -> bool:
        """Whether an older copy of a disk may be put back: what it forgets is whole elsewhere.

        A vote that it forgets must be known to whomever it meets next, whichever of the others that is: a
        copy whose only witness is down cannot be told from the disk itself, by anybody.
        """
        if self.tuning.unlimited or not self.may_lose(node):
            return False
        hard, old = node.platter.hard, copy.hard
        return (hard.term, hard.vote) == (old.term, old.vote) or all(
            copy.is_known_to_forget(node.member, other.platter)
            for other in self.nodes.values()
            if other is not node
        )

    def may_lose(self, node: Node) -> bool:
        """Whether everything applied is whole on both other disks, and both of them may vote."""
        if self.tuning.unlimited:
            return True
        checkers = self.checkers
        return all(
            other.platter.holds(checkers.frontier, checkers.frontier_chain)
            and not other.platter.identity.joining
            and not other.damaged
            and not checkers.promises[other.member].vouched_index
            for other in self.nodes.values()
            if other is not node
        )
