"""Each fault planted in what contracts keep is found by ``check_invariants``."""

from collections.abc import Callable

import msgspec
import pytest
from tests.helpers.builders import ALICE, BOB, CAROL, USD, buy, sell
from tests.helpers.contracts import BTC_INDEX, PERP, ContractVenue, contract_market

from steelyard.core.commands import FundInsurance, PlaceContractOrder, SetContractModes
from steelyard.core.entry import Accepted, Placed
from steelyard.core.matching import NO_BALANCE, Order, Position
from steelyard.core.units import (
    AccountId,
    AssetId,
    IndexId,
    InstrumentId,
    InstrumentState,
    Leg,
    LiquidationId,
    MarginMode,
    OrderId,
    RiskLevel,
    Side,
)


def a_market() -> ContractVenue:
    """Return a market in which Alice is long, Bob short and isolated, Carol hedged, all with orders."""
    venue = contract_market()
    assert isinstance(
        venue.ask(BOB, SetContractModes(account=BOB, instrument=PERP, margin=MarginMode.ISOLATED)).reply,
        Accepted,
    )
    hedge = SetContractModes(account=CAROL, instrument=PERP, margin=MarginMode.CROSS, hedge=True)
    assert isinstance(venue.ask(CAROL, hedge).reply, Accepted)
    venue.accepted(FundInsurance(asset=USD, amount_atoms=1_000))
    for account, command in (
        (BOB, sell(1, 50, 100)),
        (ALICE, buy(1, 50, 100)),
        (BOB, sell(2, 10, 120)),
        (ALICE, buy(2, 7, 90)),
        (ALICE, buy(3, 7, 80)),
        (ALICE, sell(4, 3, 130)),
    ):
        placed = venue.place(account, msgspec.structs.replace(command, instrument=PERP)).reply
        assert isinstance(placed, Placed), placed
    for number, leg, side, limit_ticks in ((1, Leg.LONG, Side.BUY, 95), (2, Leg.SHORT, Side.SELL, 140)):
        order = PlaceContractOrder(
            account=CAROL,
            instrument=PERP,
            order=OrderId(number),
            side=side,
            size_lots=5,
            limit_ticks=limit_ticks,
            leg=leg,
        )
        assert isinstance(venue.ask(CAROL, order).reply, Placed)
    reduce = PlaceContractOrder(
        account=ALICE,
        instrument=PERP,
        order=OrderId(5),
        side=Side.SELL,
        size_lots=20,
        limit_ticks=150,
        reduce_only=True,
    )
    assert isinstance(venue.ask(ALICE, reduce).reply, Placed)
    return venue


def alice(venue: ContractVenue) -> Position:
    return venue.position(ALICE)


def order_of(venue: ContractVenue, account: AccountId, number: int) -> Order:
    return venue.exchange.state.accounts[account].orders[OrderId(number)]


def shift(venue: ContractVenue, **by: int) -> None:
    """Change Alice's position, and Bob's the other way round where that keeps the sums."""
    for name, value in by.items():
        setattr(alice(venue), name, getattr(alice(venue), name) + value)


def a_lot_without_a_counterpart(venue: ContractVenue) -> None:
    shift(venue, qty_lots=1)


def cash_without_a_counterpart(venue: ContractVenue) -> None:
    shift(venue, cash_flow_atoms=1)


def open_interest_that_nobody_has(venue: ContractVenue) -> None:
    venue.contract().open_interest_lots += 1


def clearing_that_nobody_realised(venue: ContractVenue) -> None:
    venue.contract().clearing_atoms += 1
    venue.margin(ALICE).wallet_atoms -= 1


def funding_below_nothing(venue: ContractVenue) -> None:
    venue.contract().funding_atoms -= 1
    venue.margin(ALICE).wallet_atoms += 1


def funding_owed_by_one_side_alone(venue: ContractVenue) -> None:
    alice(venue).settled_nanoatoms += 1


def pending_without_a_sweep(venue: ContractVenue) -> None:
    venue.contract().pending_nanoatoms = 1


def a_sweep_that_has_no_turn(venue: ContractVenue) -> None:
    venue.contract().is_sweeping = True


def a_position_that_the_contract_does_not_know(venue: ContractVenue) -> None:
    del venue.contract().positions[ALICE, Leg.NET]


def a_position_that_the_margin_does_not_know(venue: ContractVenue) -> None:
    del venue.margin(ALICE).positions[PERP, Leg.NET]


def a_wallet_that_gained(venue: ContractVenue) -> None:
    venue.margin(ALICE).wallet_atoms += 1


def a_margin_of_another_asset(venue: ContractVenue) -> None:
    margins = venue.exchange.state.accounts[ALICE].margins
    margins[AssetId(1)] = margins.pop(USD)


def a_margin_that_says_nothing(venue: ContractVenue) -> None:
    venue.exchange.state.accounts[ALICE].margin(AssetId(1))


def a_position_that_says_nothing(venue: ContractVenue) -> None:
    venue.margin(BOB).position(PERP, Leg.LONG)


def a_mode_in_no_contract(venue: ContractVenue) -> None:
    venue.margin(CAROL).hedged[InstrumentId(3)] = None


def an_overdrawn_wallet_without_lots(venue: ContractVenue) -> None:
    carol, house = venue.margin(CAROL), venue.exchange.state.ledger.houses[USD]
    house.insurance_atoms += carol.wallet_atoms + 1
    house.peak_atoms = house.insurance_atoms
    carol.wallet_atoms = -1


def a_scope_that_nobody_liquidates(venue: ContractVenue) -> None:
    venue.instrument().mark_ticks = 10**6


def a_cross_position_with_a_bucket(venue: ContractVenue) -> None:
    alice(venue).bucket_atoms += 1
    venue.margin(ALICE).wallet_atoms -= 1


def an_isolated_pledge_too_large(venue: ContractVenue) -> None:
    venue.position(BOB).held_atoms += 1
    venue.margin(BOB).wallet_atoms -= 1


def a_position_of_the_wrong_mode(venue: ContractVenue) -> None:
    del venue.margin(CAROL).hedged[PERP]


def a_long_leg_that_is_short(venue: ContractVenue) -> None:
    leg = venue.position(CAROL, leg=Leg.LONG)
    leg.qty_lots, alice(venue).qty_lots = -1, alice(venue).qty_lots + 1


def legs_of_two_modes(venue: ContractVenue) -> None:
    venue.position(CAROL, leg=Leg.SHORT).is_isolated = True


def buys_counted_wrong(venue: ContractVenue) -> None:
    shift(venue, open_buy_lots=1)


def sells_counted_wrong(venue: ContractVenue) -> None:
    shift(venue, open_sell_lots=1)


def fees_counted_wrong(venue: ContractVenue) -> None:
    shift(venue, fees_atoms=1)


def reducing_lots_counted_wrong(venue: ContractVenue) -> None:
    shift(venue, reducing_lots=-1)


def living_orders_counted_wrong(venue: ContractVenue) -> None:
    shift(venue, living=1)


def a_reducing_order_beyond_its_position(venue: ContractVenue) -> None:
    order = order_of(venue, ALICE, 5)
    level = order.level
    assert level is not None
    for each in (order, level):
        each.open_lots += 40
    order.size_lots += 40
    alice(venue).reducing_lots += 40


def a_buy_above_the_bound(venue: ContractVenue) -> None:
    alice(venue).buy_high_ticks = 89


def a_sell_below_the_bound(venue: ContractVenue) -> None:
    alice(venue).sell_low_ticks = 131


def an_order_that_its_position_does_not_know(venue: ContractVenue) -> None:
    del alice(venue).orders[OrderId(2)]


def an_order_of_another_position(venue: ContractVenue) -> None:
    order_of(venue, ALICE, 2).position = venue.position(BOB)


def an_order_without_a_position(venue: ContractVenue) -> None:
    order_of(venue, ALICE, 2).position = None


def an_order_with_a_balance(venue: ContractVenue) -> None:
    order_of(venue, ALICE, 2).pledge = venue.exchange.state.accounts[ALICE].balance(USD)


def an_order_of_the_engine_that_stays(venue: ContractVenue) -> None:
    special = order_of(venue, ALICE, 5).special
    assert special is not None
    special.liquidation = LiquidationId(1)


def a_liquidation_that_nobody_runs(venue: ContractVenue) -> None:
    margin = venue.margin(ALICE)
    margin.level, margin.liquidation = RiskLevel.LIQUIDATING, LiquidationId(1)
    venue.exchange.state.last_liquidation = 1


def a_level_without_a_liquidation(venue: ContractVenue) -> None:
    venue.margin(ALICE).level = RiskLevel.LIQUIDATING


def a_fund_above_its_peak(venue: ContractVenue) -> None:
    venue.exchange.state.ledger.houses[USD].peak_atoms -= 1


def a_debt_with_an_open_gate(venue: ContractVenue) -> None:
    house = venue.exchange.state.ledger.houses[USD]
    house.debt_atoms -= 1
    house.rounding_atoms += 1


def a_fund_beside_a_debt(venue: ContractVenue) -> None:
    house = venue.exchange.state.ledger.houses[USD]
    house.debt_atoms -= 1
    house.insurance_atoms += 1
    house.peak_atoms += 1
    house.gate_on = True


def a_gate_that_opens_without_being_closed(venue: ContractVenue) -> None:
    venue.exchange.state.ledger.houses[USD].gate_ns = 2**60


def a_switch_of_nobody(venue: ContractVenue) -> None:
    venue.exchange.state.kill_switches[AccountId(7777), InstrumentId(0)] = None


def a_switch_of_two(venue: ContractVenue) -> None:
    venue.exchange.state.kill_switches[ALICE, PERP] = None


def a_scope_that_was_touched_and_not_judged(venue: ContractVenue) -> None:
    venue.exchange.state.touched[venue.margin(ALICE)] = None


def an_index_that_never_becomes_stale(venue: ContractVenue) -> None:
    venue.exchange.state.markets.indices[BTC_INDEX].stale_at_ns = 0


def an_index_under_another_name(venue: ContractVenue) -> None:
    indices = venue.exchange.state.markets.indices
    indices[IndexId(9)] = indices.pop(BTC_INDEX)


def an_index_that_does_not_know_its_contract(venue: ContractVenue) -> None:
    venue.exchange.state.markets.indices[BTC_INDEX].contracts.clear()


def a_sample_that_no_timer_brings(venue: ContractVenue) -> None:
    venue.contract().sample_ns -= 1


def a_closed_contract_that_is_not_settled(venue: ContractVenue) -> None:
    for account, number in ((ALICE, 2), (ALICE, 3), (ALICE, 4), (ALICE, 5), (BOB, 2), (CAROL, 1), (CAROL, 2)):
        venue.cancel(account, number)
    venue.instrument().state = InstrumentState.CLOSED


FAULTS: list[Callable[[ContractVenue], None]] = [
    a_lot_without_a_counterpart,
    cash_without_a_counterpart,
    open_interest_that_nobody_has,
    clearing_that_nobody_realised,
    funding_below_nothing,
    funding_owed_by_one_side_alone,
    pending_without_a_sweep,
    a_sweep_that_has_no_turn,
    a_position_that_the_contract_does_not_know,
    a_position_that_the_margin_does_not_know,
    a_wallet_that_gained,
    a_margin_of_another_asset,
    a_margin_that_says_nothing,
    a_position_that_says_nothing,
    a_mode_in_no_contract,
    an_overdrawn_wallet_without_lots,
    a_scope_that_nobody_liquidates,
    a_cross_position_with_a_bucket,
    an_isolated_pledge_too_large,
    a_position_of_the_wrong_mode,
    a_long_leg_that_is_short,
    legs_of_two_modes,
    buys_counted_wrong,
    sells_counted_wrong,
    fees_counted_wrong,
    reducing_lots_counted_wrong,
    living_orders_counted_wrong,
    a_reducing_order_beyond_its_position,
    a_buy_above_the_bound,
    a_sell_below_the_bound,
    an_order_that_its_position_does_not_know,
    an_order_of_another_position,
    an_order_without_a_position,
    an_order_with_a_balance,
    an_order_of_the_engine_that_stays,
    a_liquidation_that_nobody_runs,
    a_level_without_a_liquidation,
    a_fund_above_its_peak,
    a_debt_with_an_open_gate,
    a_fund_beside_a_debt,
    a_gate_that_opens_without_being_closed,
    a_switch_of_nobody,
    a_switch_of_two,
    a_scope_that_was_touched_and_not_judged,
    an_index_that_never_becomes_stale,
    an_index_under_another_name,
    an_index_that_does_not_know_its_contract,
    a_sample_that_no_timer_brings,
    a_closed_contract_that_is_not_settled,
]


def test_the_market_in_which_faults_are_planted_is_sound() -> None:
    venue = a_market()
    venue.exchange.check_invariants()
    assert alice(venue).qty_lots == -venue.position(BOB).qty_lots == 50
    assert alice(venue).reducing_lots == 20
    assert venue.position(BOB).bucket_atoms > 0
    assert venue.position(BOB).held_atoms > 0


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_a_planted_fault_is_found(fault: Callable[[ContractVenue], None]) -> None:
    venue = a_market()
    fault(venue)
    with pytest.raises(AssertionError):
        venue.exchange.check_invariants()


def test_nothing_was_ever_moved_where_orders_about_positions_have_no_balance() -> None:
    a_market()
    assert (NO_BALANCE.free_atoms, NO_BALANCE.held_atoms) == (0, 0)
