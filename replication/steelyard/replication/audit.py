"""What the logs themselves say: replays every member's log and compares, whether replicas live or not."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from steelyard.core import AnyReply, Applied, Entry, Exchange, Refused, Reject, queries, snapshot, wire
from steelyard.core.invariants import all_balances
from steelyard.core.ledger.postings import Balances, post
from steelyard.core.queries import AssetTotal, GetTotals, Totals
from steelyard.core.units import OPERATOR_KEY
from steelyard.replication.errors import ReplicationError, StoreDamaged
from steelyard.replication.files import FolderFiles
from steelyard.replication.log_reader import LoggedEntry, LogReader
from steelyard.replication.log_record import SnapshotRef
from steelyard.replication.snapshot_store import SnapshotDamaged, SnapshotStore

#: (session, request number)
RequestId = tuple[int, int]

#: How an entry is carried out; whoever wants to see more than an audit says brings its own way.
Apply = Callable[[Exchange, int, Entry], Applied]


def _plainly(exchange: Exchange, index: int, entry: Entry) -> Applied:
    return exchange.apply(index, entry)


#: Refusals of the session itself: nothing was executed, and the number was not used up.
_NOT_EXECUTED: Final = frozenset(range(Reject.SESSION_REQUIRED, Reject.WINDOW_FULL + 1))


class Execution(NamedTuple):
    """Where a request was first executed, how often in all (once, or something is wrong), and its reply."""

    log_index: int
    times: int
    reply: AnyReply


class NodeAudit(msgspec.Struct, kw_only=True):
    """What the committed log of one member says.

    ``replayed_after`` is 0, or the index of the snapshot that the replay began with because the log is
    trimmed: executions up to there are not known. ``digests`` has the rolling digest after each entry.
    """

    member: int
    replayed_after: int
    first_index: int
    last_index: int
    commit_index: int
    digests: dict[int, bytes]
    executions: Mapping[RequestId, Execution]
    totals: list[AssetTotal]
    faults: list[str]


class Audit(msgspec.Struct, kw_only=True):
    """What the members' logs say together; ``faults`` says in words what is wrong, empty if nothing is.

    ``common_index`` is the lowest of the commit indexes: up to there the logs must be equal.
    """

    group: str
    nodes: list[NodeAudit]
    common_index: int
    compared: int
    digests_equal: bool
    money_conserved: bool
    duplicates: list[RequestId]
    faults: list[str]

    @property
    def ok(self) -> bool:
        """Whether the members agree, money is conserved, and nothing was executed twice."""
        return self.digests_equal and self.money_conserved and not self.duplicates and not self.faults


def walk(node: Path) -> Iterator[tuple[int, int, Entry]]:
    """Yield (index, term, entry) of a member's committed log, from the first that is held.

    Raises:
        StoreDamaged: The log does not verify.
        StartRefused: There is no log.

    """
    with LogReader(node / "store") as log:
        for logged in _committed(log):
            if logged.body is not None:
                yield logged.index, logged.term, wire.decode_entry(logged.body)


def audit(nodes: Sequence[Path], *, snapshot_ok: bool = True, apply: Apply = _plainly) -> Audit:
    """Replay the committed log of each member directory through an exchange of its own, and compare.

    Args:
        nodes: Member directories (``NodePaths.node``) of one group; their replicas may be running.
        snapshot_ok: Begin a trimmed log with its oldest sound snapshot; otherwise a trimmed log is a fault.
        apply: Carries out each entry on a member's exchange, member by member; must do what that does.

    Returns:
        What was found. A member whose log cannot be read or replayed is a fault, not an error.

    """
    group = ""
    audited: list[NodeAudit] = []
    faults: list[str] = []
    known: Mapping[RequestId, Execution] = {}
    for node in nodes:
        try:
            with LogReader(node / "store") as log:
                if group and log.identity.group_id != group:
                    raise StoreDamaged(f"it belongs to group {log.identity.group_id}")
                group = log.identity.group_id
                member = _replay(log, node / "snapshots", known, apply, snapshot_ok=snapshot_ok)
        except (ReplicationError, SnapshotDamaged) as error:
            faults.append(f"{node.name}: {error}")
            continue
        known = member.executions
        audited.append(member)
        faults += (f"{node.name}: {fault}" for fault in member.faults)
    compared, differences = _compare(audited)
    duplicates = {
        key for node in audited for key, execution in node.executions.items() if execution.times > 1
    }
    return Audit(
        group=group,
        nodes=audited,
        common_index=min((node.commit_index for node in audited), default=0),
        compared=compared,
        digests_equal=not differences and len(audited) == len(nodes),
        money_conserved=bool(audited) and all(not t.sum_atoms for node in audited for t in node.totals),
        duplicates=sorted(duplicates),
        faults=faults + differences,
    )


def _committed(log: LogReader) -> Iterator[LoggedEntry]:
    for logged in log:
        if logged.index > log.commit_index:
            return
        yield logged


def _replay(
    log: LogReader,
    snapshots: Path,
    known: Mapping[RequestId, Execution],
    apply: Apply,
    *,
    snapshot_ok: bool,
) -> NodeAudit:
    exchange = Exchange()
    if log.first_index > 1:
        if not snapshot_ok:
            raise StoreDamaged(f"the log begins at {log.first_index}, not at 1")
        exchange = _oldest(
            log.snapshots, SnapshotStore(FolderFiles(snapshots), log.identity.group_id), log.first_index
        )
    start = exchange.applied_index
    balances = all_balances(exchange.state)
    digests = {start: exchange.digest} if start else {}
    executions: dict[RequestId, Execution] = {}
    faults: list[str] = []
    last = log.first_index - 1
    for logged in _committed(log):
        last = logged.index
        if logged.body is None or logged.index <= start:
            continue
        try:
            entry = wire.decode_entry(logged.body)
            applied = apply(exchange, logged.index, entry)
            post(balances, applied.events(), exchange.state.markets.instruments)
        except (AssertionError, wire.UnknownEntry) as error:
            faults.append(f"applying index {logged.index}: {error!r}")
            break
        digests[logged.index] = exchange.digest
        _note(executions, entry, applied, known)
    try:
        exchange.check_invariants()
    except AssertionError as error:
        faults.append(f"an invariant does not hold after index {last}: {error!r}")
    faults += _unposted(balances, exchange)
    if last < log.commit_index:
        faults.append(f"committed up to {log.commit_index}, but read only up to {last}")
    return NodeAudit(
        member=log.identity.member,
        replayed_after=start,
        first_index=log.first_index,
        last_index=last,
        commit_index=log.commit_index,
        digests=digests,
        executions=executions,
        totals=_totals(exchange),
        faults=faults,
    )


def _unposted(posted: Balances, exchange: Exchange) -> list[str]:
    """Return where the balances are not what they were at the start and what the events have moved since."""
    held = all_balances(exchange.state)
    return [
        f"asset {asset} of account {account}: {held.get((account, asset), 0)} atoms, and the events make it"
        f" {posted.get((account, asset), 0)}"
        for account, asset in sorted(held.keys() | posted.keys())
        if held.get((account, asset), 0) != posted.get((account, asset), 0)
    ]


def _oldest(references: Sequence[SnapshotRef], snapshots: SnapshotStore, first_index: int) -> Exchange:
    """Return the exchange of the oldest sound snapshot that the log goes on from: most is left to compare."""
    refused = ["there is no snapshot"]
    for reference in references:
        if reference.index + 1 < first_index:
            refused.append(f"{reference.name} ends before the log begins at {first_index}")
            continue
        try:
            return snapshot.load(snapshots.read(reference).state)
        except (SnapshotDamaged, snapshot.SnapshotError, AssertionError) as error:
            refused.append(f"{reference.name}: {error}")
    raise StoreDamaged(f"the log is trimmed and nothing to begin with is sound: {'; '.join(refused)}")


def _note(
    executions: dict[RequestId, Execution],
    entry: Entry,
    applied: Applied,
    known: Mapping[RequestId, Execution],
) -> None:
    """Count the requests that this entry executed; what another member has too is shared, not copied."""
    index = applied.index
    for request, outcome in zip(entry.requests, applied.outcomes, strict=True):
        reply = outcome.reply
        if (
            request.session == 0
            or outcome.replied_index != index
            or (not outcome.events and isinstance(reply, Refused) and reply.reason in _NOT_EXECUTED)
        ):
            continue
        key = (request.session, request.request)
        before = executions.get(key)
        if before is not None and before.log_index == index and not outcome.events:
            continue  # a repeat in the entry of its first attempt: answered from memory
        if before is not None:
            executions[key] = before._replace(times=before.times + 1)
            continue
        execution = known.get(key)
        if execution is None or execution != (index, 1, reply):
            execution = Execution(index, 1, reply)
        executions[key] = execution


def _totals(exchange: Exchange) -> list[AssetTotal]:
    """Ask as the operator; before the group is founded there is no key, and no asset either."""
    got = queries.answer(exchange.state, OPERATOR_KEY, GetTotals())
    return got.totals if isinstance(got, Totals) else []


def _compare(nodes: Sequence[NodeAudit]) -> tuple[int, list[str]]:
    """Return how many digests were compared, and the first difference of each pair of members.

    Digests go on from one another: equal at one index means equal up to there, so two members that share no
    index agree if others link them, and only if.
    """
    compared = 0
    differences: list[str] = []
    telling = [node for node in nodes if node.digests]
    linked = [{place} for place in range(len(telling))]
    for one, other in combinations(range(len(telling)), 2):
        # Both hold committed entries only, so wherever both have an index they must agree.
        left, right = telling[one].digests, telling[other].digests
        shared = left.keys() & right.keys()
        compared += len(shared)
        different = [index for index in shared if left[index] != right[index]]
        if different:
            pair = f"members {telling[one].member} and {telling[other].member}"
            differences.append(f"{pair} differ from index {min(different)} on")
        if shared:
            linked[one] |= linked[other]
            for place in linked[one]:
                linked[place] = linked[one]
    alone = [node.member for place, node in enumerate(telling) if place not in linked[0]]
    differences += (f"member {member} shares no index with member {telling[0].member}" for member in alone)
    return compared, differences
