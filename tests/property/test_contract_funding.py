"""Funding moves money between positions alone, whoever trades between a round and its sweep."""

from collections.abc import Iterator
from functools import cache
from typing import Final

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.helpers.contracts import (
    INVERSE_PERP,
    PERP,
    ContractVenue,
    contract_market,
    contract_rules,
    perpetual,
)

from steelyard.core import snapshot
from steelyard.core.commands import FundingTerms
from steelyard.core.contracts.fill import fill, settle
from steelyard.core.contracts.funding import add_sample
from steelyard.core.contracts.scales import flow_atoms, notional_atoms
from steelyard.core.events import AnyEvent, FundingSwept
from steelyard.core.handlers.funding import funding_due, sweep_step
from steelyard.core.invariants import check_state
from steelyard.core.matching import Position
from steelyard.core.units import AccountId, ContractKind, InstrumentId, Leg

TERMS: Final = FundingTerms(interest_ppb=0, clamp_ppb=0, cap_ppb=10**9)
ACCOUNTS: Final = tuple(AccountId(1000 + n) for n in range(5))

trades = st.tuples(
    st.sampled_from(ACCOUNTS), st.sampled_from(ACCOUNTS), st.integers(1, 9), st.integers(1, 300)
)
#: Trades before the round, its rate, and trades between two units of its sweep.
rounds = st.tuples(
    st.lists(trades, max_size=6),
    st.integers(-(10**8), 10**8),
    st.lists(st.one_of(st.none(), trades), max_size=8),
)


@cache
def founded() -> bytes:
    """Return a snapshot of a market of both kinds with funded traders."""
    rules = contract_rules(funding=TERMS)
    kinds = perpetual(rules=rules), perpetual(ContractKind.INVERSE, rules)
    return snapshot.dump(contract_market(*kinds, decimals=4, wallet_atoms=10**8, accounts=ACCOUNTS).exchange)


class Book:
    """One contract of a market, and what its traders have between them."""

    def __init__(self, instrument: InstrumentId) -> None:
        venue = ContractVenue()
        venue.exchange = snapshot.load(founded())
        self.state = venue.exchange.state
        self.instrument = venue.instrument(instrument)
        self.contract = venue.contract(instrument)
        self.settlements = 0

    def position(self, account: AccountId) -> Position:
        """Return an account's position, one that it knows from now on."""
        margin = self.state.accounts[account].margin(self.contract.settle)
        return margin.position(self.instrument.instrument, Leg.NET)

    def trade(self, buyer: AccountId, seller: AccountId, lots: int, price_ticks: int) -> None:
        """Let two positions trade, or one with itself."""
        notional = notional_atoms(self.contract, price_ticks, lots)
        for account, signed_lots in ((buyer, lots), (seller, -lots)):
            position = self.position(account)
            self.settlements += self.owes(position)
            settle(self.contract, position)
            fill(self.contract, position, signed_lots, flow_atoms(self.contract, signed_lots, notional), 0, 0)

    def owes(self, position: Position) -> bool:
        """Return whether a position has not paid since funding was set."""
        return position.qty_lots != 0 and position.settled_nanoatoms != self.contract.cumulative_nanoatoms

    def sum_atoms(self) -> int:
        """Return wallets, cash flows, and what the house holds between them."""
        house = self.state.ledger.houses[self.contract.settle]
        margins = [self.state.accounts[account].margin(self.contract.settle) for account in ACCOUNTS]
        flows = sum(each.cash_flow_atoms for each in self.contract.positions.values())
        # CLEARING is the cash flows that have become real, the other way round.
        assert flows == self.contract.clearing_atoms
        return (
            sum(margin.wallet_atoms for margin in margins)
            + self.contract.funding_atoms
            + self.contract.clearing_atoms
            + house.rounding_atoms
        )

    def run(self, rate_ppb: int, between: Iterator[tuple[AccountId, AccountId, int, int] | None]) -> None:
        """Let a round come, and trades between the units of its sweep; check what the sweep leaves."""
        house = self.state.ledger.houses[self.contract.settle]
        before_atoms = house.rounding_atoms
        out: list[AnyEvent] = []
        add_sample(self.contract.premiums, TERMS, rate_ppb, self.state.time_ns)
        funding_due(self.state, self.instrument.instrument, self.contract.funding_ns, out)
        while self.contract.is_sweeping:
            trade = next(between, None)
            if trade is not None:
                self.trade(*trade)
            owing = sum(self.owes(position) for position in self.contract.positions.values())
            sweep_step(self.state, self.instrument, out)
            self.settlements += owing > 0
            self.state.touched.clear()
        left_atoms = house.rounding_atoms - before_atoms
        assert isinstance(out[-1], FundingSwept)
        assert out[-1].rounding_atoms == left_atoms
        assert self.contract.funding_atoms == 0
        assert left_atoms == 0 or 0 < left_atoms < self.settlements
        self.settlements = 0


@settings(max_examples=500, deadline=None)
@given(st.sampled_from([PERP, INVERSE_PERP]), st.lists(rounds, min_size=1, max_size=5))
def test_a_round_of_funding_sums_to_zero_with_the_roundings(
    instrument: InstrumentId,
    history: list[
        tuple[
            list[tuple[AccountId, AccountId, int, int]],
            int,
            list[tuple[AccountId, AccountId, int, int] | None],
        ]
    ],
) -> None:
    book = Book(instrument)
    sum_atoms = book.sum_atoms()
    for trades_before, rate_ppb, between in history:
        for trade in trades_before:
            book.trade(*trade)
        book.run(rate_ppb, iter(between))
        assert book.sum_atoms() == sum_atoms
    for account in ACCOUNTS:
        book.state.accounts[account].forget_silent(book.position(account))
    check_state(book.state)
