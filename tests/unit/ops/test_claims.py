"""A run is ok only if every claim holds: each of them, failing alone, is told and decides."""

from typing import Any

import pytest

from steelyard.ops.claims import Drilled, Replayed, failures_of_drill, failures_of_replay
from steelyard.ops.verdict import Verdict

GOOD = Verdict(
    acknowledged=5000,
    lost=0,
    duplicated=0,
    changed=0,
    money_conserved=True,
    digests_equal=True,
    replicas_compared=3,
    ok=True,
    findings=[],
)
BAD = Verdict(
    acknowledged=5000,
    lost=1,
    duplicated=0,
    changed=0,
    money_conserved=True,
    digests_equal=True,
    replicas_compared=3,
    ok=False,
    findings=["session 1, request 1: lost"],
)
FEW = Verdict(
    acknowledged=999,
    lost=0,
    duplicated=0,
    changed=0,
    money_conserved=True,
    digests_equal=True,
    replicas_compared=3,
    ok=True,
    findings=[],
)
REPLAY = Replayed(
    GOOD,
    commands=5000,
    unexpected=0,
    kills_wanted=1,
    kills=1,
    recovered=1,
    best_recorded=200,
    best_checked=200,
    best_equal=198,
)
DRILL = Drilled(GOOD, linearizable=True, log_time_moves_on=True, log_faults=[], recoveries=1, own_failures=[])


def test_a_replay_of_which_every_claim_holds_is_ok() -> None:
    assert failures_of_replay(REPLAY) == []
    quiet = REPLAY._replace(
        kills_wanted=0, kills=0, recovered=0, best_recorded=0, best_checked=0, best_equal=0
    )
    assert failures_of_replay(quiet) == []


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"verdict": BAD}, "the verdict on the acknowledgements is not ok"),
        ({"commands": 5001}, "5001 commands were sent, 5000 acknowledged"),
        ({"commands": 4999}, "4999 commands were sent, 5000 acknowledged"),
        ({"unexpected": 1}, "1 replies were not what the market's mirror expected"),
        ({"kills_wanted": 0}, "1 leaders were killed, not 0"),
        ({"kills": 0, "recovered": 0}, "0 leaders were killed, not 1"),
        ({"recovered": 0}, "orders went on after 0 of 1 kills"),
        ({"best_recorded": 201}, "200 of 201 recorded best prices were compared"),
        ({"best_equal": 197}, "197 of 200 best prices were equal"),
    ],
    ids=lambda value: "" if isinstance(value, str) else ", ".join(value),
)
def test_each_claim_of_a_replay_decides_alone(changed: dict[str, Any], words: str) -> None:
    assert failures_of_replay(REPLAY._replace(**changed)) == [words]


def test_a_drill_of_which_every_claim_holds_is_ok() -> None:
    assert failures_of_drill(DRILL) == []


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"verdict": BAD}, "the verdict on the acknowledgements is not ok"),
        ({"verdict": FEW}, "only 999 acknowledgements, not 1000"),
        ({"linearizable": False}, "the history is not linearizable"),
        ({"log_time_moves_on": False}, "log time does not only move forward"),
        ({"log_faults": ["n1: torn"]}, "the logs differ or cannot be read: n1: torn"),
        ({"recoveries": 0}, "no fault was measured"),
        ({"own_failures": ["node 1 led on"]}, "node 1 led on"),
    ],
    ids=lambda value: "" if isinstance(value, str) else ", ".join(value),
)
def test_each_claim_of_a_drill_decides_alone(changed: dict[str, Any], words: str) -> None:
    assert failures_of_drill(DRILL._replace(**changed)) == [words]
