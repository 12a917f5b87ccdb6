"""The root of everything that a snapshot holds."""

from collections import deque

from steelyard.core import versions
from steelyard.core.accounts import Account, ApiKey
from steelyard.core.instruments import Markets
from steelyard.core.ledger import Ledger
from steelyard.core.lists import OrderList
from steelyard.core.matching import Order
from steelyard.core.sessions import Session
from steelyard.core.timers import Timers
from steelyard.core.units import AccountId, InstrumentId, KeyId, ListNumber, OrderNumber, SessionId


class State:
    """Everything the next command needs, and nothing else.

    ``orders`` leads from the exchange's number to a resting order.  The ``last_`` counters have been used;
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
        self.tiers: dict[tuple[int, InstrumentId], tuple[int, int]] = {}
        #: (account, instrument) to the log time at which its orders are cancelled; instrument zero is all
        self.countdowns: dict[tuple[AccountId, InstrumentId], int] = {}
        #: triggered orders in the order of their turn; each entry admits some before its commands
        self.work: deque[OrderNumber] = deque()
        #: what falls due when; recomputed on load
        self.timers = Timers()
        self.last_key = 0
        self.last_session = 0
        self.last_number = 0
        self.last_trade = 0

    def drop_order(self, order: Order) -> None:
        """Forget an order that has left its book."""
        assert order.level is None, order.number
        del self.orders[order.number]
        account = self.accounts[order.account]
        del account.orders[order.order]
        if order.label:
            del account.labels[order.label]
