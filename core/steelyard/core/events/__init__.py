"""Everything that can come out of the exchange, in past tense."""

from steelyard.core.events.accounts import (
    AccountFrozen,
    AccountOpened,
    AccountRulesSet,
    AccountTierSet,
    ApiKeyCreated,
    ApiKeyRevoked,
    FeeTierSet,
    GroupFounded,
    LegalHoldSet,
    OrderLimitSet,
    ReferrerSet,
    RequestSkipped,
    SelfTradeSet,
    SessionOpened,
    SubAccountOpened,
    VersionActivated,
)
from steelyard.core.events.base import (
    Event,
)
from steelyard.core.events.funds import (
    Deposited,
    FundsHeld,
    HoldReleased,
    ReferralPaid,
    Transferred,
    Withdrawn,
)
from steelyard.core.events.markets import (
    AssetListed,
    AuctionEnded,
    InstrumentListed,
    InstrumentRulesSet,
    InstrumentStateChanged,
    MarkSet,
    StateScheduled,
    TradingHalted,
)
from steelyard.core.events.orders import (
    CountdownArmed,
    CountdownFired,
    LotsTransferred,
    OrderAccepted,
    OrderAmended,
    OrderCancelled,
    OrderExpired,
    OrderFilled,
    OrderListAccepted,
    OrderReduced,
    OrderReplaced,
    OrderReplenished,
    OrderRested,
    OrdersSwept,
    OrderTermsSet,
    OrderTriggered,
    ReferralEarned,
    Traded,
    TradePrevented,
    TrailingActivated,
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
    | SubAccountOpened
    | AccountRulesSet
    | OrderLimitSet
    | SelfTradeSet
    | AccountFrozen
    | LegalHoldSet
    | FeeTierSet
    | AccountTierSet
    | ReferrerSet
    | Transferred
    | FundsHeld
    | HoldReleased
    | ReferralPaid
    | InstrumentRulesSet
    | MarkSet
    | StateScheduled
    | TradingHalted
    | AuctionEnded
    | OrderTermsSet
    | OrderTriggered
    | TrailingActivated
    | OrderReplenished
    | TradePrevented
    | LotsTransferred
    | OrderReduced
    | OrderReplaced
    | OrderAmended
    | OrderListAccepted
    | CountdownArmed
    | CountdownFired
    | OrdersSwept
    | ReferralEarned
)

__all__ = [
    "AccountFrozen",
    "AccountOpened",
    "AccountRulesSet",
    "AccountTierSet",
    "AnyEvent",
    "ApiKeyCreated",
    "ApiKeyRevoked",
    "AssetListed",
    "AuctionEnded",
    "CountdownArmed",
    "CountdownFired",
    "Deposited",
    "Event",
    "FeeTierSet",
    "FundsHeld",
    "GroupFounded",
    "HoldReleased",
    "InstrumentListed",
    "InstrumentRulesSet",
    "InstrumentStateChanged",
    "LegalHoldSet",
    "LotsTransferred",
    "MarkSet",
    "OrderAccepted",
    "OrderAmended",
    "OrderCancelled",
    "OrderExpired",
    "OrderFilled",
    "OrderLimitSet",
    "OrderListAccepted",
    "OrderReduced",
    "OrderReplaced",
    "OrderReplenished",
    "OrderRested",
    "OrderTermsSet",
    "OrderTriggered",
    "OrdersSwept",
    "ReferralEarned",
    "ReferralPaid",
    "ReferrerSet",
    "RequestSkipped",
    "SelfTradeSet",
    "SessionOpened",
    "StateScheduled",
    "SubAccountOpened",
    "TradePrevented",
    "Traded",
    "TradingHalted",
    "TrailingActivated",
    "Transferred",
    "VersionActivated",
    "Withdrawn",
]
