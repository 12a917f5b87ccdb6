"""A look at every scope there is, for whoever doubts that a look at a few is enough."""

from steelyard.core.contracts import equity, ladder
from steelyard.core.handlers import risk
from steelyard.core.matching import Scope
from steelyard.core.state import State
from steelyard.core.units import InstrumentId, RiskLevel


def scopes(state: State) -> list[Scope]:
    """Return everything that can be liquidated: margin wallets, and isolated positions."""
    found: list[Scope] = []
    for account in state.accounts.values():
        for margin in account.margins.values():
            found.append(margin)
            found += [position for position in margin.positions.values() if position.is_isolated]
    return found


def overlooked(state: State, where: InstrumentId | None = None) -> list[str]:
    """Return everybody (with lots there) who would stand elsewhere, or be liquidated, if looked at now."""
    found: list[str] = []
    instruments = state.markets.instruments
    for scope in scopes(state):
        held = risk.positions_with_lots(scope)
        contracts = [risk.contract_of(instruments[position.instrument]) for position in held]
        if scope.liquidation or any(contract.index.is_stale for contract in contracts):
            continue
        if where is not None and all(position.instrument != where for position in held):
            continue
        have, need = equity.standing_atoms(scope, instruments)
        level = RiskLevel.SAFE
        if held:
            at = ladder.thresholds(contract.rules.liquidation for contract in contracts)
            level = ladder.level_after(scope.level, equity.ratio_ppm(have, need), at)
        if have < need or have < 0 or level != scope.level:
            found.append(f"{risk.scope_name(scope)}: {have} of {need}, {scope.level!r} should be {level!r}")
    return found
