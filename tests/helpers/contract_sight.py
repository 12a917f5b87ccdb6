"""All that can be seen of margins, positions and contracts, of the fast exchange and of its slow twin."""

from typing import Any

from steelyard.core import Exchange, queries
from steelyard.core.contracts.liquidation import Liquidation
from steelyard.core.units import BAD_DEBT, INSURANCE, OPERATOR_KEY, AccountId, LiquidationId
from steelyard.simulation.twin import Twin

Row = dict[str, Any]

#: What positions say that follows from the rest alone.
DERIVED = ("entry_numerator", "entry_denominator", "entry_ticks", "liquidation_ticks")


def fields(struct: Any, *without: str) -> Row:  # noqa: ANN401 - any part of an answer
    """Return what a part of an answer says, by name."""
    return {name: getattr(struct, name) for name in struct.__struct_fields__ if name not in without}


def margins(exchange: Exchange, account: AccountId) -> tuple[list[Row], list[Row]]:
    """Return an account's margin wallets and positions; wallets that say nothing are left out."""
    answer = queries.answer(exchange.state, OPERATOR_KEY, queries.GetAccount(account=account))
    assert isinstance(answer, queries.AccountInfo)
    wallets = [fields(row) for row in answer.margins]
    said = [row for row in wallets if row["wallet_atoms"] or row["used_atoms"] or row["maintenance_atoms"]]
    return said, [fields(row, *DERIVED) for row in answer.positions]


def contracts(exchange: Exchange) -> Row:
    """Return where contracts, indices, funds and the engine's queue stand."""
    answer = queries.answer(exchange.state, OPERATOR_KEY, queries.GetContracts())
    assert isinstance(answer, queries.Contracts)
    return {
        "contracts": [fields(row, "settle_ticks") for row in answer.contracts],
        "indices": [(row.index, row.price_ticks, row.stale, row.quotes) for row in answer.indices],
        "funds": [fields(row, "peak_atoms") for row in answer.funds],
        "switched off": sorted(exchange.state.kill_switches),
        "queue": [queued(row) for row in exchange.state.liquidations.rows],
        "clearing": {
            number: (row.contract.clearing_atoms, row.contract.funding_atoms, row.contract.is_sweeping)
            for number, row in sorted(exchange.state.markets.instruments.items())
            if row.contract is not None
        },
    }


def queued(row: Liquidation) -> tuple[int, ...]:
    """Return which scope the engine has, and how far it is with it."""
    return (
        row.liquidation,
        row.account,
        row.asset,
        row.instrument,
        row.leg,
        row.has_begun,
        row.is_parked,
        row.is_below_zero,
    )


# ---- the same of the slow one


def twin_margins(twin: Twin, account: AccountId) -> tuple[list[Row], list[Row]]:
    """Return an account's margin wallets and positions; wallets that say nothing are left out."""
    running = {row.scope: LiquidationId(row.liquidation) for row in twin.queue}
    wallets, positions = [], []
    for asset in sorted(twin.assets):
        scope = twin.wallet_scope(account, asset)
        row = {
            "asset": asset,
            "wallet_atoms": twin.wallet(account, asset),
            "equity_atoms": twin.equity(scope),
            "maintenance_atoms": twin.scope_maintenance(scope),
            "used_atoms": twin.used(scope),
            "available_atoms": twin.available(scope),
            "withdrawable_atoms": twin.withdrawable(account, asset),
            "level": twin.level_of(scope),
            "ratio_ppm": twin.ratio(scope),
            "liquidation": running.get(scope, 0),
        }
        if row["wallet_atoms"] or row["used_atoms"] or row["maintenance_atoms"]:
            wallets.append(row)
        for instrument, leg in twin.known_positions(account, asset):
            p = twin.position(account, instrument, leg)
            mode, hedge = twin.modes_of(account, instrument)
            orders, scope = twin.enlarging(p), twin.scope_of(p)
            has_mark = twin.mark_of(instrument) > 0
            positions.append(
                {
                    "instrument": instrument,
                    "leg": leg,
                    "margin": mode,
                    "hedge": hedge,
                    "leverage": p.leverage,
                    "qty_lots": p.lots,
                    "cash_flow_atoms": p.cash,
                    "mark_ticks": twin.mark_of(instrument),
                    "pnl_atoms": twin.pnl(p),
                    "unsettled_atoms": twin.unsettled(p),
                    "maintenance_atoms": twin.maintenance(p),
                    "initial_atoms": twin.initial(p, twin.worst(p), p.leverage) if has_mark else 0,
                    "bucket_atoms": p.bucket,
                    "held_atoms": sum(o.open * o.lot_pledge for o in orders),
                    "open_buy_lots": sum(o.open for o in orders if o.buying),
                    "open_sell_lots": sum(o.open for o in orders if not o.buying),
                    "level": twin.level_of(scope),
                    "ratio_ppm": twin.ratio(scope),
                    "liquidation": running.get(scope, 0),
                }
            )
    return wallets, sorted(positions, key=lambda row: (row["instrument"], row["leg"]))


def twin_contracts(twin: Twin) -> Row:
    """Return where contracts, indices, funds and the engine's queue stand."""
    settled = {contract.settle for contract in twin.contracts.values()}
    insured = {asset: twin.owned.get((INSURANCE, asset), 0) for asset in sorted(twin.assets)}
    owed = {asset: twin.owned.get((BAD_DEBT, asset), 0) for asset in sorted(twin.assets)}
    return {
        "contracts": [
            {
                "instrument": number,
                "index": row.spec.index,
                "settle": row.settle,
                "rules": row.rules,
                "mark_ticks": twin.mark_of(number),
                "index_ticks": twin.indices[row.spec.index].price,
                "index_stale": twin.indices[row.spec.index].stale,
                "rate_ppb": row.rate,
                "predicted_ppb": row.predicted,
                "funding_ns": row.funding_ns,
                "cumulative_nanoatoms": row.cumulative,
                "open_interest_lots": twin.open_interest(number),
                "positions": len(twin.holders(number)),
                "kill_switch": (0, number) in twin.switched_off,
            }
            for number, row in sorted(twin.contracts.items())
        ],
        "indices": [(number, i.price, i.stale, i.quotes) for number, i in sorted(twin.indices.items())],
        "funds": [
            {
                "asset": asset,
                "insurance_atoms": insured[asset],
                "debt_atoms": owed[asset],
                "gate": asset in twin.gates,
            }
            for asset in sorted(twin.assets)
            if asset in settled or insured[asset] or owed[asset]
        ],
        "switched off": sorted(twin.switched_off),
        "queue": [(row.liquidation, *row.scope, row.begun, row.parked, row.seen < 0) for row in twin.queue],
        "clearing": {
            number: (row.clearing, row.funding, row.sweeping)
            for number, row in sorted(twin.contracts.items())
        },
    }


def differences(ours: Any, theirs: Any, where: str = "") -> list[str]:  # noqa: ANN401 - rows of any shape
    """Return where two sights differ, place by place."""
    if isinstance(ours, dict) and isinstance(theirs, dict) and ours.keys() == theirs.keys():
        return [said for name in ours for said in differences(ours[name], theirs[name], f"{where}/{name}")]
    if isinstance(ours, list | tuple) and isinstance(theirs, list | tuple) and len(ours) == len(theirs):
        pairs = enumerate(zip(ours, theirs, strict=True))
        return [said for place, pair in pairs for said in differences(*pair, f"{where}/{place}")]
    return [] if ours == theirs else [f"{where}: fast {ours}, slow {theirs}"]
