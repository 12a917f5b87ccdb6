"""Everything that can come out of the exchange, in past tense."""

from steelyard.core.events.accounts import (
    AccountOpened,
    ApiKeyCreated,
    ApiKeyRevoked,
    GroupFounded,
    RequestSkipped,
    SessionOpened,
    VersionActivated,
)
from steelyard.core.events.base import Event
from steelyard.core.events.funds import Deposited, Withdrawn
from steelyard.core.events.markets import AssetListed, InstrumentListed, InstrumentStateChanged
from steelyard.core.events.orders import (
    OrderAccepted,
    OrderCancelled,
    OrderExpired,
    OrderFilled,
    OrderRested,
    Traded,
)

AnyEvent = (
    GroupFounded
    | ApiKeyCreated
    | ApiKeyRevoked
    | AccountOpened
    | SessionOpened
    | RequestSkipped
    | VersionActivated
    | AssetListed
    | InstrumentListed
    | InstrumentStateChanged
    | Deposited
    | Withdrawn
    | OrderAccepted
    | Traded
    | OrderFilled
    | OrderRested
    | OrderCancelled
    | OrderExpired
)

__all__ = [
    "AccountOpened",
    "AnyEvent",
    "ApiKeyCreated",
    "ApiKeyRevoked",
    "AssetListed",
    "Deposited",
    "Event",
    "GroupFounded",
    "InstrumentListed",
    "InstrumentStateChanged",
    "OrderAccepted",
    "OrderCancelled",
    "OrderExpired",
    "OrderFilled",
    "OrderRested",
    "RequestSkipped",
    "SessionOpened",
    "Traded",
    "VersionActivated",
    "Withdrawn",
]
