"""What the drills are made of: their catalogue, their figures, and what they do to files."""

import asyncio
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import pytest

from steelyard.client import Cancelled, CancelOrder
from steelyard.ops.cluster import LocalGroup
from steelyard.ops.drills.catalogue import DRILLS, run_all, table
from steelyard.ops.drills.disks import flip
from steelyard.ops.drills.stage import Drill, Setting, Stage, perform, recovery, until
from steelyard.ops.errors import GroupError
from steelyard.ops.history import History
from steelyard.ops.load import OrderFlow
from steelyard.ops.terminal import Terminal
from steelyard.ops.wishes import Wish, read_wish, remove_wish, write_wish


def test_every_drill_has_a_name_a_sentence_and_rounds() -> None:
    assert len(DRILLS) > 20
    for name, drill in DRILLS.items():
        assert name == drill.name
        assert drill.summary.endswith(".")
        assert 1 <= drill.quick_rounds <= drill.rounds


async def nothing(_stage: Stage, _rounds: int) -> None:
    """Break nothing."""


def test_a_drill_that_cannot_be_done_here_says_why() -> None:
    drill = Drill("impossible", "Cannot be.", nothing, missing=lambda: "no compiler")
    result = asyncio.run(perform(Terminal(as_json=True), drill))
    assert result == {"drill": "impossible", "skipped": "no compiler", "ok": True}


def test_all_drills_run_whatever_becomes_of_those_before(capsys: pytest.CaptureFixture[str]) -> None:
    def faulty() -> str:
        raise ZeroDivisionError("a fault of ours")

    @contextmanager
    def unprepared(group: LocalGroup) -> Iterator[None]:
        raise GroupError(f"no network for {group.directory}")
        yield

    drills = {
        "faulty": Drill("faulty", "Has a fault.", nothing, missing=faulty),
        "unprepared": Drill("unprepared", "Lacks something.", nothing, setting=Setting(prepare=unprepared)),
        "impossible": Drill("impossible", "Cannot be.", nothing, missing=lambda: "no compiler"),
    }
    result = asyncio.run(run_all(Terminal(as_json=True), quick=True, profile="shared", drills=drills))
    assert (result["ok"], result["failed"], result["skipped"]) == (
        False,
        ["faulty", "unprepared"],
        ["impossible"],
    )
    assert table(result).row_count == 3
    said = capsys.readouterr().err
    for words in (
        "drill 1 of 3: faulty FAILED: ZeroDivisionError('a fault of ours')",
        "in faulty",
        "drill 2 of 3: unprepared FAILED: no network for",
        "drill 3 of 3: impossible was skipped: no compiler",
    ):
        assert words in said
    (_, unprepared_verdict, _) = result["drills"]
    kept = Path(unprepared_verdict["data"])
    assert unprepared_verdict["error"] == f"no network for {kept}"
    assert (kept / "group.json").exists()
    assert f"the group's data is left in {kept}" in said
    shutil.rmtree(kept)


def test_what_is_waited_for_in_vain_is_said() -> None:
    with pytest.raises(GroupError, match="in vain until pigs could fly"):
        asyncio.run(until("pigs could fly", lambda: False, seconds=0.0))


def test_recoveries_are_summed_up_by_their_order() -> None:
    found = recovery([*range(100, 0, -1)])
    assert found["recovery_ms_min"] == 1
    assert found["recovery_ms_median"] == 50
    assert found["recovery_ms_p99"] == 99
    assert found["recovery_ms_max"] == 100
    assert recovery([]) == {"recoveries_ms": []}


def test_the_longest_silence_is_between_two_acknowledgements_or_an_edge() -> None:
    history = History()
    history.returns_ns = [second * 10**9 for second in (1, 2, 5, 6)]
    assert history.longest_silence_ms(0.5, 6.5) == 3000
    assert history.longest_silence_ms(1.5, 2.5) == 500
    assert history.longest_silence_ms(6.0, 10.0) == 4000


def test_a_history_keeps_calls_and_returns() -> None:
    history = History()
    history.called(7, 3, [CancelOrder(1), CancelOrder(2)])
    history.returned(7, Cancelled(4, 0, 9, 1, 1))
    assert [*history.writes] == [(7, 3), (7, 4)]
    assert history.writes[7, 3].reply is None
    assert 0 < history.writes[7, 4].called_ns <= history.writes[7, 4].returned_ns == history.returns_ns[0]


def test_a_bounded_flow_keeps_few_orders_alive() -> None:
    flow = OrderFlow(1, 5, resting_min=20, resting_max=40)
    living = 0
    counts: list[int] = []
    for command in flow.next(5000):
        if isinstance(command, CancelOrder):
            living -= 1
        elif command.time_in_force == 1:
            living += 1
        counts.append(living)
    assert max(counts) <= 41
    assert min(counts[50:]) >= 19
    assert all(abs(after - before) <= 1 for before, after in pairwise(counts))


def test_a_flipped_bit_is_one_bit(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(100))
    flip(path, 50)
    assert [place for place, byte in enumerate(path.read_bytes()) if byte] == [50]
    assert path.read_bytes()[50] == 1


def test_a_wish_is_read_answered_and_forgotten(tmp_path: Path) -> None:
    assert read_wish(tmp_path) is None
    write_wish(tmp_path, Wish(2))
    assert read_wish(tmp_path) == Wish(2)
    write_wish(tmp_path, Wish(2, done=True, error="no"))
    assert read_wish(tmp_path) == Wish(2, done=True, error="no")
    remove_wish(tmp_path)
    remove_wish(tmp_path)
    assert read_wish(tmp_path) is None


@pytest.mark.parametrize("name", ["disk-full", "fsync-error", "slow-disk", "write-error", "clock-jump"])
def test_a_drill_that_needs_something_of_the_machine_can_tell(name: str) -> None:
    assert isinstance(DRILLS[name].missing(), str)
