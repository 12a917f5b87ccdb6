"""Both exchanges at single moments about contracts that random traffic seldom meets."""

from msgspec import structs
from tests.helpers.contract_traffic import ContractTraffic
from tests.helpers.contract_wishes import about
from tests.helpers.duel import Desk
from tests.helpers.spot_wishes import worded
from tests.helpers.world import CUSTOMERS, SECOND_NS

from steelyard.core.commands import (
    AmendOrder,
    OrderTerms,
    PlaceContractOrder,
    PlaceOrder,
    PlaceOrderList,
    PlaceOrderOnTerms,
    SetInstrumentRules,
)
from steelyard.core.entry import Accepted, Amended, Many, Placed
from steelyard.core.events import OrderExpired, OrderReplaced, Traded
from steelyard.core.rejects import Reject
from steelyard.core.units import (
    OPERATOR,
    AccountId,
    InstrumentId,
    ListKind,
    OrderId,
    OrderKind,
    Side,
    TimeInForce,
    TriggerKind,
)

PERP = InstrumentId(11)
TRADER = CUSTOMERS[1]


def limit(order: int, side: Side, ticks: int, lots: int, account: AccountId = TRADER) -> PlaceOrderOnTerms:
    """Return a limit order that stays."""
    return worded(
        PlaceOrder(
            account=account,
            instrument=PERP,
            order=OrderId(order),
            side=side,
            size_lots=lots,
            limit_ticks=ticks,
        )
    )


def closing(order: int, ticks: int) -> PlaceContractOrder:
    """Return a stop that closes a long."""
    plain = PlaceOrder(
        account=TRADER,
        instrument=PERP,
        order=OrderId(order),
        side=Side.SELL,
        size_lots=0,
        kind=OrderKind.MARKET,
        time_in_force=TimeInForce.IOC,
    )
    terms = OrderTerms(trigger=TriggerKind.STOP, trigger_ticks=ticks)
    return about(plain, terms=terms, close_position=True)


def test_what_closes_a_position_does_not_follow_the_size_of_its_alternative() -> None:
    desk = Desk(ContractTraffic)
    legs = [limit(1, Side.BUY, 195, 3), limit(2, Side.SELL, 210, 3), closing(3, 180)]
    placed = desk.hand_in(
        TRADER, PlaceOrderList(account=TRADER, instrument=PERP, kind=ListKind.OTOCO, legs=legs)
    )
    assert isinstance(placed.reply, Many)

    amended = desk.hand_in(TRADER, AmendOrder(account=TRADER, order=OrderId(2), size_lots=2))

    assert isinstance(amended.reply, Amended)
    assert [event.order for event in amended.events if isinstance(event, OrderReplaced)] == [2]
    desk.both.compare_states()


def test_a_level_of_orders_that_will_have_been_trimmed_away_halts_nothing() -> None:
    desk = Desk(ContractTraffic)
    _, short, long, taker = CUSTOMERS
    halts = SetInstrumentRules(
        instrument=PERP,
        halt_ppm=100_000,
        halt_window_ns=60 * SECOND_NS,
        halt_ns=SECOND_NS,
        auction_ns=SECOND_NS,
    )
    assert isinstance(desk.hand_in(OPERATOR, halts).reply, Accepted)
    last = limit(3, Side.BUY, 159, 3, short)
    for order in (
        limit(1, Side.SELL, 200, 3, short),
        limit(1, Side.BUY, 200, 3, long),
        limit(2, Side.BUY, 199, 3, short),
        about(last, reduce_only=True),
    ):
        assert isinstance(desk.hand_in(order.account, order).reply, Placed)

    # The fill at 199 closes the position, and with it the only order below.
    wanted = limit(1, Side.SELL, 139, 5, taker)
    sold = desk.hand_in(taker, structs.replace(wanted, time_in_force=TimeInForce.IOC))

    assert [event.price_ticks for event in sold.events if isinstance(event, Traded)] == [199]
    ends = {event.order: event.reason for event in sold.events if isinstance(event, OrderExpired)}
    assert ends == {3: Reject.REDUCED_AWAY, 1: Reject.NO_LIQUIDITY}
    desk.both.compare_states()
