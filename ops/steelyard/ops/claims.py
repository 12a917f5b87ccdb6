"""What a run claims beyond the acknowledgements, claim by claim: it is ok only if none of them fails.

Each function returns in words the claims that do not hold, so that an outcome says why it is not ok.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

from steelyard.ops.verdict import Verdict

#: At least so much of the recorded best prices must be met, in parts per million.
TOP_OF_BOOK_MIN_PPM: Final = 990_000
#: A drill that has seen fewer acknowledgements proves little.
ACKNOWLEDGED_MIN: Final = 1000


class Replayed(NamedTuple):
    """How a replay of a recorded market went."""

    verdict: Verdict
    #: Commands that were sent.
    commands: int
    #: Replies that were not what the mirror of the market expected.
    unexpected: int
    kills_wanted: int
    kills: int
    #: Kills after which an order was acknowledged by the next leader.
    recovered: int
    #: Best prices in the recording, those that were compared with the exchange's, and those that were equal.
    best_recorded: int
    best_checked: int
    best_equal: int


def failures_of_replay(run: Replayed) -> list[str]:
    """Return the claims of a replay that do not hold."""
    claims = (
        (run.verdict.ok, "the verdict on the acknowledgements is not ok"),
        (
            run.verdict.acknowledged == run.commands,
            f"{run.commands} commands were sent, {run.verdict.acknowledged} acknowledged",
        ),
        (not run.unexpected, f"{run.unexpected} replies were not what the market's mirror expected"),
        (run.kills == run.kills_wanted, f"{run.kills} leaders were killed, not {run.kills_wanted}"),
        (run.recovered == run.kills, f"orders went on after {run.recovered} of {run.kills} kills"),
        (
            run.best_checked == run.best_recorded,
            f"{run.best_checked} of {run.best_recorded} recorded best prices were compared",
        ),
        (
            run.best_equal * 1_000_000 >= TOP_OF_BOOK_MIN_PPM * run.best_checked,
            f"{run.best_equal} of {run.best_checked} best prices were equal",
        ),
    )
    return [words for holds, words in claims if not holds]


class Drilled(NamedTuple):
    """How a drill went."""

    verdict: Verdict
    linearizable: bool
    log_time_moves_on: bool
    #: What is wrong with the members' logs, in words.
    log_faults: Sequence[str]
    #: Faults whose effect on clients was measured.
    recoveries: int
    #: Claims of this drill alone that do not hold, in words.
    own_failures: Sequence[str]


def failures_of_drill(run: Drilled) -> list[str]:
    """Return the claims of a drill that do not hold."""
    claims = (
        (run.verdict.ok, "the verdict on the acknowledgements is not ok"),
        (run.linearizable, "the history is not linearizable"),
        (run.log_time_moves_on, "log time does not only move forward"),
        (not run.log_faults, f"the logs differ or cannot be read: {'; '.join(run.log_faults)}"),
        (
            run.verdict.acknowledged >= ACKNOWLEDGED_MIN,
            f"only {run.verdict.acknowledged} acknowledgements, not {ACKNOWLEDGED_MIN}",
        ),
        (run.recoveries > 0, "no fault was measured"),
    )
    return [*run.own_failures, *(words for holds, words in claims if not holds)]
