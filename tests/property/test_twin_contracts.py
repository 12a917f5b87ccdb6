"""Both exchanges at single moments about contracts that random traffic seldom meets."""

from tests.helpers.contract_traffic import ContractTraffic
from tests.helpers.contract_wishes import about
from tests.helpers.duel import Desk
from tests.helpers.spot_wishes import worded
from tests.helpers.world import CUSTOMERS

from steelyard.core.commands import (
    AmendOrder,
    OrderTerms,
    PlaceContractOrder,
    PlaceOrder,
    PlaceOrderList,
    PlaceOrderOnTerms,
)
from steelyard.core.entry import Amended, Many
from steelyard.core.events import OrderReplaced
from steelyard.core.units import (
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
