"""What a margin wallet or an isolated position is worth and needs, line by line."""

from typing import NamedTuple

from steelyard.core.contracts.contract import Contract
from steelyard.core.contracts.scales import mark_notional_atoms, value_atoms
from steelyard.core.contracts.schedule import maintenance_atoms, tier_of
from steelyard.core.instruments import Instrument
from steelyard.core.matching import Margin, Position, Scope
from steelyard.core.rounding import mul_div_up
from steelyard.core.state import State
from steelyard.core.units import PPB, PPM, AccountId, AssetId, InstrumentId, Leg
from steelyard.ops.explain.telling import Row

#: The ratio of who needs margin and has no equity.
RATIO_MAX_PPM = 10**9


class Line(NamedTuple):
    """One position of a scope, and what it adds to equity and maintenance margin."""

    instrument: InstrumentId
    symbol: str
    leg: Leg
    qty_lots: int
    cash_flow_atoms: int
    mark_ticks: int
    value_atoms: int
    gain_atoms: int
    owed_atoms: int
    notional_atoms: int
    maintenance_ppm: int
    maintenance_atoms: int

    def row(self) -> Row:
        """Return it as a row of a table."""
        return {**self._asdict(), "leg": self.leg.name}


class Standing(NamedTuple):
    """A scope: what is in the wallet or bucket, and its positions with lots, by (instrument, leg)."""

    cash_atoms: int
    lines: list[Line]

    @property
    def equity_atoms(self) -> int:
        """What the scope is worth."""
        return self.cash_atoms + sum(line.gain_atoms - line.owed_atoms for line in self.lines)

    @property
    def maintenance_atoms(self) -> int:
        """What it needs not to be liquidated."""
        return sum(line.maintenance_atoms for line in self.lines)

    @property
    def ratio_ppm(self) -> int:
        """Maintenance margin by equity."""
        equity, maintenance = self.equity_atoms, self.maintenance_atoms
        if equity > 0:
            return min(maintenance * PPM // equity, RATIO_MAX_PPM)
        return RATIO_MAX_PPM if equity < 0 or maintenance > 0 else 0


def find_scope(
    state: State, account: AccountId, asset: AssetId, instrument: InstrumentId, leg: Leg
) -> Scope | None:
    """Return a scope as events name it, or None if nobody knows it (any more)."""
    owner = state.accounts.get(account)
    margin = None if owner is None else owner.margins.get(asset)
    if margin is None or instrument == 0:
        return margin
    return margin.positions.get((instrument, leg))


def standing(state: State, scope: Scope | None) -> Standing:
    """Return where a scope stands now, from its lots, cash flows, marks and rules alone."""
    if scope is None:
        return Standing(0, [])
    if isinstance(scope, Margin):
        held = [each for each in scope.positions.values() if each.qty_lots and not each.is_isolated]
    else:
        assert isinstance(scope, Position), scope
        held = [scope] if scope.qty_lots else []
    held.sort(key=lambda position: (position.instrument, position.leg))
    return Standing(
        cash_atoms(scope), [line_of(state.markets.instruments[each.instrument], each) for each in held]
    )


def cash_atoms(scope: Scope | None) -> int:
    """Return what is in the wallet or bucket."""
    if scope is None:
        return 0
    if isinstance(scope, Margin):
        return scope.wallet_atoms
    assert isinstance(scope, Position), scope
    return scope.bucket_atoms


def line_of(instrument: Instrument, position: Position) -> Line:
    """Return what one position adds."""
    contract = contract_of(instrument)
    mark_ticks, lots = instrument.mark_ticks, abs(position.qty_lots)
    worth_atoms = value_atoms(contract, position.qty_lots, mark_ticks)
    terms = contract.rules.margin
    notional_atoms = mark_notional_atoms(contract, lots, mark_ticks)
    asked_atoms = abs(position.cash_flow_atoms) if terms.at_entry else notional_atoms
    return Line(
        instrument.instrument,
        instrument.symbol,
        position.leg,
        position.qty_lots,
        position.cash_flow_atoms,
        mark_ticks,
        worth_atoms,
        worth_atoms + position.cash_flow_atoms,
        mul_div_up(position.qty_lots, contract.cumulative_nanoatoms - position.settled_nanoatoms, PPB),
        notional_atoms,
        tier_of(terms, asked_atoms).maintenance_ppm,
        maintenance_atoms(terms, asked_atoms, lots),
    )


def contract_of(instrument: Instrument) -> Contract:
    """Return the contract that an instrument is."""
    assert instrument.contract is not None, instrument.instrument
    return instrument.contract
