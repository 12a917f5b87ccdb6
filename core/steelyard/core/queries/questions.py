"""Everything that can be asked of the state."""

import msgspec

from steelyard.core.commands import PlaceContractOrder, PlaceOrder, PlaceOrderOnTerms
from steelyard.core.units import AccountId, InstrumentId, KeyId


class Query(msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False):
    """Base of all questions."""


class GetKey(Query, frozen=True, kw_only=True, tag=1):
    """What a key may do.  The one question that needs no key itself: the door asks it to verify one."""

    key: KeyId


class GetSession(Query, frozen=True, kw_only=True, tag=2):
    """Where the account's session of that name stands, and its replies from ``replies_from`` on."""

    account: AccountId
    name: str
    replies_from: int = 1


class GetBalances(Query, frozen=True, kw_only=True, tag=3):
    """What an account owns, by asset."""

    account: AccountId


class GetOpenOrders(Query, frozen=True, kw_only=True, tag=4):
    """An account's orders in the book, by number; of one instrument, or of all (zero).

    ``GetOrders`` tells of those that wait, too, and of their terms.
    """

    account: AccountId
    instrument: InstrumentId = InstrumentId(0)


class GetBook(Query, frozen=True, kw_only=True, tag=5):
    """The best ``depth`` levels of both sides, best first.  Public: any key may ask."""

    instrument: InstrumentId
    depth: int


class GetMarkets(Query, frozen=True, kw_only=True, tag=6):
    """Every asset and every instrument.  Public: any key may ask."""


class GetTotals(Query, frozen=True, kw_only=True, tag=7):
    """Per asset: what customers have, what the house has, and that it all sums to zero.  For operators."""


class GetAccount(Query, frozen=True, kw_only=True, tag=8):
    """What applies to an account beside its balances: family, rules, holds, tier, what it is owed."""

    account: AccountId


class GetFees(Query, frozen=True, kw_only=True, tag=9):
    """What an account pays in an instrument now."""

    account: AccountId
    instrument: InstrumentId


class GetOrders(Query, frozen=True, kw_only=True, tag=10):
    """An account's living orders with their terms and states, by number; of one instrument, or of all."""

    account: AccountId
    instrument: InstrumentId = InstrumentId(0)


class GetOrderLists(Query, frozen=True, kw_only=True, tag=11):
    """An account's living lists, by number."""

    account: AccountId


class GetInstrument(Query, frozen=True, kw_only=True, tag=12):
    """An instrument's rules, prices and schedule.  Public: any key may ask."""

    instrument: InstrumentId


class GetTiers(Query, frozen=True, kw_only=True, tag=13):
    """The rates of every tier.  Public: any key may ask."""


class TryOrder(Query, frozen=True, kw_only=True, tag=14):
    """What would come of an order now; asked with a key that could place it."""

    command: PlaceOrder | PlaceOrderOnTerms | PlaceContractOrder


class GetPicture(Query, frozen=True, kw_only=True, tag=15):
    """All that is public about an instrument: every order that shows, or ``orders_max`` a side (zero: all).

    Public: any key may ask.
    """

    instrument: InstrumentId
    orders_max: int = 0


class GetContracts(Query, frozen=True, kw_only=True, tag=16):
    """Where every contract, index and insurance fund stands.  Public: any key may ask."""


AnyQuery = (
    GetKey
    | GetSession
    | GetBalances
    | GetOpenOrders
    | GetBook
    | GetMarkets
    | GetTotals
    | GetAccount
    | GetFees
    | GetOrders
    | GetOrderLists
    | GetInstrument
    | GetTiers
    | TryOrder
    | GetPicture
    | GetContracts
)
