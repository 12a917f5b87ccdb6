"""What a run claims beyond the acknowledgements, claim by claim: it is ok only if none of them fails.

Each function returns in words the claims that do not hold, so that an outcome says why it is not ok.
"""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from steelyard.ops.verdict import Verdict

#: At least so much of the recorded best prices must be met, in parts per million.
TOP_OF_BOOK_MIN_PPM: Final = 990_000
#: A drill that has seen fewer acknowledgements proves little.
ACKNOWLEDGED_MIN: Final = 1000
#: A price wanders about its path.
FALL_SLACK_PPM: Final = 10_000
#: Books are thin that show no more than this of what they did.
THIN_MAX_PPM: Final = 500_000
PERCENT_PPM: Final = 10_000


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

    #: On how many replicas (or exchanges) everything was to be looked at, and was.
    replicas_wanted: int
    replicas: int
    #: Assets of replicas of which some atoms are missing or too many, in words.
    gaps: Sequence[str]
    #: None: no group, so nobody acknowledged anything.
    verdict: Verdict | None
    #: Whatever the players asked for at first and were refused.
    refused_at_first: int
    #: How far the first index was to fall and fell, in parts per million.
    drop_ppm: int
    fallen_ppm: int
    #: How often indices were to become stale at least, and did; and steps of the engine while they were.
    stale_wanted: int
    stale: int
    blind_steps: int
    #: What the bids showed when they were thin, of what they had when it was calm, by contract.
    thin_ppm: Mapping[str, int]
    liquidations: int
    #: Numbers that came twice, ended without having begun, or were left out, by replica.
    odd_liquidations: Mapping[int, int]
    #: Scopes that the engine still had when it was over, by replica.
    left: Mapping[int, int]
    #: Funds that are not what the events make them, in words.
    fund_faults: Sequence[str]
    #: Units of the engine in one entry, at most, and so many are allowed.
    peak_units: int
    units_max: int
    strikes_wanted: int
    strikes: int
    recovered: int
    #: Those between the first beginning of a liquidation and the last end of one.
    strikes_in_cascade: int


def claims_of_crash(run: Crashed) -> list[tuple[str, bool]]:
    """Return every claim of a crash, and whether it holds."""
    claims = [
        (
            f"{run.replicas} replicas of {run.replicas_wanted} were looked at, from the first entry on",
            run.replicas == run.replicas_wanted,
        ),
        (
            "what was paid in is what all accounts have, to the atom, on all of them"
            + "".join(f"; {gap}" for gap in run.gaps),
            not run.gaps,
        ),
        (
            f"all that the crowd asked for at first was done; {run.refused_at_first} refused",
            run.refused_at_first == 0,
        ),
        (
            f"the price fell by {run.fallen_ppm / PERCENT_PPM:.1f} %;"
            f" {run.drop_ppm / PERCENT_PPM:.1f} % were planned",
            run.fallen_ppm + FALL_SLACK_PPM >= run.drop_ppm,
        ),
        (
            f"oracles fell silent: an index became stale {run.stale} times;"
            f" {run.stale_wanted} were planned at least",
            run.stale >= run.stale_wanted,
        ),
        (f"no step was taken under a stale index; {run.blind_steps} were", run.blind_steps == 0),
        (
            "books were thin: bids came to "
            + ", ".join(f"{ppm / PERCENT_PPM:.0f} % in {symbol}" for symbol, ppm in run.thin_ppm.items())
            + " of what they were in the calm",
            bool(run.thin_ppm) and max(run.thin_ppm.values()) <= THIN_MAX_PPM,
        ),
        (f"there was a cascade: {run.liquidations} liquidations", run.liquidations > 0),
        (
            "each liquidation has one number and one beginning in the log of every replica;"
            f" {_by_replica(run.odd_liquidations)} odd",
            not any(run.odd_liquidations.values()),
        ),
        (
            f"each has one end in the log of every replica; {_by_replica(run.left)} left",
            not any(run.left.values()),
        ),
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
        (
            f"each time within the cascade; {run.strikes_in_cascade} were",
            run.strikes_in_cascade == run.strikes,
        ),
    ]
    return claims if run.verdict is None else claims + _claims_of_verdict(run.verdict)


def _claims_of_verdict(verdict: Verdict) -> list[tuple[str, bool]]:
    return [
        (
            f"all {verdict.acknowledged} acknowledged requests were applied, once, as told;"
            f" {verdict.lost} lost, {verdict.duplicated} repeated, {verdict.changed} changed",
            verdict.acknowledged > 0 and not (verdict.lost or verdict.duplicated or verdict.changed),
        ),
        (
            f"digests are equal at every index that replicas share; {verdict.replicas_compared} replicas",
            verdict.digests_equal,
        ),
        ("each asset sums to zero on every replica", verdict.money_conserved),
        (
            "nothing else is wrong with any log or state"
            + "".join(f"; {words}" for words in verdict.findings),
            verdict.ok,
        ),
    ]


def _by_replica(counts: Mapping[int, int]) -> str:
    return ", ".join(str(count) for count in counts.values()) or "no log"
