"""Everything the exchange can be asked to do; imperatives, and facts in the log."""

from steelyard.core.commands.accounts import (
    ActivateVersion,
    CreateApiKey,
    FoundGroup,
    FoundGroupAt,
    OpenAccount,
    OpenSession,
    OpenSubAccount,
    RevokeApiKey,
    SetAccountRules,
    SetAccountTier,
    SetFeeTier,
    SetFrozen,
    SetLegalHold,
    SetOrderLimit,
    SetReferrer,
    SetSelfTrade,
    Skip,
)
from steelyard.core.commands.base import (
    Command,
)
from steelyard.core.commands.bundles import (
    Batch,
    Leg,
    PlaceOrderList,
    ReplaceOrder,
)
from steelyard.core.commands.contracts import (
    AdjustBucket,
    ContractRules,
    FundingTerms,
    FundInsurance,
    IndexQuote,
    LiquidationTerms,
    ListContract,
    ListIndex,
    MarginTerms,
    MarginTier,
    MoveMargin,
    PlaceContractOrder,
    SetContractModes,
    SetContractRules,
    SetIndexSources,
    SetKillSwitch,
    SetLeverage,
)
from steelyard.core.commands.funds import (
    Deposit,
    HoldFunds,
    PayReferral,
    ReleaseHold,
    Transfer,
    Withdraw,
)
from steelyard.core.commands.markets import (
    ListAsset,
    ListInstrument,
    ScheduleState,
    SetInstrumentRules,
    SetInstrumentState,
    SetMark,
    StartAuction,
)
from steelyard.core.commands.orders import (
    AmendOrder,
    ArmCountdown,
    CancelOrder,
    CancelOrders,
    PlaceOrder,
    PlaceOrderOnTerms,
)
from steelyard.core.commands.terms import (
    NO_TERMS,
    OrderTerms,
)

AnyCommand = (
    FoundGroup
    | CreateApiKey
    | RevokeApiKey
    | OpenAccount
    | OpenSession
    | Skip
    | ActivateVersion
    | ListAsset
    | ListInstrument
    | SetInstrumentState
    | Deposit
    | Withdraw
    | PlaceOrder
    | CancelOrder
    | FoundGroupAt
    | OpenSubAccount
    | SetAccountRules
    | SetOrderLimit
    | SetSelfTrade
    | SetFrozen
    | SetLegalHold
    | SetFeeTier
    | SetAccountTier
    | SetReferrer
    | Transfer
    | HoldFunds
    | ReleaseHold
    | PayReferral
    | SetInstrumentRules
    | SetMark
    | StartAuction
    | ScheduleState
    | PlaceOrderOnTerms
    | PlaceOrderList
    | AmendOrder
    | ReplaceOrder
    | Batch
    | CancelOrders
    | ArmCountdown
    | ListIndex
    | ListContract
    | SetContractRules
    | SetIndexSources
    | PlaceContractOrder
    | SetLeverage
    | SetContractModes
    | MoveMargin
    | AdjustBucket
    | SetKillSwitch
    | FundInsurance
)

__all__ = [
    "NO_TERMS",
    "ActivateVersion",
    "AdjustBucket",
    "AmendOrder",
    "AnyCommand",
    "ArmCountdown",
    "Batch",
    "CancelOrder",
    "CancelOrders",
    "Command",
    "ContractRules",
    "CreateApiKey",
    "Deposit",
    "FoundGroup",
    "FoundGroupAt",
    "FundInsurance",
    "FundingTerms",
    "HoldFunds",
    "IndexQuote",
    "Leg",
    "LiquidationTerms",
    "ListAsset",
    "ListContract",
    "ListIndex",
    "ListInstrument",
    "MarginTerms",
    "MarginTier",
    "MoveMargin",
    "OpenAccount",
    "OpenSession",
    "OpenSubAccount",
    "OrderTerms",
    "PayReferral",
    "PlaceContractOrder",
    "PlaceOrder",
    "PlaceOrderList",
    "PlaceOrderOnTerms",
    "ReleaseHold",
    "ReplaceOrder",
    "RevokeApiKey",
    "ScheduleState",
    "SetAccountRules",
    "SetAccountTier",
    "SetContractModes",
    "SetContractRules",
    "SetFeeTier",
    "SetFrozen",
    "SetIndexSources",
    "SetInstrumentRules",
    "SetInstrumentState",
    "SetKillSwitch",
    "SetLegalHold",
    "SetLeverage",
    "SetMark",
    "SetOrderLimit",
    "SetReferrer",
    "SetSelfTrade",
    "Skip",
    "StartAuction",
    "Transfer",
    "Withdraw",
]
