"""Contracts, their funding and liquidations as a person likes to read them, and as plain values."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from rich.table import Table

from steelyard.client import Contracts, Instrument
from steelyard.client.market_model import Funding, FundingRow, History, Liquidation, Prices
from steelyard.client.words import LiquidationStep
from steelyard.ops.market_views import gap_values, plain
from steelyard.ops.words import moment

Row = dict[str, Any]

_PPB: Final = 10**9
_NANO: Final = 9


def contracts_values(found: Contracts, instruments: Mapping[int, Instrument]) -> Row:
    """Return where contracts and indices stand as plain values."""
    rows = []
    for standing in found.contracts.values():
        instrument = instruments[standing.instrument]
        assert instrument.contract is not None, instrument.symbol
        index = found.indices[instrument.contract.index]
        rows.append(
            {
                "symbol": instrument.symbol,
                "kind": instrument.contract.kind.name.lower(),
                "settle": instrument.settle.symbol,
                "state": instrument.state.name,
                "mark": _price(instrument, standing.mark_ticks),
                "index": index.symbol,
                "index_price": _price(instrument, standing.index_ticks),
                "index_stale": standing.index_stale,
                "funding": percent(standing.rate_ppb),
                "predicted": percent(standing.predicted_ppb),
                "next_funding_ns": standing.funding_ns,
                "open_interest": plain(instrument.size(standing.open_interest_lots)),
                "positions": standing.positions,
                "settled_at": _price(instrument, standing.settle_ticks),
                "kill_switch": standing.kill_switch or found.kill_switch,
            }
        )
    return {"ok": True, "log_index": found.log_index, "log_time_ns": found.log_time_ns, "contracts": rows}


def contracts_table(found: Row) -> Table:
    """Return contracts, one a line."""
    table = Table(title=f"contracts at log index {found['log_index']:,}", title_justify="left")
    left = ("contract", "state")
    for name in (*left, "mark", "index", "funding", "predicted", "next", "open interest", "positions"):
        table.add_column(name, justify="left" if name in left else "right")
    for row in found["contracts"]:
        state = f"{row['state'].lower().replace('_', ' ')}{', orders off' if row['kill_switch'] else ''}"
        stale = " [red]stale[/]" if row["index_stale"] else ""
        table.add_row(
            f"{row['symbol']} ({row['kind']}, {row['settle']})",
            f"settled at {row['settled_at']}" if row["settled_at"] else state,
            row["mark"] or "-",
            (row["index_price"] or "-") + stale,
            row["funding"],
            row["predicted"],
            moment(row["next_funding_ns"]) if row["next_funding_ns"] else "-",
            row["open_interest"],
            f"{row['positions']:,}",
        )
    return table


def fundings_values(instrument: Instrument, found: History[FundingRow]) -> Row:
    """Return settlements of funding as plain values."""
    return {
        "symbol": instrument.symbol,
        "ok": True,
        "log_index": found.log_index,
        "settlements": [
            {
                "log_index": row.log_index,
                "log_time_ns": row.log_time_ns,
                "rate": percent(row.rate_ppb),
                "mark": plain(instrument.price(row.mark_ticks)),
                "owed_per_lot": per_lot(instrument, row.delta_nanoatoms),
            }
            for row in found.rows
        ],
        "gaps": gap_values(found.gaps),
    }


def fundings_table(found: Row) -> Table:
    """Return settlements of funding, oldest first."""
    title = f"funding of {found['symbol']}, archive at log index {found['log_index']:,}{missing(found)}"
    table = Table(title=title, title_justify="left")
    for name in ("log time", "rate", "mark", "a long owes per lot"):
        table.add_column(name, justify="right")
    for row in found["settlements"]:
        table.add_row(moment(row["log_time_ns"]), row["rate"], row["mark"], row["owed_per_lot"])
    return table


def liquidation_values(row: Liquidation, instruments: Mapping[int, Instrument]) -> Row:
    """Return a step of a liquidation as plain values; what the step does not say is left out."""
    instrument = instruments[row.instrument] if row.instrument else None
    found: Row = {
        "log_index": row.log_index,
        "log_time_ns": row.log_time_ns,
        "liquidation": row.liquidation,
        "step": row.step.name.lower(),
        "symbol": None if instrument is None else instrument.symbol,
    }
    if instrument is not None:
        settle = instrument.settle
        found |= _traded_values(row, instrument)
    else:
        # A margin wallet's: it is of an asset in which some contract is settled.
        settle = next(
            each.settle for each in instruments.values() if each.contract and each.settle.asset == row.asset
        )
    amount = settle.amount
    if row.step in {LiquidationStep.PAID, LiquidationStep.DEBT, LiquidationStep.REPAID}:
        found["insurance"] = plain(amount(row.insurance_atoms))
    if row.step in {LiquidationStep.DEBT, LiquidationStep.SHARED}:
        found["debt"] = plain(amount(row.debt_atoms))
    if row.others:
        found["others"] = row.others
    if row.how is not None:
        found["how"] = row.how.name.lower()
    return found | {"settle": settle.symbol}


def _traded_values(row: Liquidation, instrument: Instrument) -> Row:
    found: Row = {}
    if row.side is not None:
        found["side"] = row.side.name.lower()
        found["limit"] = plain(instrument.price(row.limit_ticks))
    if row.lots:
        found["size"] = plain(instrument.size(row.lots))
    if row.mark_ticks:
        found["mark"] = plain(instrument.price(row.mark_ticks))
    if row.step in {LiquidationStep.PAID, LiquidationStep.DELEVERAGED}:
        found["brought"] = plain(instrument.settle.amount(row.received_atoms))
    return found


def liquidations_values(found: History[Liquidation], instruments: Mapping[int, Instrument]) -> Row:
    """Return steps of liquidations as plain values."""
    return {
        "ok": True,
        "log_index": found.log_index,
        "liquidations": [liquidation_values(row, instruments) for row in found.rows],
        "gaps": gap_values(found.gaps),
    }


def liquidations_table(found: Row) -> Table:
    """Return steps of liquidations, oldest first."""
    title = f"liquidations, archive at log index {found['log_index']:,}{missing(found)}"
    table = Table(title=title, title_justify="left")
    for name in ("log time", "liquidation", "contract", "what"):
        table.add_column(name, justify="right" if name == "liquidation" else "left")
    for row in found["liquidations"]:
        table.add_row(
            moment(row["log_time_ns"]),
            str(row["liquidation"] or "-"),
            row["symbol"] or "-",
            liquidation_words(row),
        )
    return table


def liquidation_words(row: Row) -> str:
    """Return a step of a liquidation as a person would say it."""
    settle = row["settle"]
    match row["step"]:
        case "started":
            return "started" if row["symbol"] else f"of a margin wallet of {settle} started"
        case "ended":
            return f"ended: {row['how']}"
        case "repaid":
            return f"the fund repaid {row['insurance']} {settle} of what had stayed open"
        case "stepped":
            return f"{row['side']}s {row['size']} at {row['limit']} or better, mark {row['mark']}"
        case "paid":
            part = row["insurance"]
            fund = f"gave {part[1:]}" if part.startswith("-") else f"took {part}"
            return f"{row['size']} brought {row['brought']} {settle}, the fund {fund}"
        case "deleveraged":
            return f"{row['size']} closed against {row.get('others', 0)} opposite positions"
        case "debt":
            return f"the fund paid {row['insurance']} {settle}, {row['debt']} stayed open"
        case _:
            return f"{row.get('others', 0)} who had a gain bore {row.get('debt')} {settle}"


def prices_values(instrument: Instrument, prices: Prices) -> Row:
    """Return a mark and an index price as plain values."""
    return {
        "mark": _price(instrument, prices.mark_ticks),
        "index": _price(instrument, prices.index_ticks),
        "index_stale": prices.index_stale,
    }


def funding_values(instrument: Instrument, funding: Funding) -> Row:
    """Return a sample or a settlement of funding as plain values."""
    found: Row = {
        "settled": funding.settled,
        "predicted": percent(funding.predicted_ppb),
        "rate": percent(funding.rate_ppb),
        "next_ns": funding.next_ns,
    }
    if funding.settled:
        found["mark"] = plain(instrument.price(funding.mark_ticks))
        found["owed_per_lot"] = per_lot(instrument, funding.delta_nanoatoms)
    else:
        found["premium"] = percent(funding.premium_ppb)
    return found


def percent(ppb: int) -> str:
    """Return billionths in per cent."""
    return f"{Decimal(ppb) * 100 / _PPB:.5f} %"


def per_lot(instrument: Instrument, nanoatoms: int) -> str:
    """Return billionths of an atom of the settle asset in its units."""
    return plain(Decimal(nanoatoms).scaleb(-_NANO - instrument.settle.decimals))


def missing(found: Row) -> str:
    """Return the words for what an archive misses."""
    return "".join(
        f"; entries {gap['after_index'] + 1:,} to {gap['to_index']:,} are missing" for gap in found["gaps"]
    )


def _price(instrument: Instrument, ticks: int) -> str | None:
    return plain(instrument.price(ticks)) if ticks else None
