"""The end of a contract: its positions are closed at the last mark, one by one, and nothing is left."""

from typing import Final

import pytest
from tests.helpers.builders import ALICE, BOB, BTC, CAROL, USD, kinds, order, refusal
from tests.helpers.contracts import (
    INVERSE_PERP,
    PERP,
    ContractVenue,
    contract_market,
    contract_rules,
    perpetual,
)

from steelyard.core import Reject, snapshot
from steelyard.core.commands import FundingTerms, SetContractModes
from steelyard.core.entry import Accepted
from steelyard.core.events import ContractSettled, PositionSettled
from steelyard.core.units import (
    AccountId,
    ContractKind,
    InstrumentId,
    InstrumentState,
    Leg,
    MarginMode,
    Side,
)

SECOND_NS: Final = 10**9
MINUTELY: Final = contract_rules(funding=FundingTerms(interval_ns=60 * SECOND_NS))


def deal(
    venue: ContractVenue,
    number: int,
    buyer: AccountId,
    seller: AccountId,
    lots: int,
    price: int,
    instrument: InstrumentId = PERP,
) -> None:
    """Let two accounts trade."""
    for account, side in ((seller, Side.SELL), (buyer, Side.BUY)):
        venue.ask(account, order(side, number, lots, price, account=account, instrument=instrument))
    assert not venue.instrument(instrument).book.asks.keys


def close(venue: ContractVenue, instrument: InstrumentId = PERP) -> None:
    venue.move(InstrumentState.CLOSED, instrument=instrument)


def held() -> ContractVenue:
    """Return a market where Alice is long 7 lots, Bob short 3 and Carol short 4, all at 100."""
    venue = contract_market(perpetual(rules=MINUTELY))
    deal(venue, 1, ALICE, BOB, 3, 100)
    deal(venue, 2, ALICE, CAROL, 4, 100)
    return venue


def test_every_position_is_closed_at_the_last_mark_in_the_order_of_accounts() -> None:
    venue = held()
    venue.mark(110)
    close(venue)

    assert venue.tick() == [
        PositionSettled(
            account=account,
            instrument=PERP,
            leg=Leg.NET,
            qty_lots=lots,
            price_ticks=110,
            realised_atoms=10 * lots,
            funding_atoms=0,
        )
        for account, lots in ((ALICE, 7), (BOB, -3), (CAROL, -4))
    ] + [ContractSettled(instrument=PERP, price_ticks=110, rounding_atoms=0)]

    assert venue.margin(ALICE).wallet_atoms == 1_000_000 + 70
    assert venue.margin(BOB).wallet_atoms == 1_000_000 - 30
    contract = venue.contract()
    assert (contract.clearing_atoms, contract.open_interest_lots, contract.positions) == (0, 0, {})
    # The positions said nothing any more, and are forgotten.
    assert venue.margin(ALICE).positions == {}
    assert venue.tick() == []


def test_a_closed_contract_keeps_its_mark_and_is_neither_sampled_nor_funded() -> None:
    venue = held()
    venue.mark(110)
    close(venue)
    venue.tick()

    assert kinds(venue.feed(50).events) == ["IndexSet"]
    assert refusal(venue.mark(50)) == Reject.INSTRUMENT_STATE
    assert kinds(venue.tick(after_ns=3600 * SECOND_NS)) == ["IndexStale"]
    assert venue.instrument().mark_ticks == venue.contract().settle_ticks == 110


def test_a_contract_without_positions_has_nothing_to_settle() -> None:
    venue = contract_market()
    venue.ask(ALICE, order(Side.BUY, 1, 1, 90, account=ALICE, instrument=PERP))
    close(venue)

    assert venue.tick() == []
    assert venue.contract().settle_ticks == 100
    assert not venue.exchange.state.orders


def test_what_an_inverse_contract_rounds_away_stays_with_the_house() -> None:
    venue = contract_market(perpetual(ContractKind.INVERSE), price_ticks=100, decimals=4)
    for number, (buyer, seller, lots) in enumerate(((ALICE, BOB, 3), (ALICE, CAROL, 4)), 1):
        deal(venue, number, buyer, seller, lots, 100, INVERSE_PERP)
    venue.mark(107, INVERSE_PERP)
    close(venue, INVERSE_PERP)

    happened = venue.tick()

    # S = 10**4: the long is worth -ceil(70,000/107), the shorts floor(30,000/107) and floor(40,000/107).
    assert [event.realised_atoms for event in happened if isinstance(event, PositionSettled)] == [
        700 - 655,
        280 - 300,
        373 - 400,
    ]
    assert happened[-1] == ContractSettled(instrument=INVERSE_PERP, price_ticks=107, rounding_atoms=2)
    assert venue.exchange.state.ledger.houses[BTC].rounding_atoms == 2


def test_funding_is_paid_before_and_its_roundings_stay_with_the_house_as_well() -> None:
    venue = held()
    # Half an atom for each lot, between two sweeps.
    venue.contract().cumulative_nanoatoms += 500_000_000
    close(venue)

    happened = venue.tick()

    funding = [event.funding_atoms for event in happened if isinstance(event, PositionSettled)]
    assert funding == [4, -1, -2]
    assert happened[-1] == ContractSettled(
        instrument=PERP, price_ticks=100, rounding_atoms=1, funding_atoms=1
    )
    assert venue.contract().funding_atoms == 0
    assert venue.exchange.state.ledger.houses[USD].rounding_atoms == 1


def test_a_bucket_goes_back_to_the_wallet_with_the_result() -> None:
    venue = contract_market()
    modes = SetContractModes(account=ALICE, instrument=PERP, margin=MarginMode.ISOLATED)
    assert isinstance(venue.ask(ALICE, modes).reply, Accepted)
    deal(venue, 1, ALICE, BOB, 10, 100)
    assert venue.position(ALICE).bucket_atoms > 0
    venue.mark(101)
    close(venue)
    venue.tick()

    assert venue.position(ALICE).bucket_atoms == 0
    assert venue.margin(ALICE).wallet_atoms == 1_000_000 + 10


def test_a_sweep_that_runs_ends_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("steelyard.core.handlers.due.WORK_PER_ENTRY_MAX", 1)
    venue = held()
    contract = venue.contract()
    contract.cumulative_nanoatoms += 10**9
    venue.exchange.state.markets.begin_sweeping(venue.instrument())
    close(venue)

    said = [kinds(venue.tick()) for _ in range(7)]

    # With the entry that closed it, the first position had paid.
    assert said == [
        ["FundingPaid"],
        ["FundingPaid"],
        ["FundingSwept"],
        ["PositionSettled"],
        ["PositionSettled"],
        ["PositionSettled"],
        ["ContractSettled"],
    ]


def test_a_restored_exchange_goes_on_settling_to_the_same_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("steelyard.core.handlers.due.WORK_PER_ENTRY_MAX", 1)
    venue = held()
    venue.mark(110)
    close(venue)
    for _ in range(4):
        assert venue.exchange.next_due_ns() == venue.exchange.time_ns
        other = ContractVenue()
        other.exchange = snapshot.load(snapshot.dump(venue.exchange))
        assert other.tick() == venue.tick()
        assert snapshot.dump(other.exchange) == snapshot.dump(venue.exchange)

    assert [type(event) for event in venue.due] == [ContractSettled]
    assert venue.exchange.next_due_ns() != venue.exchange.time_ns
