"""The verdict finds what was planted."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from steelyard import core
from steelyard.client import Accepted, Amended, Cancelled, Many, Placed, Refused, Reply, Swept, Waiting
from steelyard.core import entry
from steelyard.core.units import OrderNumber
from steelyard.ops.cluster import LocalGroup
from steelyard.ops.verdict import (
    FINDINGS_MAX,
    AckBook,
    AckRow,
    Evidence,
    NodeEvidence,
    Verdict,
    evidence_of,
    gather,
    judge,
    told_by,
)
from steelyard.replication.audit import Audit, Execution, NodeAudit, RequestId

SESSION = 7
NUMBER = OrderNumber(5)
#: The same four requests as clients are told of them, and as logs hold them.
REPLIES: list[Reply] = [
    Placed(1, 11, 100, 5, 0, 0, 0, 30),
    Placed(2, 12, 100, 5, 4, 400, 1, 0),
    Cancelled(3, 13, 101, 5, 30),
    Refused(4, 14, 102, "UNKNOWN_ORDER", 0),
]
LOG: dict[RequestId, Execution] = {
    (SESSION, 1): Execution(
        100,
        1,
        core.Placed(
            request=1,
            fingerprint=11,
            number=NUMBER,
            executed_lots=0,
            executed_atoms=0,
            fee_atoms=0,
            open_lots=30,
        ),
    ),
    (SESSION, 2): Execution(
        100,
        1,
        core.Placed(
            request=2,
            fingerprint=12,
            number=NUMBER,
            executed_lots=4,
            executed_atoms=400,
            fee_atoms=1,
            open_lots=0,
        ),
    ),
    (SESSION, 3): Execution(101, 1, core.Cancelled(request=3, fingerprint=13, number=NUMBER, open_lots=30)),
    (SESSION, 4): Execution(
        102, 1, core.Refused(request=4, fingerprint=14, reason=core.Reject.UNKNOWN_ORDER)
    ),
}


def acknowledged(*replies: Reply) -> AckBook:
    acks = AckBook()
    record = acks.recorder(SESSION)
    for reply in replies:
        record(reply.request, reply)
    return acks


def without(request: int) -> dict[RequestId, Execution]:
    return {key: execution for key, execution in LOG.items() if key != (SESSION, request)}


def verdict(*logs: Mapping[RequestId, Execution], acks: AckBook | None = None, **evidence: bool) -> Verdict:
    nodes = [NodeEvidence(member, executions) for member, executions in enumerate(logs, 1)]
    book = acks if acks is not None else acknowledged(*REPLIES)
    claims = {"money_conserved": True, "digests_equal": True, **evidence}
    return judge(book, Evidence(nodes, claims["money_conserved"], claims["digests_equal"]))


def test_equal_logs_that_hold_every_acknowledgement_are_ok() -> None:
    assert verdict(LOG, LOG, LOG) == Verdict(
        acknowledged=4,
        lost=0,
        duplicated=0,
        changed=0,
        money_conserved=True,
        digests_equal=True,
        replicas_compared=3,
        ok=True,
        findings=[],
    )


def test_requests_that_were_executed_but_never_acknowledged_are_fine() -> None:
    assert verdict(LOG, acks=acknowledged(*REPLIES[:2])).ok


def test_an_acknowledgement_missing_from_one_replica_is_lost() -> None:
    found = verdict(LOG, without(4), LOG)
    assert (found.lost, found.duplicated, found.changed, found.ok) == (1, 0, 0, False)
    assert found.findings == ["session 7, request 4: acknowledged at 102, not in the log of replica 2"]


def test_a_request_missing_from_all_replicas_counts_once() -> None:
    assert verdict(without(1), without(1), without(1)).lost == 1


def test_a_request_that_was_executed_twice_is_duplicated_even_without_an_acknowledgement() -> None:
    twice = {**LOG, (SESSION, 9): LOG[SESSION, 3]._replace(times=2)}
    found = verdict(LOG, twice)
    assert (found.lost, found.duplicated, found.ok) == (0, 1, False)


def test_another_index_outcome_or_command_is_a_change() -> None:
    for changed in (
        REPLIES[0]._replace(log_index=99),
        REPLIES[0]._replace(fingerprint=1),
        Placed(1, 11, 100, 5, 0, 0, 0, 29),
        Refused(1, 11, 100, "UNKNOWN_ORDER", 0),
        Accepted(1, 11, 100, 0),
    ):
        found = verdict(LOG, LOG, LOG, acks=acknowledged(changed))
        assert (found.lost, found.duplicated, found.changed, found.ok) == (0, 0, 1, False), changed


def test_a_change_on_one_replica_alone_is_seen() -> None:
    altered = {**LOG, (SESSION, 1): LOG[SESSION, 1]._replace(log_index=99)}
    assert verdict(LOG, LOG, altered).changed == verdict(altered, LOG, LOG).changed == 1


def test_two_different_answers_to_one_request_cannot_both_be_in_the_log() -> None:
    other = Refused(1, 11, 103, "UNKNOWN_ORDER", 0)
    found = verdict(LOG, acks=acknowledged(*REPLIES, other))
    assert (found.changed, found.ok) == (1, False)


def test_money_digests_and_faults_decide_too() -> None:
    assert not verdict(LOG, money_conserved=False).ok
    assert not verdict(LOG, digests_equal=False).ok
    faulty = Evidence([NodeEvidence(1, LOG)], money_conserved=True, digests_equal=True, faults=["broken"])
    assert not judge(acknowledged(*REPLIES), faulty).ok


def test_nothing_acknowledged_or_nothing_compared_is_not_ok() -> None:
    assert not verdict({}, acks=acknowledged()).ok
    assert not verdict().ok


def test_only_the_first_findings_are_told() -> None:
    replies = [REPLIES[0]._replace(request=number) for number in range(1, 50)]
    found = verdict({}, acks=acknowledged(*replies))
    assert (found.lost, len(found.findings)) == (49, FINDINGS_MAX)


def test_what_no_client_asks_for_is_told_to_none() -> None:
    opened = core.SessionReady(request=0, fingerprint=0, session=core.units.SessionId(1), last_request=0)
    assert told_by(Execution(1, 1, opened)) is None


def test_acknowledgements_travel_between_processes() -> None:
    acks = acknowledged(*REPLIES)
    other = AckBook()
    other.add_rows(acks.rows())
    assert list(other.items()) == list(acks.items())
    assert (other.count, other.last_index) == (4, 102)


def audited(*nodes: tuple[int, int], faults: Sequence[str] = (), equal: bool = True) -> Audit:
    """Return an audit of members whose logs begin at an index, behind a snapshot of another."""
    return Audit(
        group="ab",
        nodes=[
            NodeAudit(
                member=member,
                replayed_after=after,
                first_index=first,
                last_index=102,
                commit_index=102,
                digests={},
                executions=LOG,
                totals=[],
                faults=[],
            )
            for member, (first, after) in enumerate(nodes, 1)
        ],
        common_index=102,
        compared=3,
        digests_equal=equal,
        money_conserved=True,
        duplicates=[],
        faults=list(faults),
    )


def test_one_whole_log_is_enough_and_trimmed_ones_say_nothing_of_what_they_have_forgotten() -> None:
    evidence = evidence_of(audited((1, 0), (50, 60), (50, 60)))
    assert [node.from_index for node in evidence.nodes] == [0, 60, 60]
    assert evidence.faults == []
    assert judge(acknowledged(*REPLIES), evidence).ok


def test_no_whole_log_is_a_fault_even_if_every_claim_that_can_be_checked_holds() -> None:
    evidence = evidence_of(audited((50, 60), (40, 45), (50, 60)))
    assert evidence.faults == ["no log begins before 40: earlier requests cannot be checked"]
    assert not judge(acknowledged(*REPLIES), evidence).ok


def test_what_the_audit_finds_is_found_by_the_verdict() -> None:
    faulty = evidence_of(audited((1, 0), faults=["n2: torn"]))
    assert faulty.faults == ["n2: torn"]
    assert not evidence_of(audited((1, 0), (1, 0), equal=False)).digests_equal


def test_a_member_whose_log_is_gone_is_a_fault_however_well_the_others_agree(tmp_path: Path) -> None:
    group = LocalGroup.found(tmp_path / "group", map_size_bytes=1 << 24)
    whole = gather(group.node_directories)
    assert (len(whole.nodes), whole.digests_equal, whole.faults) == (3, True, [])
    gone = gather([*group.node_directories[:2], tmp_path / "nowhere"])
    assert len(gone.nodes) == 2
    assert not gone.digests_equal
    assert any("nowhere" in fault for fault in gone.faults)
    assert not judge(acknowledged(*REPLIES), gone).ok


def test_an_archive_tells_of_what_members_have_forgotten_and_of_nothing_later() -> None:
    evidence = evidence_of(audited((101, 101), (101, 101), (1, 0)), archives=1)
    assert [node.until_index for node in evidence.nodes] == [None, None, 102]
    later = {key: each for key, each in LOG.items() if each.log_index == 102}
    earlier = {key: each for key, each in LOG.items() if each.log_index <= 101}
    member, archive = NodeEvidence(1, later, from_index=101), NodeEvidence(1, earlier, until_index=101)
    told = judge(acknowledged(*REPLIES), Evidence([member, archive], True, True))
    assert (told.ok, told.lost, told.replicas_compared) == (True, 0, 1)
    without_archive = judge(acknowledged(*REPLIES), Evidence([member], True, True))
    assert without_archive.lost == 3
    assert "acknowledged at 100, of which no log tells" in without_archive.findings[0]
    short = judge(acknowledged(*REPLIES), Evidence([member, archive._replace(until_index=100)], True, True))
    assert short.ok, "it holds more than it has to"


def test_a_gap_between_archive_and_log_is_lost_and_an_archive_that_lacks_something_too() -> None:
    member = NodeEvidence(1, {}, from_index=101)
    gap = judge(
        acknowledged(REPLIES[2]), Evidence([member, NodeEvidence(1, {}, until_index=100)], True, True)
    )
    assert (gap.lost, gap.ok) == (1, False)
    lacking = NodeEvidence(2, without(1), until_index=101)
    assert judge(acknowledged(REPLIES[0]), Evidence([member, lacking], True, True)).lost == 1


def test_replies_with_legs_travel_between_processes() -> None:
    legs = (Waiting(1, 2, 3, 4), Refused(1, 2, 3, "PRICE_BAND", 0), Amended(1, 2, 3, 5, 0, 0, 0, 6))
    replies: list[Reply] = [Many(1, 2, 3, legs), Swept(2, 2, 3, 9)]
    here, there = AckBook(), AckBook()
    record = here.recorder(SESSION)
    for reply in replies:
        record(reply.request, reply)
    there.add_rows(msgspec.json.decode(msgspec.json.encode(here.rows()), type=dict[int, list[AckRow]]))
    assert [reply for _, reply in there.items()] == replies


def test_a_batch_is_judged_leg_by_leg() -> None:
    batch = entry.Many(
        request=1,
        fingerprint=2,
        legs=[
            entry.Waiting(request=1, fingerprint=2, number=NUMBER),
            core.Refused(request=1, fingerprint=2, reason=core.Reject.PRICE_BAND),
        ],
    )
    told = told_by(Execution(3, 1, batch))
    assert told == Many(1, 2, 3, (Waiting(1, 2, 3, 5), Refused(1, 2, 3, "PRICE_BAND", 0)))
    assert told_by(Execution(3, 1, entry.Swept(request=1, fingerprint=2, count=4))) == Swept(1, 2, 3, 4)
