"""What a crash came to: figures, claims one by one, and a table that a person likes to read."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec
from rich.console import Group
from rich.markup import escape
from rich.table import Table

from steelyard.core import Exchange
from steelyard.core.limits import LIQUIDATION_STEPS_PER_ENTRY_MAX
from steelyard.core.units import AssetId
from steelyard.ops import machine
from steelyard.ops.claims import Crashed, claims_of_crash
from steelyard.ops.crash.play import Plan, Played
from steelyard.ops.crash.solvency import Solvency, solvency
from steelyard.ops.crash.watch import Watch
from steelyard.ops.results import commit
from steelyard.ops.terminal import text_of
from steelyard.ops.verdict import Verdict

_NS: Final = 1_000_000_000

_ROWS: Final = (
    ("accounts", "accounts"),
    ("positions", "positions taken"),
    ("marks", "new marks"),
    ("liquidations", "liquidations"),
    ("engine_steps", "steps of the engine"),
    ("adls", "auto-deleveragings"),
    ("adl_givers", "positions that gave lots in them"),
    ("withdrawal_gates", "withdrawal gates closed"),
    ("peak_units_per_entry", "units of the engine in one entry, at most"),
    ("peak_events_per_entry", "events of one entry, at most"),
    ("longest_entry_ms", "longest entry, ms"),
    ("cascade_s", "from the first liquidation to the last, s of log time"),
    ("recovery_ms", "from the kill to the next acknowledgement, ms"),
    ("acknowledged", "acknowledged"),
    ("lost", "lost"),
    ("opening_s", "opening accounts and positions, s"),
    ("seconds", "seconds in all"),
)


class Outcome(NamedTuple):
    """Everything that a report is made from."""

    plan: Plan
    played: Played
    watch: Watch
    #: The last states, by replica.
    exchanges: Mapping[int, Exchange]
    #: Rolling digests at the last index that all replicas have, by replica.
    digests: Mapping[int, bytes]
    verdict: Verdict | None
    recoveries_ms: Sequence[int]
    refused: Mapping[str, int]
    seconds: float


def report(outcome: Outcome) -> dict[str, Any]:
    """Return the outcome as plain values; ``ok`` only if every claim holds."""
    watch, plan, played = outcome.watch, outcome.plan, outcome.played
    rows = {replica: solvency(exchange.state) for replica, exchange in outcome.exchanges.items()}
    claims = claims_of_crash(
        Crashed(
            replicas=len(rows),
            gaps=_gaps(outcome, rows),
            verdict=outcome.verdict,
            refused_at_first=played.refused_at_first,
            liquidations=len(watch.started),
            odd_liquidations=_odd(watch),
            left=len(watch.started) - len(watch.ended),
            fund_faults=_fund_faults(outcome),
            peak_units=watch.peak_units,
            units_max=LIQUIDATION_STEPS_PER_ENTRY_MAX,
            strikes_wanted=int(plan.strikes),
            strikes=played.strikes,
            recovered=len(outcome.recoveries_ms),
        )
    )
    failures = [words for words, holds in claims if not holds]
    verdict = outcome.verdict
    names = {asset: row.symbol for asset, row in _assets(outcome)}
    ends = Counter(how.name for how in watch.ended.values())
    began_ns = min(watch.started.values(), default=0)
    return {
        "accounts": played.accounts,
        "positions": played.positions,
        "drop": plan.drop,
        "seed": plan.seed,
        "steps": played.steps,
        "entries": watch.entries,
        "events": watch.events,
        "index_sets": watch.index_sets,
        "index_stale": watch.stale,
        "marks": sum(len(series) for series in watch.marks.values()),
        "funding_rounds": watch.rounds,
        "liquidations": len(watch.started),
        "liquidations_by_end": dict(sorted(ends.items())),
        "liquidations_left": len(watch.started) - len(watch.ended),
        "engine_steps": watch.steps,
        "adls": watch.adls,
        "adl_givers": watch.adl_givers,
        "bad_debt_atoms": {names[asset]: atoms for asset, atoms in watch.debts_atoms.items()},
        "shared_loss_atoms": {names[asset]: atoms for asset, atoms in watch.shared_atoms.items()},
        "fund_atoms": {names[asset]: _fund(watch, asset) for asset in watch.fund_before},
        "withdrawal_gates": watch.gates,
        "peak_units_per_entry": watch.peak_units,
        "peak_events_per_entry": watch.peak_events,
        "longest_entry_ms": round(watch.longest_ns / 1e6, 2),
        "longest_entry_index": watch.longest_index,
        "cascade_s": round((watch.ended_ns - began_ns) / _NS, 2) if watch.ended else 0.0,
        "leader_kills": played.strikes,
        "recovery_ms": outcome.recoveries_ms[0] if outcome.recoveries_ms else None,
        "refused": dict(outcome.refused),
        **({} if verdict is None else msgspec.structs.asdict(verdict)),
        "solvency": {
            str(replica): [{**row._asdict(), "gap_atoms": row.gap_atoms} for row in found]
            for replica, found in rows.items()
        },
        "digests": {str(replica): digest.hex() for replica, digest in outcome.digests.items()},
        "opening_s": round(played.opening_s, 2),
        "seconds": round(outcome.seconds, 2),
        "claims": [{"claim": words, "holds": holds} for words, holds in claims],
        "failures": failures,
        "machine": machine.describe(),
        "commit": commit(),
        "ok": not failures,
    }


def report_table(result: dict[str, Any]) -> Group:
    """Return the outcome as tables."""
    good = "[bold green]ok[/]" if result["ok"] else "[bold red]NOT ok[/]"
    figures = Table(title=f"A crash: {good}", title_justify="left")
    figures.add_column("what")
    figures.add_column("count", justify="right")
    for key, words in _ROWS:
        if result.get(key) is not None:
            figures.add_row(words, text_of(result[key]))
    for how, count in result["liquidations_by_end"].items():
        figures.add_row(f"  liquidations that ended {how}", text_of(count))
    for asset, fund in result["fund_atoms"].items():
        for when in ("before", "lowest", "after"):
            figures.add_row(f"fund of {asset}, {when}, atoms", text_of(fund[when]))
    claims = Table(title="Claims", title_justify="left", show_header=False)
    claims.add_column("holds")
    claims.add_column("claim", overflow="fold")
    for row in result["claims"]:
        claims.add_row("[green]yes[/]" if row["holds"] else "[bold red]NO[/]", escape(row["claim"]))
    return Group(figures, claims)


def _assets(outcome: Outcome) -> list[tuple[AssetId, Any]]:
    exchange = next(iter(outcome.exchanges.values()))
    return sorted(exchange.state.markets.assets.items())


def _gaps(outcome: Outcome, rows: Mapping[int, Sequence[Solvency]]) -> list[str]:
    """Return in words where atoms are missing, or where other ones came from outside than the events say."""
    told = {row.symbol: outcome.watch.outside_atoms.get(asset, 0) for asset, row in _assets(outcome)}
    gaps = [
        f"replica {replica}: {row.symbol} lacks {row.gap_atoms} atoms"
        for replica, found in rows.items()
        for row in found
        if row.gap_atoms
    ]
    return gaps + [
        f"replica {replica}: {row.outside_atoms} atoms of {row.symbol} from outside, {told[row.symbol]} told"
        for replica, found in rows.items()
        for row in found
        if row.outside_atoms != told[row.symbol]
    ]


def _odd(watch: Watch) -> int:
    """Return how many numbers of liquidations came twice, ended without a beginning, or are missing."""
    missing = max(watch.started, default=0) - len(watch.started)
    return len(watch.odd_numbers) + missing


def _fund_faults(outcome: Outcome) -> list[str]:
    found = []
    for replica, exchange in outcome.exchanges.items():
        for asset, house in exchange.state.ledger.houses.items():
            told_atoms = outcome.watch.fund_atoms(asset)
            if house.insurance_atoms != told_atoms:
                found.append(f"replica {replica}: {house.insurance_atoms} atoms, told {told_atoms}")
    return found


def _fund(watch: Watch, asset: AssetId) -> dict[str, int]:
    series = watch.fund[asset]
    before_atoms = watch.fund_before[asset]
    falling = [atoms for time_ns, atoms in series if time_ns >= watch.fall_ns]
    return {"before": before_atoms, "lowest": min([before_atoms, *falling]), "after": series[-1][1]}
