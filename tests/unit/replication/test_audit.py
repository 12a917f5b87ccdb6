"""What the audit finds in logs, and that it finds what is planted there."""

from pathlib import Path

import msgspec
import pytest
from tests.helpers.builders import ALICE, BOB, USD, Venue, buy, market, sell

from steelyard.core import Exchange, snapshot, wire
from steelyard.core.entry import Applied, Entry, Placed, Refused
from steelyard.core.rejects import Reject
from steelyard.replication import audit as audit_module
from steelyard.replication.audit import Audit, Execution, NodeAudit, audit, walk
from steelyard.replication.files import FolderFiles
from steelyard.replication.group import MemberId
from steelyard.replication.log_record import ENTRY, NO_OP
from steelyard.replication.log_store import found, open_store
from steelyard.replication.snapshot_store import Header, LogEntry, Snapshot, SnapshotStore

GROUP = "ab" * 16
MAP_BYTES = 16 << 20
SNAPSHOT_AT = 12


def bodies() -> tuple[list[bytes], Venue]:
    """Return the entries of a small market's day, and the venue after it."""
    log: list[bytes] = []
    original = Exchange.apply_bytes

    def record(self: Exchange, index: int, body: bytes) -> tuple[Applied, bytes]:
        log.append(body)
        return original(self, index, body)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Exchange, "apply_bytes", record)
        venue = market()
        venue.place(ALICE, buy(1, 5, 100))
        venue.place(BOB, sell(2, 3, 100))
        venue.cancel(ALICE, 1)
        venue.send(venue.request(ALICE, buy(9, 1, 50), number=1))  # a repeat: answered from memory
        venue.send(venue.request(ALICE, buy(9, 1, 50), number=99))  # a gap: refused, not executed
        twice = venue.request(ALICE, buy(10, 1, 50))
        venue.send(twice, twice)  # a repeat within one entry
    return log, venue


def write(directory: Path, member: int, log: list[bytes], *, commit: int = 0, trimmed: bool = False) -> Path:
    """Make a member's directory that holds the log from index 2 on."""
    node = directory / f"n{member}"
    found(node / "store", GROUP, MemberId(member), map_bytes=MAP_BYTES)
    store = open_store(node / "store", GROUP, MemberId(member), map_bytes=MAP_BYTES)
    store.append(1, 1, NO_OP)
    for index, body in enumerate(log, start=2):
        store.append(index, 1, ENTRY + body)
    store.hard_state(1, 0, commit or store.last_index)
    if trimmed:
        exchange = Exchange()
        for index, body in enumerate(log[: SNAPSHOT_AT - 1], start=2):
            exchange.apply_bytes(index, body)
        before, at = store.entries(SNAPSHOT_AT - 1, SNAPSHOT_AT)
        state = snapshot.dump(exchange)
        header = Header(
            format=0,
            group=GROUP,
            index=SNAPSHOT_AT,
            term=1,
            before=LogEntry(before.index, before.term, before.body),
            at=LogEntry(at.index, at.term, at.body),
            chain_before=store.chain(SNAPSHOT_AT - 2),
            chain=store.chain(SNAPSHOT_AT),
            digest=exchange.digest,
            state_digest=snapshot.state_digest(state),
            checked_index=0,
            checked_digest=b"",
            schema=snapshot.SCHEMA_VERSION,
            sections=[],
        )
        reference = SnapshotStore(FolderFiles(node / "snapshots"), GROUP).write(Snapshot(header, state))
        assert reference is not None
        store.add_snapshot(reference)
        store.flush()
        store.trim(SNAPSHOT_AT - 1)
    store.close()
    return node


def three(directory: Path, logs: list[list[bytes]]) -> Audit:
    return audit([write(directory, member, log) for member, log in enumerate(logs, start=1)])


def test_equal_logs_are_equal_and_every_execution_is_known(tmp_path: Path) -> None:
    log, venue = bodies()
    found_out = three(tmp_path, [log, log, log])
    assert found_out.ok
    assert found_out.common_index == len(log) + 1
    assert found_out.compared == 3 * len(log)
    for node in found_out.nodes:
        assert node.digests[len(log) + 1] == found_out.nodes[0].digests[len(log) + 1]
        assert all(total.sum_atoms == 0 for total in node.totals)
        alice = [
            (number, execution)
            for (session, number), execution in sorted(node.executions.items())
            if session == venue.sessions[ALICE]
        ]
        assert [(number, execution.times) for number, execution in alice] == [(1, 1), (2, 1), (3, 1)]
        assert isinstance(alice[0][1].reply, Placed)


def test_walk_gives_the_committed_entries_without_no_ops(tmp_path: Path) -> None:
    log, _ = bodies()
    node = write(tmp_path, 1, log, commit=6)
    walked = list(walk(node))
    assert [(index, term) for index, term, _ in walked] == [(index, 1) for index in range(2, 7)]
    assert [entry for _, _, entry in walked] == [wire.decode_entry(body) for body in log[:5]]


def test_what_is_not_committed_does_not_count(tmp_path: Path) -> None:
    log, venue = bodies()
    nodes = [write(tmp_path, member, log, commit=len(log) - 3) for member in (1, 2)]
    nodes.append(write(tmp_path, 3, log))
    found_out = audit(nodes)
    assert found_out.ok
    assert found_out.common_index == len(log) - 3
    cancel = (venue.sessions[ALICE], 2)
    assert [cancel in node.executions for node in found_out.nodes] == [False, False, True]


def test_a_trimmed_log_is_replayed_from_its_snapshot(tmp_path: Path) -> None:
    log, venue = bodies()
    nodes = [write(tmp_path, 1, log), write(tmp_path, 2, log, trimmed=True)]
    found_out = audit(nodes)
    assert found_out.ok
    trimmed = found_out.nodes[1]
    assert (trimmed.replayed_after, trimmed.first_index) == (SNAPSHOT_AT, SNAPSHOT_AT - 1)
    assert trimmed.digests[SNAPSHOT_AT] == found_out.nodes[0].digests[SNAPSHOT_AT]
    key = (venue.sessions[ALICE], 2)
    assert trimmed.executions[key] == found_out.nodes[0].executions[key]
    refused = audit(nodes, snapshot_ok=False)
    assert not refused.ok
    assert any("the log begins at" in fault for fault in refused.faults)


def test_a_different_entry_is_found(tmp_path: Path) -> None:
    log, _ = bodies()
    entry = msgspec.structs.replace(wire.decode_entry(log[-4]), requests=[])
    changed = [*log[:-4], wire.encode_entry(entry), *log[-3:]]
    found_out = three(tmp_path, [log, log, changed])
    assert not found_out.ok
    assert not found_out.digests_equal
    assert found_out.faults == [
        f"members {pair} differ from index {len(log) - 2} on" for pair in ("1 and 3", "2 and 3")
    ]


def test_a_shorter_log_is_not_a_difference(tmp_path: Path) -> None:
    log, _ = bodies()
    found_out = three(tmp_path, [log, log[:-3], log])
    assert found_out.ok
    assert found_out.common_index == len(log) - 2


def test_an_entry_that_cannot_be_applied_is_a_fault(tmp_path: Path) -> None:
    log, _ = bodies()
    found_out = three(tmp_path, [log, log, [*log, log[0]]])
    assert not found_out.ok
    assert any(f"applying index {len(log) + 2}" in fault for fault in found_out.faults)


def test_a_missing_member_is_a_fault(tmp_path: Path) -> None:
    log, _ = bodies()
    found_out = audit([write(tmp_path, 1, log), tmp_path / "n2"])
    assert not found_out.ok
    assert not found_out.digests_equal
    assert any(fault.startswith("n2:") for fault in found_out.faults)


def test_a_planted_second_execution_is_a_duplicate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log, venue = bodies()
    session = venue.sessions[ALICE]

    class Forgetful(Exchange):
        """Answers a repeat as if it had executed it again."""

        def apply(self, index: int, entry: Entry) -> Applied:
            applied = super().apply(index, entry)
            outcomes = [
                msgspec.structs.replace(outcome, replied_index=index)
                if request.session == session and request.request == 1
                else outcome
                for request, outcome in zip(entry.requests, applied.outcomes, strict=True)
            ]
            return msgspec.structs.replace(applied, outcomes=outcomes)

    monkeypatch.setattr(audit_module, "Exchange", Forgetful)
    found_out = three(tmp_path, [log, log, log])
    assert found_out.duplicates == [(session, 1)]
    assert not found_out.ok
    assert found_out.nodes[2].executions[session, 1].times == 2


def test_a_refusal_that_is_stored_is_an_execution() -> None:
    venue = market()
    request = venue.request(ALICE, buy(1, 10_000, 100_000))
    outcome = venue.send(request)[0]
    assert isinstance(outcome.reply, Refused)
    assert outcome.reply.reason is Reject.INSUFFICIENT_FUNDS
    executions: dict[tuple[int, int], Execution] = {}
    entry = Entry(1, 1, [request])
    audit_module._note(executions, entry, Applied(outcome.replied_index, 1, [outcome]), {})
    assert list(executions) == [(request.session, request.request)]


def test_balances_that_no_event_has_moved_are_a_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, _ = bodies()
    node = write(tmp_path, 1, log)
    apply = Exchange.apply

    def steal(self: Exchange, index: int, entry: Entry) -> Applied:
        applied = apply(self, index, entry)
        if index == len(log):
            balances = self.state.accounts
            balances[ALICE].balance(USD).free_atoms -= 1
            balances[BOB].balance(USD).free_atoms += 1
        return applied

    monkeypatch.setattr(Exchange, "apply", steal)
    found_out = audit([node])

    assert not found_out.ok
    assert [
        f"of account {account}" in fault
        for account, fault in zip((ALICE, BOB), found_out.faults, strict=True)
    ] == [
        True,
        True,
    ]


def said(member: int, first: int, last: int, mark: int = 0) -> NodeAudit:
    """Return the audit of a member that has the digests of some indexes."""
    return NodeAudit(
        member=member,
        replayed_after=first - 1,
        first_index=first,
        last_index=last,
        commit_index=last,
        digests={index: bytes([index, mark]) for index in range(first, last + 1)},
        executions={},
        totals=[],
        faults=[],
    )


def test_members_that_share_no_index_agree_if_others_link_them() -> None:
    parts = [said(1, 1, 10), said(2, 21, 30), said(3, 10, 21)]
    assert audit_module._compare(parts) == (2, [])
    assert audit_module._compare([*parts[::-1], said(1, 1, 0)]) == (2, [])


def test_members_that_nothing_links_differ_and_whoever_says_nothing_links_nobody() -> None:
    nobody = said(4, 1, 0)
    compared, differences = audit_module._compare([nobody, said(1, 1, 10), said(2, 11, 20), said(3, 15, 30)])
    assert compared == 6
    assert differences == [f"member {member} shares no index with member 1" for member in (2, 3)]
    assert audit_module._compare([nobody]) == audit_module._compare([]) == (0, [])


def test_a_difference_is_one_whatever_links_the_members() -> None:
    assert audit_module._compare([said(1, 1, 10), said(2, 1, 10), said(3, 5, 10, mark=1)]) == (
        22,
        ["members 1 and 3 differ from index 5 on", "members 2 and 3 differ from index 5 on"],
    )
