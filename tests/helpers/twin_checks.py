"""What must hold of the slow exchange by itself: its money, its orders, its positions and its scopes."""

from steelyard.core.units import (
    BAD_DEBT,
    OMNIBUS,
    REFERRAL,
    InstrumentState,
    MarginMode,
    OrderState,
    RiskLevel,
)
from steelyard.simulation.twin import Twin
from steelyard.simulation.twin_contracts import Scope


def check_twin(twin: Twin) -> None:
    """Check the money and the orders of the slow one by the formulas."""
    for asset in twin.assets:
        owned = sum(atoms for (_, a), atoms in twin.owned.items() if a == asset)
        assert owned + in_contracts(twin, asset) == 0, asset
        for account in twin.accounts:
            assert twin.free_atoms(account, asset) >= 0, (account, asset)
    for (account, asset), atoms in twin.owned.items():
        assert atoms >= 0 or account in (OMNIBUS, BAD_DEBT), (account, asset, atoms)
        assert atoms <= 0 or account != BAD_DEBT, (asset, atoms)
    owed: dict[int, int] = {}
    for row in twin.accounts.values():
        for asset, atoms in row.owed.items():
            owed[asset] = owed.get(asset, 0) + atoms
    for asset in twin.assets:
        assert owed.get(asset, 0) == twin.owned.get((REFERRAL, asset), 0), asset
    for order in twin.orders:
        assert order.open > 0 or order.close_position, order
        assert order.executed + order.prevented + order.open == order.size, order
        assert order.resting == (order.state == OrderState.WORKING), order
        assert not order.resting or 0 < order.shown <= order.open, order
    for number, found in twin.lists.items():
        assert len(found.legs) > 1, number
        assert all(leg in twin.orders and leg.list_number == number for leg in found.legs), number
    for instrument, market in twin.markets.items():
        if market.state in (InstrumentState.OPEN, InstrumentState.POST_ONLY):
            assert not twin.crossed(instrument), instrument
    for instrument in twin.contracts:
        check_contract(twin, instrument)
    for scope in twin.scopes():
        check_scope(twin, scope)
    queued = [row.scope for row in twin.queue]
    assert sorted(queued) == sorted(s for s, level in twin.levels.items() if level == RiskLevel.LIQUIDATING)


def in_contracts(twin: Twin, asset: int) -> int:
    """Add up what margin wallets, buckets and contracts have of an asset."""
    atoms = sum(amount for (_, a), amount in twin.margins.items() if a == asset)
    for instrument, contract in twin.contracts.items():
        if contract.settle == asset:
            atoms += contract.clearing + contract.funding
            atoms += sum(p.bucket for p in twin.positions.values() if p.instrument == instrument)
    return atoms


def check_contract(twin: Twin, instrument: int) -> None:
    """Check that all positions of a contract come to nothing, and that orders only reduce what there is."""
    contract, holders = twin.contracts[instrument], twin.holders(instrument)
    assert sum(p.lots for p in holders) == 0, instrument
    assert sum(p.cash for p in holders) == contract.clearing, instrument
    owed = sum(p.lots * (contract.cumulative - p.settled) for p in holders)
    assert contract.funding * 10**9 + owed >= 0, instrument
    for p in twin.positions.values():
        assert p.lots or not p.cash, p
        reducing = twin.reducing(p)
        assert sum(o.open for o in reducing) <= abs(p.lots), p
        assert all((p.lots > 0) != o.buying for o in reducing), (p, reducing)
    for order in twin.orders:
        if order.instrument == instrument:
            assert twin.fits_modes(order.account, order.instrument, order.leg), order
            assert order.lot_pledge == 0 or twin.modes_of(order.account, instrument)[0] == MarginMode.ISOLATED


def check_scope(twin: Twin, scope: Scope) -> None:
    """Check that whoever needs to be liquidated is, and that nobody else is in debt."""
    if twin.level_of(scope) == RiskLevel.LIQUIDATING:
        return
    if not twin.with_lots(scope):
        assert twin.backing(scope) >= 0, scope
        assert twin.level_of(scope) == RiskLevel.SAFE, scope
    elif not twin.is_paused(scope):
        assert not twin.is_lost(scope), scope
