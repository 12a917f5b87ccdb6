"""The judgement after every run: what clients saw acknowledged against what the logs hold.

Three claims, each checked against the log of *every* replica and never against counters:

* **nothing is lost**: each acknowledged request was executed, at the log index that its reply named, with the
  outcome that its reply named;
* **nothing is repeated**: no request was executed twice, whether or not its reply arrived;
* **nothing differs**: digests are equal at every index that replicas share, and each asset sums to zero.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple, get_args

import msgspec

from steelyard import client, core
from steelyard.core import entry
from steelyard.replication.audit import Audit, Execution, RequestId, audit

FINDINGS_MAX: Final = 10

#: A reply on its way between processes: the name of its type, and its fields; legs are replies in their turn.
AckRow = tuple[str, tuple[Any, ...]]
_REPLIES: Final[dict[str, type[client.Reply]]] = {each.__name__: each for each in get_args(client.Reply)}


class NodeEvidence(NamedTuple):
    """What one replica's committed log says was executed."""

    member: int
    executions: Mapping[RequestId, Execution]
    #: Its log begins with a snapshot of this index, and says nothing of what was executed up to there.
    from_index: int = 0
    #: An older copy of its log that ends there; None: it holds all that was acknowledged.
    until_index: int | None = None


class Evidence(NamedTuple):
    """What the logs of all replicas say, and whether they agree."""

    nodes: Sequence[NodeEvidence]
    money_conserved: bool
    digests_equal: bool
    #: What is wrong with money, digests or invariants, in words.
    faults: Sequence[str] = ()


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """The judgement; ``ok`` only if every claim holds and there was something to judge."""

    acknowledged: int
    lost: int
    duplicated: int
    #: Acknowledged with one index or outcome, logged with another.
    changed: int
    money_conserved: bool
    digests_equal: bool
    replicas_compared: int
    ok: bool
    findings: list[str]


class AckBook:
    """Every acknowledgement that the clients of one run have seen, as (session, replies in order)."""

    def __init__(self) -> None:
        self._sessions: dict[int, list[client.Reply]] = {}
        self.count = 0
        #: The highest log index that was acknowledged.
        self.last_index = 0

    def recorder(self, session: int) -> Callable[[int, client.Reply], None]:
        """Return what a session calls with each request's number and its reply (``Session.on_ack``)."""
        rows = self._sessions.setdefault(session, [])

        def record(_request: int, reply: client.Reply) -> None:
            rows.append(reply)
            self.count += 1
            self.last_index = max(self.last_index, reply.log_index)

        return record

    def rows(self) -> dict[int, list[AckRow]]:
        """Return everything in a form that can be encoded."""
        return {session: [_row_of(reply) for reply in replies] for session, replies in self._sessions.items()}

    def add_rows(self, rows: dict[int, list[AckRow]]) -> None:
        """Take over what ``rows`` of another process returned."""
        for session, replies in rows.items():
            record = self.recorder(session)
            for row in replies:
                reply = _reply_of(row)
                record(reply.request, reply)

    def items(self) -> Iterator[tuple[RequestId, client.Reply]]:
        """Yield every acknowledgement, session by session."""
        for session, rows in self._sessions.items():
            for reply in rows:
                yield (session, reply.request), reply


def gather(nodes: Sequence[Path], archives: Sequence[Path] = ()) -> Evidence:
    """Replay the committed logs of the member directories; their replicas may be running.

    ``archives`` are copies of such directories from earlier, with what the members' logs have forgotten
    since; like the members themselves they must agree with all others.

    A member that has taken over a snapshot has a log that begins there; its digests say that it agrees with
    the others on what was before.  If no log is whole, earlier requests cannot be checked: a fault.
    """
    return evidence_of(audit([*nodes, *archives]), archives=len(archives))


def evidence_of(found: Audit, *, archives: int = 0) -> Evidence:
    """Return what an audit found, as far as a verdict needs it; its last nodes are so many archives."""
    faults = [*found.faults]
    if found.nodes and all(node.replayed_after for node in found.nodes):
        first_index = min(node.first_index for node in found.nodes)
        faults.append(f"no log begins before {first_index}: earlier requests cannot be checked")
    return Evidence(
        [
            NodeEvidence(
                node.member,
                node.executions,
                node.replayed_after,
                node.commit_index if place >= len(found.nodes) - archives else None,
            )
            for place, node in enumerate(found.nodes)
        ],
        money_conserved=found.money_conserved,
        digests_equal=found.digests_equal,
        faults=faults,
    )


def told_by(execution: Execution) -> client.Reply | None:
    """Return what a client must have been told of this execution; None for what no client asks."""
    reply = execution.reply
    at = (reply.request, reply.fingerprint, execution.log_index)
    if isinstance(reply, entry.Many):
        return client.Many(*at, tuple(_leg_told(at, leg) for leg in reply.legs))
    if isinstance(reply, get_args(entry.LegReply)):
        return _leg_told(at, reply)
    match reply:
        case core.Accepted():
            return client.Accepted(*at, reply.made)
        case entry.Swept():
            return client.Swept(*at, reply.count)
        case _:
            return None


def _leg_told(at: tuple[int, int, int], reply: entry.LegReply) -> client.LegReply:
    match reply:
        case core.Placed():
            return client.Placed(
                *at,
                reply.number,
                reply.executed_lots,
                reply.executed_atoms,
                reply.fee_atoms,
                reply.open_lots,
            )
        case core.Cancelled():
            return client.Cancelled(*at, reply.number, reply.open_lots)
        case core.Refused():
            return client.Refused(*at, reply.reason.name, reply.expected)
        case entry.Waiting():
            return client.Waiting(*at, reply.number)
        case entry.Amended():
            return client.Amended(
                *at,
                reply.number,
                reply.executed_lots,
                reply.executed_atoms,
                reply.fee_atoms,
                reply.open_lots,
            )


def _row_of(reply: client.Reply) -> AckRow:
    if isinstance(reply, client.Many):
        return "Many", (*reply[:-1], [_row_of(leg) for leg in reply.legs])
    return type(reply).__name__, tuple(reply)


def _reply_of(row: AckRow) -> client.Reply:
    name, fields = row
    if name == "Many":
        *at, legs = fields
        return client.Many._make((*at, tuple(_reply_of(leg) for leg in legs)))
    return _REPLIES[name]._make(fields)


def judge(acks: AckBook, evidence: Evidence) -> Verdict:
    """Compare what clients saw with what every replica has logged.

    A request counts once, however many replicas show the same fault.
    """
    lost: dict[RequestId, str] = {}
    changed: dict[RequestId, str] = {}
    duplicated: dict[RequestId, str] = {}
    for node in evidence.nodes:
        for request_id, execution in node.executions.items():
            if execution.times > 1:
                duplicated[request_id] = f"executed {execution.times} times on replica {node.member}"
    for request_id, reply in acks.items():
        sound: Execution | None = None  # replicas share what is equal: compared once is enough
        told_of = not evidence.nodes
        for node in evidence.nodes:
            found = node.executions.get(request_id)
            if found is None and (
                reply.log_index <= node.from_index
                or (node.until_index is not None and reply.log_index > node.until_index)
            ):
                continue
            told_of = True
            if found is None:
                lost[request_id] = (
                    f"acknowledged at {reply.log_index}, not in the log of replica {node.member}"
                )
            elif found is not sound:
                told = told_by(found)
                if type(told) is type(reply) and told == reply:
                    sound = found
                else:
                    changed[request_id] = f"acknowledged as {reply}, on replica {node.member} it is {found}"
        if not told_of:
            lost[request_id] = f"acknowledged at {reply.log_index}, of which no log tells"
    findings = [
        *_first(
            f"session {session}, request {request}: {fault}"
            for part in (lost, duplicated, changed)
            for (session, request), fault in part.items()
        ),
        *evidence.faults,
    ]
    compared = len({node.member for node in evidence.nodes})
    return Verdict(
        acknowledged=acks.count,
        lost=len(lost),
        duplicated=len(duplicated),
        changed=len(changed),
        money_conserved=evidence.money_conserved,
        digests_equal=evidence.digests_equal,
        replicas_compared=compared,
        ok=not (lost or duplicated or changed)
        and evidence.money_conserved
        and evidence.digests_equal
        and acks.count > 0
        and compared > 0
        and not evidence.faults,
        findings=findings,
    )


def _first(findings: Iterable[str]) -> list[str]:
    return [finding for finding, _ in zip(findings, range(FINDINGS_MAX), strict=False)]
