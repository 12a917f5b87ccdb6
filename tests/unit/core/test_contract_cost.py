"""Nobody closes a position at the cost of the insurance fund, by an absurd price of a friend's."""

from typing import Final

import pytest
from tests.helpers.builders import ALICE, BOB, CAROL, USD, order, refusal
from tests.helpers.contracts import (
    INVERSE_PERP,
    PERP,
    ContractVenue,
    about,
    contract_market,
    contract_rules,
    perpetual,
)

from steelyard.core import Reject
from steelyard.core.commands import (
    FundInsurance,
    LiquidationTerms,
    MarginTerms,
    MarginTier,
    PlaceOrder,
    SetContractModes,
)
from steelyard.core.contracts import equity
from steelyard.core.entry import Placed
from steelyard.core.events import OrderAccepted, OrderExpired, Traded
from steelyard.core.units import ContractKind, InstrumentId, MarginMode, OrderId, OrderKind, Side, TimeInForce

FIFTYFOLD: Final = MarginTerms(tiers=[MarginTier(floor_atoms=0, maintenance_ppm=5_000, initial_ppm=20_000)])
FUND_ATOMS: Final = 10_000


def leveraged_market(*, isolated: bool) -> ContractVenue:
    """Return a market at 1,000 in which ALICE is long 10 lots with 50x; only BOB bids, at half the price."""
    rules = contract_rules(margin=FIFTYFOLD, liquidation=LiquidationTerms(penalty_ppm=2_000))
    listed = perpetual(rules=rules)
    venue = contract_market(listed, price_ticks=1000, wallet_atoms=0)
    venue.pay_in(BOB, 1_000_000)
    venue.pay_in(CAROL, 1_000_000)
    venue.pay_in(ALICE, 205)
    venue.accepted(FundInsurance(asset=USD, amount_atoms=FUND_ATOMS))
    if isolated:
        venue.ask(ALICE, SetContractModes(account=ALICE, instrument=PERP, margin=MarginMode.ISOLATED))
    venue.ask(CAROL, order(Side.SELL, 1, 10, 1000, account=CAROL, instrument=PERP))
    taken = venue.ask(ALICE, order(Side.BUY, 1, 10, 1000, account=ALICE, instrument=PERP))
    assert isinstance(taken.reply, Placed)
    assert venue.position(ALICE).qty_lots == 10
    venue.ask(BOB, order(Side.BUY, 1, 10, 500, account=BOB, instrument=PERP))
    return venue


@pytest.mark.parametrize("isolated", [False, True])
def test_a_sale_far_below_the_mark_is_refused_where_it_would_cost_more_than_there_is(isolated: bool) -> None:
    venue = leveraged_market(isolated=isolated)

    outcome = venue.ask(ALICE, about(Side.SELL, 2, 10, 500, reduce_only=True))

    assert refusal(outcome) is Reject.INSUFFICIENT_MARGIN
    assert venue.exchange.state.ledger.houses[USD].insurance_atoms == FUND_ATOMS


@pytest.mark.parametrize("isolated", [False, True])
def test_a_market_order_that_reduces_keeps_within_what_is_there(isolated: bool) -> None:
    venue = leveraged_market(isolated=isolated)

    outcome = venue.ask(ALICE, about(Side.SELL, 2, 10, reduce_only=True))

    accepted = outcome.events[0]
    assert isinstance(accepted, OrderAccepted)
    assert accepted.limit_ticks > 950, "protection alone would have left it at 475"
    assert not any(isinstance(event, Traded) for event in outcome.events)
    assert isinstance(outcome.events[-1], OrderExpired)
    assert venue.position(ALICE).qty_lots == 10
    # With somebody there at a fair price it closes.
    venue.ask(CAROL, order(Side.BUY, 2, 10, accepted.limit_ticks, account=CAROL, instrument=PERP))
    venue.ask(ALICE, about(Side.SELL, 3, 10, reduce_only=True))
    assert venue.position(ALICE).qty_lots == 0
    assert venue.margin(ALICE).wallet_atoms >= 0
    assert venue.exchange.state.ledger.houses[USD].insurance_atoms == FUND_ATOMS


def test_a_market_order_takes_the_same_limit_whether_it_says_that_it_reduces_or_not() -> None:
    limits = []
    common = PlaceOrder(
        account=ALICE,
        instrument=PERP,
        order=OrderId(2),
        side=Side.SELL,
        size_lots=10,
        kind=OrderKind.MARKET,
        time_in_force=TimeInForce.IOC,
    )
    for command in (common, about(Side.SELL, 2, 10), about(Side.SELL, 2, 10, reduce_only=True)):
        outcome = leveraged_market(isolated=False).ask(ALICE, command)
        (accepted,) = (event for event in outcome.events if isinstance(event, OrderAccepted))
        limits.append(accepted.limit_ticks)

    assert limits[0] == limits[1] == limits[2]


def test_what_a_resting_order_that_reduces_would_lose_does_not_leave_the_bucket() -> None:
    venue = leveraged_market(isolated=True)
    venue.ask(BOB, about(Side.BUY, 9, 1, 400))
    venue.pay_in(ALICE, 1_000)
    position = venue.position(ALICE)
    marks = venue.exchange.state.markets.instruments

    resting = venue.ask(ALICE, about(Side.SELL, 2, 1, 990, reduce_only=True))

    assert isinstance(resting.reply, Placed)
    assert equity.open_losses_atoms(position, marks) == 10


@pytest.mark.parametrize("kind", ContractKind)
@pytest.mark.parametrize("side", Side)
@pytest.mark.parametrize("loss_atoms", [0, 1, 7, 999, 12_345])
def test_the_last_affordable_price_is_affordable_and_the_next_is_not(
    kind: ContractKind, side: Side, loss_atoms: int
) -> None:
    venue = contract_market(perpetual(kind), price_ticks=1000, decimals=4)
    contract = venue.contract(PERP if kind is ContractKind.LINEAR else INVERSE_PERP)
    lots, mark_ticks = 30, 1000

    last_ticks = equity.affordable_ticks(contract, side, lots, mark_ticks, loss_atoms)

    beyond_ticks = last_ticks + 1 if side is Side.BUY else last_ticks - 1
    if last_ticks > 0:
        assert equity.order_loss_atoms(contract, side, lots, last_ticks, mark_ticks) <= loss_atoms
        if beyond_ticks > 0:
            assert equity.order_loss_atoms(contract, side, lots, beyond_ticks, mark_ticks) > loss_atoms
    elif kind is ContractKind.INVERSE:
        assert side is Side.BUY
        assert equity.order_loss_atoms(contract, side, lots, 10**12, mark_ticks) <= loss_atoms


def test_a_fill_that_closes_gives_its_pledge_first_to_a_bucket_that_lacks_it() -> None:
    venue = leveraged_market(isolated=True)
    venue.pay_in(ALICE, 10_000)
    position = venue.position(ALICE)
    before_atoms = venue.margin(ALICE).wallet_atoms

    # Not reduce-only: it has pledged margin and loss, which is what pays for closing at half the mark.
    venue.ask(ALICE, order(Side.SELL, 2, 10, 500, account=ALICE, instrument=InstrumentId(PERP)))

    assert position.qty_lots == 0
    assert position.bucket_atoms == 0
    lost_atoms = before_atoms - venue.margin(ALICE).wallet_atoms
    assert lost_atoms > 4_000
    assert venue.exchange.state.ledger.houses[USD].insurance_atoms == FUND_ATOMS
