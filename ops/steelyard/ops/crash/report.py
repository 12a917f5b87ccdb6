"""What a crash came to: figures, claims one by one, and a table that a person likes to read."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any, Final, NamedTuple

import msgspec
from rich.console import Group
from rich.markup import escape
from rich.table import Table

from steelyard.core import Exchange
from steelyard.core.limits import LIQUIDATION_STEPS_PER_ENTRY_MAX
from steelyard.core.units import AssetId, IndexId, InstrumentId
from steelyard.ops import machine
from steelyard.ops.claims import Crashed, claims_of_crash
from steelyard.ops.crash import market, path
from steelyard.ops.crash.play import STEP_NS, Plan, Played
from steelyard.ops.crash.register import Register
from steelyard.ops.crash.solvency import PARTS, Solvency, equation, solvency
from steelyard.ops.crash.watch import Watch
from steelyard.ops.drills.stage import recovery
from steelyard.ops.results import commit
from steelyard.ops.terminal import text_of
from steelyard.ops.verdict import Verdict

_NS: Final = 1_000_000_000
_MILLION: Final = 1_000_000

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
    ("leader_kills", "leaders killed"),
    ("kills_in_cascade", "  of them between the first liquidation and the last"),
    ("kills_in_work", "  of them while liquidations were in work"),
    ("recovery_ms_median", "from a kill to the next acknowledgement, ms, median"),
    ("recovery_ms_max", "from a kill to the next acknowledgement, ms, at most"),
    ("terms", "terms of office"),
    ("acknowledged", "acknowledged"),
    ("lost", "lost"),
    ("opening_s", "opening accounts and positions, s"),
    ("reading_s", "reading the logs of all replicas, s"),
    ("seconds", "seconds in all"),
)


class Outcome(NamedTuple):
    """Everything that a report is made from."""

    plan: Plan
    played: Played
    watch: Watch
    #: The last states, by replica.
    exchanges: Mapping[int, Exchange]
    #: The liquidations of each log.
    registers: Mapping[int, Register]
    #: Rolling digests at the last index that all replicas have, by replica.
    digests: Mapping[int, bytes]
    verdict: Verdict | None
    #: How many replicas there are, and the last term that any of them knows.
    replicas: int
    terms: int
    recoveries_ms: Sequence[int]
    refused: Mapping[str, int]
    reading_s: float
    seconds: float


def report(outcome: Outcome) -> dict[str, Any]:
    """Return the outcome as plain values; ``ok`` only if every claim holds."""
    watch, plan, played = outcome.watch, outcome.plan, outcome.played
    rows = {replica: solvency(exchange.state) for replica, exchange in outcome.exchanges.items()}
    claims = claims_of_crash(_crashed(outcome, rows))
    failures = [words for words, holds in claims if not holds]
    verdict, register = outcome.verdict, watch.register
    names = {asset: row.symbol for asset, row in _assets(outcome)}
    began_ns, ended_ns = register.span_ns
    in_work = [register.in_work(strike_ns) for strike_ns in played.strikes_ns]
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
        "liquidations": len(register.started_ns),
        "liquidations_by_end": dict(sorted(Counter(how.name for how in register.ends.values()).items())),
        "liquidations_left": register.left,
        "engine_steps": watch.steps,
        "adls": watch.adls,
        "adl_givers": watch.adl_givers,
        "bad_debt_atoms": {names[asset]: atoms for asset, atoms in watch.debts_atoms.items()},
        "shared_loss_atoms": {names[asset]: atoms for asset, atoms in watch.shared_atoms.items()},
        "fund_atoms": {names[asset]: _fund(watch, asset, played.fall_ns) for asset in watch.fund_before},
        "withdrawal_gates": watch.gates,
        "peak_units_per_entry": watch.peak_units,
        "peak_events_per_entry": watch.peak_events,
        "longest_entry_ms": round(watch.longest_ns / 1e6, 2),
        "longest_entry_index": watch.longest_index,
        "cascade_s": round(max(0, ended_ns - began_ns) / _NS, 2),
        "leader_kills": len(played.strikes_ns),
        "kills_in_cascade": _in_cascade(outcome),
        "kills_in_work": sum(count > 0 for count in in_work),
        "in_work_at_kills": in_work,
        **recovery(outcome.recoveries_ms),
        "terms": outcome.terms,
        "refused": dict(outcome.refused),
        **({} if verdict is None else msgspec.structs.asdict(verdict)),
        "equations": [equation(row) for row in next(iter(rows.values()), [])],
        "solvency": {
            str(replica): [{**row._asdict(), "gap_atoms": row.gap_atoms} for row in found]
            for replica, found in rows.items()
        },
        "digests": {str(replica): digest.hex() for replica, digest in outcome.digests.items()},
        "opening_s": round(played.opening_s, 2),
        "reading_s": round(outcome.reading_s, 2),
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
    solvent = Table(title="What was paid in is what is there, in atoms", title_justify="left")
    first: list[dict[str, Any]] = next(iter(result["solvency"].values()), [])
    solvent.add_column("where")
    for row in first:
        solvent.add_column(row["symbol"], justify="right")
    for key, words in PARTS:
        solvent.add_row(words, *(text_of(row[key]) for row in first), end_section=key == PARTS[0][0])
    solvent.add_section()
    solvent.add_row("missing", *(text_of(row["gap_atoms"]) for row in first))
    claims = Table(title="Claims", title_justify="left", show_header=False)
    claims.add_column("holds")
    claims.add_column("claim", overflow="fold")
    for row in result["claims"]:
        claims.add_row("[green]yes[/]" if row["holds"] else "[bold red]NO[/]", escape(row["claim"]))
    return Group(figures, solvent, claims)


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


def _crashed(outcome: Outcome, rows: Mapping[int, Sequence[Solvency]]) -> Crashed:
    watch, plan, played = outcome.watch, outcome.plan, outcome.played
    silence_ns = (math.ceil(path.silent_steps(plan.steps)) + 1) * STEP_NS
    return Crashed(
        replicas_wanted=outcome.replicas,
        replicas=len(rows),
        gaps=_gaps(outcome, rows),
        verdict=outcome.verdict,
        refused_at_first=played.refused_at_first,
        drop_ppm=round(plan.drop * _MILLION),
        fallen_ppm=_fallen_ppm(watch),
        stale_wanted=len(path.SILENCES) * len(market.INDICES) if silence_ns > market.STALE_NS else 0,
        stale=watch.stale,
        blind_steps=watch.blind_steps,
        thin_ppm=_thin_ppm(watch, played),
        liquidations=len(watch.register.started_ns),
        odd_liquidations={place: each.odd_count for place, each in outcome.registers.items()},
        left={place: each.left for place, each in outcome.registers.items()},
        fund_faults=_fund_faults(outcome),
        peak_units=watch.peak_units,
        units_max=LIQUIDATION_STEPS_PER_ENTRY_MAX,
        strikes_wanted=plan.strikes,
        strikes=len(played.strikes_ns),
        recovered=len(outcome.recoveries_ms),
        strikes_in_cascade=_in_cascade(outcome),
    )


def _in_cascade(outcome: Outcome) -> int:
    """Return how many leaders were killed between the first beginning of a liquidation and the last end."""
    began_ns, ended_ns = outcome.watch.register.span_ns
    return sum(began_ns <= strike_ns <= ended_ns for strike_ns in outcome.played.strikes_ns)


def _fallen_ppm(watch: Watch) -> int:
    """Return how far the first index fell below where it was to begin."""
    index = market.INDICES[0]
    lowest_ticks = min(
        (ticks for _, ticks in watch.indices.get(IndexId(index.number), []) if ticks), default=0
    )
    return round((1 - lowest_ticks * float(index.tick) / index.start) * _MILLION) if lowest_ticks else 0


def _thin_ppm(watch: Watch, played: Played) -> dict[str, int]:
    """Return what the bids of each contract show in the thinnest tenth of the fall, of what they do at first.

    Both by their medians, so that it matters not that quotes are taken away before new ones come.
    """
    thin = {}
    for contract in market.CONTRACTS:
        shown = [
            lots
            for time_ns, lots in watch.bids.get(InstrumentId(contract.instrument), [])
            if played.fall_ns <= time_ns < played.rest_ns
        ]
        tenth = len(shown) // 10
        calm = median(shown[1 : tenth + 2]) if len(shown) > 1 else 0
        if calm:
            thin[contract.symbol] = round(sorted(shown)[tenth // 2] / calm * _MILLION)
    return thin


def _fund_faults(outcome: Outcome) -> list[str]:
    found = []
    for replica, exchange in outcome.exchanges.items():
        for asset, house in exchange.state.ledger.houses.items():
            told_atoms = outcome.watch.fund_atoms(asset)
            if house.insurance_atoms != told_atoms:
                found.append(f"replica {replica}: {house.insurance_atoms} atoms, told {told_atoms}")
    return found


def _fund(watch: Watch, asset: AssetId, fall_ns: int) -> dict[str, int]:
    series = watch.fund[asset]
    before_atoms = watch.fund_before[asset]
    falling = [atoms for time_ns, atoms in series if time_ns >= fall_ns]
    return {"before": before_atoms, "lowest": min([before_atoms, *falling]), "after": series[-1][1]}
