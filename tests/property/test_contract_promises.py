"""What must hold of contracts after every command, of traffic that meets everything, in its own words."""

from collections import Counter

import pytest
from tests.helpers.contract_books import Books, happened, one_by_one
from tests.helpers.contract_scopes import scopes

from steelyard.core import Exchange
from steelyard.core.contracts import equity
from steelyard.core.events import (
    AdlSettled,
    DebtRepaid,
    DebtTaken,
    LiquidationPaid,
    LossShared,
)
from steelyard.core.handlers import risk
from steelyard.core.units import AssetId, InstrumentId

#: Ruins that nobody can bear, little margin, storms, and what began in an older version.
SEEDS = (3, 6, 14, 21, 25, 29)
COMMANDS = 2_500
of_each_seed = pytest.mark.parametrize("seed", SEEDS)


@of_each_seed
def test_nobody_who_is_not_being_liquidated_lacks_equity(seed: int) -> None:
    """Equity without maintenance margin is free; nobody's is below zero unless the engine has the scope.

    A scope is a margin wallet with all of its cross positions, or an isolated position; while an index of
    one is stale nobody can know.
    """
    looked_at = 0
    for exchange, _ in one_by_one(seed, COMMANDS):
        state = exchange.state
        for scope in scopes(state):
            held = [state.markets.instruments[p.instrument] for p in risk.positions_with_lots(scope)]
            if scope.liquidation or any(risk.contract_of(market).index.is_stale for market in held):
                continue
            have_atoms, need_atoms = equity.standing_atoms(scope, state.markets.instruments)
            assert have_atoms - need_atoms >= 0, risk.scope_name(scope)
            looked_at += bool(held)
        assert all(b.free_atoms >= 0 for a in state.accounts.values() for b in a.balances.values())
    assert looked_at > COMMANDS // 2


def wealth_atoms(exchange: Exchange) -> Counter[AssetId]:
    """Add up what all accounts have, wherever they have it, and what their positions have cost or brought."""
    state, found = exchange.state, Counter[AssetId]()
    for account in state.accounts.values():
        for asset, balance in account.balances.items():
            found[asset] += balance.free_atoms + balance.held_atoms
        for asset, margin in account.margins.items():
            found[asset] += margin.wallet_atoms
            for position in margin.positions.values():
                found[asset] += position.bucket_atoms + position.held_atoms + position.cash_flow_atoms
    return found


@of_each_seed
def test_wallets_and_carried_cash_flow_are_what_came_in_less_what_the_house_has(seed: int) -> None:
    books = Books()
    for exchange, applied in one_by_one(seed, COMMANDS):
        books.note(happened(applied))
        wealth = wealth_atoms(exchange)
        for asset, house in exchange.state.ledger.houses.items():
            funding = sum(books.funding[i] for i, of in books.settle.items() if of == asset)
            earned = house.fees_atoms + house.referral_atoms + books.rounding[asset] + funding
            lost = books.insurance[asset] - books.debt[asset]
            assert wealth[asset] + earned + lost == books.outside[asset], asset


@of_each_seed
def test_funding_liquidation_adl_and_settlement_come_to_nothing_with_the_rounding_account(seed: int) -> None:
    books = Books()
    for exchange, applied in one_by_one(seed, COMMANDS):
        books.note(happened(applied))
        state = exchange.state
        carried = Counter[InstrumentId]()
        for account in state.accounts.values():
            for margin in account.margins.values():
                for position in margin.positions.values():
                    carried[position.instrument] += position.cash_flow_atoms
        for instrument in books.settle:
            contract = risk.contract_of(state.markets.instruments[instrument])
            # What was realised is what is carried no more.
            open_atoms = books.realised[instrument] + books.cleared[instrument]
            assert carried[instrument] == contract.clearing_atoms == -open_atoms, instrument
            assert contract.funding_atoms == books.funding[instrument], instrument
        for asset, house in state.ledger.houses.items():
            assert house.insurance_atoms == books.insurance[asset] >= 0, asset
            assert house.debt_atoms == -books.debt[asset] <= 0, asset
            assert house.rounding_atoms == books.rounding[asset] >= 0, asset
            assert 0 in (house.insurance_atoms, house.debt_atoms), "whoever can pay a debt pays it"


def test_this_traffic_takes_debts_shares_them_and_repays_them() -> None:
    met = Counter(
        type(event)
        for seed in SEEDS
        for _, applied in one_by_one(seed, COMMANDS)
        for event in happened(applied)
    )
    assert min(met[kind] for kind in (DebtTaken, LossShared, DebtRepaid, AdlSettled, LiquidationPaid)) > 0
