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


class Crashed(NamedTuple):
    """How a crash went."""

    #: On how many replicas (or exchanges) everything was looked at.
    replicas: int
    #: Assets of replicas of which some atoms are missing or too many, in words.
    gaps: Sequence[str]
    #: None: no group, so nobody acknowledged anything.
    verdict: Verdict | None
    #: Whatever the players asked for at first and were refused.
    refused_at_first: int
    liquidations: int
    #: Numbers that came twice, or ended without having begun, or were left out.
    odd_liquidations: int
    #: Scopes that the engine still had when it was over.
    left: int
    #: Funds that are not what the events make them, in words.
    fund_faults: Sequence[str]
    #: Units of the engine in one entry, at most, and so many are allowed.
    peak_units: int
    units_max: int
    strikes_wanted: int
    strikes: int
    recovered: int


def claims_of_crash(run: Crashed) -> list[tuple[str, bool]]:
    """Return every claim of a crash, and whether it holds."""
    claims = [
        (
            f"what was paid in is what all accounts have, to the atom, on all {run.replicas} replicas"
            + "".join(f"; {gap}" for gap in run.gaps),
            not run.gaps and run.replicas > 0,
        ),
        (
            f"all that the crowd asked for at first was done; {run.refused_at_first} refused",
            run.refused_at_first == 0,
        ),
        (f"there was a cascade: {run.liquidations} liquidations", run.liquidations > 0),
        (
            f"each liquidation has one number, one beginning and at most one end; {run.odd_liquidations} odd",
            run.odd_liquidations == 0,
        ),
        (f"the engine has come to an end with everybody; {run.left} left", run.left == 0),
        (
            "the insurance funds are what the events make them"
            + "".join(f"; {fault}" for fault in run.fund_faults),
            not run.fund_faults,
        ),
        (
            f"no entry has more than {run.units_max} units of the engine; {run.peak_units} at most",
            run.peak_units <= run.units_max,
        ),
        (
            f"the leader was taken away {run.strikes_wanted} times; {run.strikes} times, and it went on after"
            f" {run.recovered}",
            run.strikes_wanted == run.strikes == run.recovered,
        ),
    ]
    verdict = run.verdict
    if verdict is not None:
        claims += [
            (
                f"all {verdict.acknowledged} acknowledged requests were applied, once, as told;"
                f" {verdict.lost} lost, {verdict.duplicated} repeated, {verdict.changed} changed",
                verdict.acknowledged > 0 and not (verdict.lost or verdict.duplicated or verdict.changed),
            ),
            (
                f"digests are equal on {verdict.replicas_compared} replicas, and their states are sound",
                verdict.ok and verdict.digests_equal,
            ),
        ]
    return claims
