"""Orders about positions that are refused: each fault in its place, and nothing changed."""

import msgspec
import pytest
from tests.helpers.builders import ALICE, BOB, BTC_USD, CAROL, USD, listing, refusal
from tests.helpers.contracts import (
    PERP,
    ContractVenue,
    about,
    contract_market,
    contract_rules,
    perpetual,
)

from steelyard.core import Reject
from steelyard.core.commands import (
    AmendOrder,
    AnyCommand,
    Batch,
    CancelOrder,
    OrderTerms,
    PlaceContractOrder,
    PlaceOrder,
    SetContractModes,
    SetInstrumentState,
    SetKillSwitch,
)
from steelyard.core.entry import Accepted, Cancelled
from steelyard.core.units import (
    AccountId,
    BatchMode,
    InstrumentId,
    InstrumentState,
    Leg,
    MarginMode,
    OrderId,
    PriceSource,
    RiskLevel,
    Side,
    TimeInForce,
    TriggerKind,
)

BUY, SELL = Side.BUY, Side.SELL
STOP = OrderTerms(trigger=TriggerKind.STOP, trigger_source=PriceSource.MARK, trigger_ticks=90)
BUDGET = OrderTerms(budget_atoms=100)
INDEX_STOP = OrderTerms(trigger=TriggerKind.STOP, trigger_source=PriceSource.INDEX, trigger_ticks=90)


def fee_market(
    wallet_atoms: int = 1_000, *, position_max_lots: int = 1_000, open_interest_max_lots: int = 1_000
) -> ContractVenue:
    """Return a market with fees: a lot at the mark needs two atoms, and may cost one in fees."""
    listed = perpetual(
        rules=contract_rules(
            position_max_lots=position_max_lots, open_interest_max_lots=open_interest_max_lots
        ),
        taker_ppm=1_000,
        maker_ppm=0,
        notional_min_atoms=100,
        price_max_ticks=1_000,
        size_max_lots=500,
    )
    return contract_market(listed, wallet_atoms=wallet_atoms)


def refused(venue: ContractVenue, account: AccountId, command: AnyCommand) -> Reject:
    """Return why a command is refused, which changes nothing."""
    before = venue.business()
    if isinstance(command, PlaceOrder | AmendOrder):
        command = msgspec.structs.replace(command, account=account)
    reason = refusal(venue.ask(account, command))
    assert venue.business() == before
    return reason


def taken(venue: ContractVenue, account: AccountId, command: PlaceOrder) -> None:
    """Place an order that must be taken."""
    outcome = venue.place(account, command)
    assert type(outcome.reply).__name__ in ("Placed", "Waiting"), outcome


MALFORMED = [
    about(SELL, 1, 0, close_position=True),
    about(SELL, 1, 5, close_position=True, terms=STOP),
    about(SELL, 1, 0, close_position=True, reduce_only=True, terms=STOP),
    about(SELL, 1, 0, 90, close_position=True, terms=STOP),
]


@pytest.mark.parametrize("command", MALFORMED)
def test_what_closes_a_position_says_a_trigger_and_nothing_else(command: PlaceContractOrder) -> None:
    assert refused(fee_market(), ALICE, command) == Reject.MALFORMED


def test_each_kind_of_instrument_has_its_own_orders() -> None:
    venue = fee_market()
    venue.accepted(listing())
    venue.move(InstrumentState.POST_ONLY, InstrumentState.OPEN)

    assert refused(venue, ALICE, about(BUY, 1, 1, 100, instrument=BTC_USD)) == Reject.NOT_THIS_KIND
    spot = PlaceOrder(
        account=ALICE, instrument=BTC_USD, order=OrderId(1), side=SELL, size_lots=1, limit_ticks=100
    )
    waiting = about(SELL, 5, 2, 80, terms=INDEX_STOP)
    on_index = msgspec.structs.replace(waiting, instrument=BTC_USD)
    assert refused(venue, ALICE, on_index) == Reject.NOT_THIS_KIND
    assert refused(venue, ALICE, about(BUY, 1, 0, terms=BUDGET)) == Reject.NOT_THIS_KIND
    taken(venue, ALICE, spot)
    taken(venue, ALICE, waiting)


@pytest.mark.parametrize(
    ("account", "instrument", "stops"),
    [
        (ALICE, 0, (ALICE,)),
        (0, PERP, (ALICE, BOB)),
        (0, 0, (ALICE, BOB)),
    ],
)
def test_a_switch_stops_new_orders_and_amends_and_lets_cancels_pass(
    account: int, instrument: int, stops: tuple[AccountId, ...]
) -> None:
    venue = fee_market()
    for each in (ALICE, BOB):
        taken(venue, each, about(BUY, 1, 2, 90))
    switch = SetKillSwitch(on=True, account=AccountId(account), instrument=InstrumentId(instrument))
    venue.accepted(switch)

    for each in (ALICE, BOB):
        amend = AmendOrder(account=each, order=OrderId(1), size_lots=1)
        common = PlaceOrder(
            account=each, instrument=PERP, order=OrderId(3), side=BUY, size_lots=2, limit_ticks=90
        )
        if each in stops:
            assert refused(venue, each, about(BUY, 2, 2, 90)) == Reject.KILL_SWITCH
            assert refused(venue, each, common) == Reject.KILL_SWITCH
            assert refused(venue, each, amend) == Reject.KILL_SWITCH
            assert isinstance(venue.cancel(each, 1).reply, Cancelled)
        else:
            taken(venue, each, about(BUY, 2, 2, 90))
    venue.accepted(msgspec.structs.replace(switch, on=False))
    taken(venue, ALICE, about(BUY, 9, 2, 90))


def test_a_switch_of_an_account_comes_before_the_instrument_and_that_of_an_instrument_after_its_kind() -> (
    None
):
    venue = fee_market()
    venue.accepted(SetKillSwitch(on=True, account=ALICE))
    unknown = about(BUY, 1, 1, 100, instrument=InstrumentId(77))
    assert refused(venue, ALICE, unknown) == Reject.KILL_SWITCH
    assert refused(venue, BOB, unknown) == Reject.UNKNOWN_INSTRUMENT
    venue.accepted(SetKillSwitch(on=True, instrument=PERP))
    assert refused(venue, BOB, about(BUY, 1, 0, terms=BUDGET)) == Reject.NOT_THIS_KIND
    venue.accepted(SetInstrumentState(instrument=PERP, state=InstrumentState.HALTED))
    assert refused(venue, BOB, about(BUY, 1, 1, 100)) == Reject.KILL_SWITCH
    venue.accepted(SetKillSwitch(on=False, instrument=PERP))
    assert refused(venue, BOB, about(BUY, 1, 1, 100, leg=Leg.LONG)) == Reject.INSTRUMENT_STATE


def test_an_order_names_a_leg_that_the_mode_knows() -> None:
    venue = fee_market()
    assert refused(venue, ALICE, about(BUY, 1, 1, 100, leg=Leg.LONG)) == Reject.UNKNOWN_POSITION
    modes = SetContractModes(account=ALICE, instrument=PERP, margin=MarginMode.CROSS, hedge=True)
    assert isinstance(venue.ask(ALICE, modes).reply, Accepted)
    assert refused(venue, ALICE, about(BUY, 1, 1, 100)) == Reject.UNKNOWN_POSITION
    common = PlaceOrder(
        account=ALICE, instrument=PERP, order=OrderId(1), side=BUY, size_lots=1, limit_ticks=100
    )
    assert refused(venue, ALICE, common) == Reject.UNKNOWN_POSITION
    taken(venue, ALICE, about(BUY, 1, 1, 100, leg=Leg.LONG))


def test_a_position_has_so_many_working_orders(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("contracting", "contract_orders"):
        monkeypatch.setattr(f"steelyard.core.handlers.{name}.ORDERS_PER_POSITION_MAX", 2)
    venue = fee_market()
    taken(venue, ALICE, about(SELL, 9, 2, 80, terms=STOP))
    for number in (1, 2):
        taken(venue, ALICE, about(BUY, number, 2, 90))

    assert refused(venue, ALICE, about(BUY, 3, 2, 90)) == Reject.TOO_MANY_ORDERS
    common = PlaceOrder(
        account=ALICE, instrument=PERP, order=OrderId(3), side=BUY, size_lots=2, limit_ticks=90
    )
    assert refused(venue, ALICE, common) == Reject.TOO_MANY_ORDERS
    # One that was triggered meanwhile ends, too.
    venue.mark(90)
    assert [type(event).__name__ for event in venue.tick()] == ["OrderExpired"]


def test_a_margin_has_so_many_positions(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("contracting", "contract_orders"):
        monkeypatch.setattr(f"steelyard.core.handlers.{name}.POSITIONS_PER_MARGIN_MAX", 1)
    other = perpetual(instrument=InstrumentId(8), symbol="OTHER")
    venue = contract_market(perpetual(), other)
    taken(venue, ALICE, about(SELL, 1, 2, 80, terms=STOP))

    assert (
        refused(venue, ALICE, about(BUY, 2, 1, 90, instrument=InstrumentId(8))) == Reject.TOO_MANY_POSITIONS
    )
    common = PlaceOrder(
        account=ALICE,
        instrument=InstrumentId(8),
        order=OrderId(3),
        side=BUY,
        size_lots=1,
        limit_ticks=90,
    )
    assert refused(venue, ALICE, common) == Reject.TOO_MANY_POSITIONS
    taken(venue, ALICE, about(BUY, 2, 1, 90))
    venue.cancel(ALICE, 1)
    venue.cancel(ALICE, 2)
    taken(venue, ALICE, msgspec.structs.replace(common, order=OrderId(4)))


def test_without_a_mark_nothing_can_be_ordered_and_with_a_stale_index_only_what_reduces() -> None:
    venue = fee_market()
    venue.accepted(perpetual(instrument=InstrumentId(8), symbol="NEW"))
    venue.move(InstrumentState.POST_ONLY, InstrumentState.OPEN, instrument=InstrumentId(8))
    new = about(BUY, 1, 1, 100, instrument=InstrumentId(8))
    assert refused(venue, ALICE, new) == Reject.NO_REFERENCE_PRICE
    taken(venue, ALICE, about(BUY, 1, 10, 100))
    taken(venue, BOB, about(SELL, 1, 10, 100))

    venue.tick(after_ns=11 * 10**9)

    common = PlaceOrder(
        account=ALICE, instrument=PERP, order=OrderId(2), side=BUY, size_lots=2, limit_ticks=90
    )
    assert refused(venue, ALICE, about(BUY, 2, 2, 90)) == Reject.NO_REFERENCE_PRICE
    assert refused(venue, ALICE, common) == Reject.NO_REFERENCE_PRICE
    assert refused(venue, ALICE, about(SELL, 2, 21, 110)) == Reject.NO_REFERENCE_PRICE
    taken(venue, ALICE, msgspec.structs.replace(common, side=SELL, size_lots=5, limit_ticks=110))
    taken(venue, ALICE, about(SELL, 3, 5, 110, reduce_only=True))


def test_the_position_and_the_open_interest_are_bounded_and_what_reduces_is_not() -> None:
    venue = fee_market(position_max_lots=20, open_interest_max_lots=500)
    taken(venue, ALICE, about(BUY, 1, 15, 100))
    assert refused(venue, ALICE, about(BUY, 2, 6, 100)) == Reject.POSITION_LIMIT
    assert refused(venue, ALICE, about(SELL, 2, 21, 110)) == Reject.POSITION_LIMIT
    taken(venue, ALICE, about(BUY, 2, 5, 100))

    venue = fee_market(100_000, position_max_lots=300, open_interest_max_lots=500)
    taken(venue, ALICE, about(BUY, 1, 300, 100))
    taken(venue, BOB, about(SELL, 1, 300, 100))
    assert refused(venue, CAROL, about(SELL, 2, 201, 100)) == Reject.OPEN_INTEREST_LIMIT
    taken(venue, CAROL, about(SELL, 2, 200, 100))
    taken(venue, ALICE, about(SELL, 2, 290, 105))


def test_margin_is_asked_for_to_the_atom() -> None:
    # 40 lots at 110: initial margin ceil(4000 * 2 %) = 80, open loss 400, fees 40 * ceil(0.11) = 40.
    venue = fee_market(wallet_atoms=520)
    taken(venue, ALICE, about(BUY, 1, 40, 110))
    venue = fee_market(wallet_atoms=519)
    assert refused(venue, ALICE, about(BUY, 1, 40, 110)) == Reject.INSUFFICIENT_MARGIN
    common = PlaceOrder(
        account=ALICE, instrument=PERP, order=OrderId(1), side=BUY, size_lots=40, limit_ticks=110
    )
    assert refused(venue, ALICE, common) == Reject.INSUFFICIENT_MARGIN


def test_an_order_that_reduces_needs_its_fees_alone_and_at_a_critical_level_nothing_else_is_taken() -> None:
    # 40 lots at 100 need 80 atoms, and 40 for fees; the level is CRITICAL when 40 is 90 % of the equity.
    venue = fee_market(wallet_atoms=120)
    taken(venue, ALICE, about(BUY, 1, 40, 100))
    taken(venue, BOB, about(SELL, 1, 40, 100, time_in_force=TimeInForce.IOC))
    venue.mark(98)
    assert venue.margin(ALICE).level == RiskLevel.CRITICAL

    assert refused(venue, ALICE, about(BUY, 2, 2, 90)) == Reject.RISK_LEVEL
    common = PlaceOrder(
        account=ALICE, instrument=PERP, order=OrderId(2), side=BUY, size_lots=2, limit_ticks=90
    )
    assert refused(venue, ALICE, common) == Reject.RISK_LEVEL
    # 40 atoms of equity are left: 40 lots may cost one atom each; at 98 or above a sell loses nothing.
    taken(venue, ALICE, about(SELL, 2, 40, 98, reduce_only=True))
    venue.cancel(ALICE, 2)
    taken(venue, ALICE, about(SELL, 3, 20, 97))
    assert refused(venue, ALICE, about(SELL, 4, 3, 90)) == Reject.INSUFFICIENT_MARGIN


def test_a_reduce_only_order_with_nothing_to_reduce_is_refused_at_the_end_of_what_the_book_says() -> None:
    venue = fee_market()
    taken(venue, BOB, about(SELL, 1, 5, 110))
    nothing = about(BUY, 1, 5, 110, reduce_only=True, post_only=True)
    assert refused(venue, ALICE, nothing) == Reject.POST_ONLY_WOULD_TRADE
    assert refused(venue, ALICE, about(BUY, 1, 5, 100, reduce_only=True)) == Reject.REDUCE_ONLY_NOTHING
    assert refused(venue, ALICE, about(BUY, 1, 501, 100, reduce_only=True)) == Reject.SIZE_OUT_OF_RANGE


def test_a_market_order_that_meets_nobody_is_taken_and_expires() -> None:
    for side in Side:
        venue = fee_market(wallet_atoms=250)
        outcome = venue.place(ALICE, about(side, 1, 100))
        assert [type(event).__name__ for event in outcome.events] == [
            "OrderAccepted",
            "OrderExpired",
        ]


@pytest.mark.parametrize("isolated", [False, True])
def test_a_batch_of_all_or_none_is_taken_back_to_the_byte(isolated: bool) -> None:
    venue = fee_market()
    if isolated:
        modes = SetContractModes(account=ALICE, instrument=PERP, margin=MarginMode.ISOLATED)
        assert isinstance(venue.ask(ALICE, modes).reply, Accepted)
    taken(venue, ALICE, about(BUY, 1, 9, 90))
    taken(venue, ALICE, about(BUY, 2, 9, 89))
    taken(venue, ALICE, about(SELL, 3, 9, 80, terms=STOP))
    before = venue.business()
    legs: list[CancelOrder | AmendOrder | PlaceOrder] = [
        CancelOrder(account=ALICE, order=OrderId(1)),
        CancelOrder(account=ALICE, order=OrderId(3)),
        AmendOrder(account=ALICE, order=OrderId(2), size_lots=4),
        about(BUY, 5, 3, 91),
        about(BUY, 6, 500, 91),
    ]

    outcome = venue.ask(ALICE, Batch(account=ALICE, mode=BatchMode.ALL_OR_NONE, legs=legs))

    assert refusal(outcome) == Reject.INSUFFICIENT_MARGIN
    assert venue.business() == before
    assert venue.held_atoms(ALICE, USD) == 0


def test_what_a_refused_order_would_have_opened_is_not_known() -> None:
    venue = fee_market(wallet_atoms=0)
    assert refused(venue, ALICE, about(BUY, 1, 50, 100)) == Reject.INSUFFICIENT_MARGIN
    assert venue.exchange.state.accounts[ALICE].margins == {}
