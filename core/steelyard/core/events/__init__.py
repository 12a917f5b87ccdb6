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
from steelyard.core.events.contracts import (
    AdlRow,
    AdlSettled,
    BucketAdjusted,
    ContractListed,
    ContractModesSet,
    ContractRulesSet,
    ContractSettled,
    DebtRepaid,
    DebtTaken,
    FundingPaid,
    FundingSet,
    FundingSwept,
    IndexListed,
    IndexSet,
    IndexStale,
    InsuranceFunded,
    KillSwitchSet,
    LeverageSet,
    LiquidationEnded,
    LiquidationPaid,
    LiquidationStarted,
    LiquidationStepped,
    LossShared,
    MarginMoved,
    OrderContractSet,
    PositionSettled,
    PositionsTraded,
    PremiumSampled,
    RiskLevelChanged,
    WithdrawalGateSet,
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
    | IndexListed
    | ContractListed
    | ContractRulesSet
    | IndexSet
    | IndexStale
    | PremiumSampled
    | FundingSet
    | FundingPaid
    | FundingSwept
    | LeverageSet
    | ContractModesSet
    | MarginMoved
    | BucketAdjusted
    | OrderContractSet
    | PositionsTraded
    | RiskLevelChanged
    | LiquidationStarted
    | LiquidationStepped
    | LiquidationPaid
    | AdlSettled
    | DebtTaken
    | DebtRepaid
    | LossShared
    | LiquidationEnded
    | WithdrawalGateSet
    | KillSwitchSet
    | InsuranceFunded
    | PositionSettled
    | ContractSettled
)

__all__ = [
    "AccountFrozen",
    "AccountOpened",
    "AccountRulesSet",
    "AccountTierSet",
    "AdlRow",
    "AdlSettled",
    "AnyEvent",
    "ApiKeyCreated",
    "ApiKeyRevoked",
    "AssetListed",
    "AuctionEnded",
    "BucketAdjusted",
    "ContractListed",
    "ContractModesSet",
    "ContractRulesSet",
    "ContractSettled",
    "CountdownArmed",
    "CountdownFired",
    "DebtRepaid",
    "DebtTaken",
    "Deposited",
    "Event",
    "FeeTierSet",
    "FundingPaid",
    "FundingSet",
    "FundingSwept",
    "FundsHeld",
    "GroupFounded",
    "HoldReleased",
    "IndexListed",
    "IndexSet",
    "IndexStale",
    "InstrumentListed",
    "InstrumentRulesSet",
    "InstrumentStateChanged",
    "InsuranceFunded",
    "KillSwitchSet",
    "LegalHoldSet",
    "LeverageSet",
    "LiquidationEnded",
    "LiquidationPaid",
    "LiquidationStarted",
    "LiquidationStepped",
    "LossShared",
    "LotsTransferred",
    "MarginMoved",
    "MarkSet",
    "OrderAccepted",
    "OrderAmended",
    "OrderCancelled",
    "OrderContractSet",
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
    "PositionSettled",
    "PositionsTraded",
    "PremiumSampled",
    "ReferralEarned",
    "ReferralPaid",
    "ReferrerSet",
    "RequestSkipped",
    "RiskLevelChanged",
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
    "WithdrawalGateSet",
    "Withdrawn",
]
