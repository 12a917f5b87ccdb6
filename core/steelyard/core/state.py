"""The root of everything that a snapshot holds."""

from typing import Final

from steelyard.core import versions
from steelyard.core.accounts import Account, ApiKey
from steelyard.core.contracts.queue import Queue
from steelyard.core.contracts.ranking import Rankings
from steelyard.core.contracts.trigger_index import TriggerIndex
from steelyard.core.instruments import Instrument, Markets
from steelyard.core.ledger import Ledger, Rates, TierRates, tier_rates
from steelyard.core.limits import RECENT_ORDERS_MAX
from steelyard.core.lists import OrderList
from steelyard.core.matching import Order, Scope
from steelyard.core.sessions import Session
from steelyard.core.timers import Timers
from steelyard.core.units import (
    AccountId,
    InstrumentId,
    InstrumentState,
    KeyId,
    ListNumber,
    OrderId,
    OrderNumber,
    SessionId,
)
from steelyard.core.work import Work

_SPOT_COMPLETE: Final = versions.SPOT_COMPLETE

#: So many timers of orders may be out of date beside as many as there are orders, before they are cleared.
_FORGOTTEN_MAX: Final = 1024


class State:
    """Everything the next command needs, and nothing else.

    ``orders`` leads from the exchange's number to a living order.  The ``last_`` counters have been used;
    the next number is one more.  ``applied_index`` and ``time_ns`` are those of the last applied entry.
    """

    def __init__(self) -> None:
        self.group = ""
        self.version = versions.FIRST
        self.applied_index = 0
        self.time_ns = 0
        self.accounts: dict[AccountId, Account] = {}
        self.keys: dict[KeyId, ApiKey] = {}
        self.sessions: dict[SessionId, Session] = {}
        self.markets = Markets()
        self.ledger = Ledger()
        self.orders: dict[OrderNumber, Order] = {}
        self.lists: dict[ListNumber, OrderList] = {}
        #: (tier, instrument) to (maker_ppm, taker_ppm); instrument zero is the rest
        self.tiers: TierRates = {}
        #: (account, instrument) to the log time at which its orders are cancelled; instrument zero is all
        self.countdowns: dict[tuple[AccountId, InstrumentId], int] = {}
        #: triggered orders in the order of their turn; each entry admits some before its commands
        self.work = Work()
        #: what falls due when; recomputed on load
        self.timers = Timers()
        self.last_key = 0
        self.last_session = 0
        self.last_number = 0
        self.last_trade = 0
        #: from version 3 on: (account, instrument) where new orders are off; zero is all of them
        self.kill_switches: dict[tuple[AccountId, InstrumentId], None] = {}
        #: the engine's queue, first in, first out
        self.liquidations = Queue()
        self.last_liquidation = 0
        #: what has to be judged before the request, timer or unit is over; empty between them
        self.touched: dict[Scope, None] = {}
        #: whom a new mark may concern; no state, for nothing hangs on what it knows
        self.trigger_index = TriggerIndex()
        #: who is deleveraged first; no state either
        self.rankings = Rankings()
        #: the contracts for which those wait who stand in the queue of liquidations and cannot go on, with
        #: their state and whether their index is stale, as they were.  No state either
        self.waited_for: dict[InstrumentId, tuple[Instrument, InstrumentState, bool]] = {}

    def rates(self, account: Account, instrument: Instrument) -> Rates:
        """Return (maker_ppm, taker_ppm) of an account in an instrument: of its tier, else of the listing.

        A fill is charged at most the cap of its order as well.
        """
        listed = (instrument.maker_ppm, instrument.taker_ppm)
        rules = account.rules
        if rules is None or rules.tier == 0:
            return listed
        return tier_rates(self.tiers, rules.tier, instrument.instrument, listed)

    def forget_beyond_version_1(self) -> None:
        """Stand where a member stands that was restored from a snapshot of version 1.

        What that schema has no room for begins with version 2, for every member alike.
        """
        for order in self.orders.values():
            order.post_only = False
        for instrument in self.markets.instruments.values():
            instrument.last_ticks = 0

    def add_order(self, order: Order) -> None:
        """Know a new living order by its number and its owner's names for it, and count it."""
        self.orders[order.number] = order
        account = self.accounts[order.account]
        account.orders[order.order] = order
        if order.label:
            account.labels[order.label] = order
        instrument = self.markets.instruments[order.instrument]
        if order.special is not None:
            instrument.specials += 1
        counts = instrument.counts
        if counts is not None:
            counts[order.account] = counts.get(order.account, 0) + 1
        if order.position is not None:
            order.position.living += 1

    def expire_in_time(self, order: Order) -> None:
        """Have a living order looked at when its time comes, as it is now; earlier timers are out of date."""
        assert order.special is not None, order.number
        timers = self.timers
        timers.expiry(order.special.terms.expires_ns, order.number)
        if len(timers.expiries) > 2 * len(self.orders) + _FORGOTTEN_MAX:
            timers.keep_expiries(
                [
                    (other.special.terms.expires_ns, number)
                    for number, other in self.orders.items()
                    if other.special is not None and other.special.terms.expires_ns
                ]
            )

    def drop_order(self, order: Order) -> None:
        """Forget an order that has ended and stands nowhere any more; its id may not come again soon."""
        assert order.level is None, order.number
        del self.orders[order.number]
        account = self.accounts[order.account]
        client_id = order.order
        del account.orders[client_id]
        if order.label:
            del account.labels[order.label]
        instrument = self.markets.instruments[order.instrument]
        if order.special is not None:
            instrument.specials -= 1
        position = order.position
        if position is not None:
            position.living -= 1
            if position.qty_lots == 0:
                account.forget_silent(position)
        if self.version >= _SPOT_COMPLETE:
            # Orders of the liquidation engine have no id of their own.
            if client_id:
                remember_closed(account, client_id)
            counts = instrument.counts
            if counts is not None:
                counts[order.account] -= 1
                if counts[order.account] == 0:
                    del counts[order.account]


def remember_closed(account: Account, order: OrderId) -> None:
    """Keep the id of a closed order, also of one that never stood anywhere; the oldest are forgotten.

    Only from version 2 on: a snapshot of version 1 has no room for it.
    """
    recent = account.recent
    recent[order] = None
    if len(recent) > RECENT_ORDERS_MAX:
        del recent[next(iter(recent))]
