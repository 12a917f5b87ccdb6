"""What can be asked of the state without changing it; every answer is stamped with the index it saw."""

from steelyard.core.accounts import ApiKey
from steelyard.core.queries import accounts, contracts, markets, trial
from steelyard.core.queries.answers import (
    AccountInfo,
    AnyAnswer,
    AssetInfo,
    AssetTotal,
    BalanceInfo,
    Balances,
    Book,
    ContractInfo,
    Contracts,
    ContractStanding,
    Fees,
    FundInfo,
    HoldInfo,
    IndexInfo,
    InstrumentInfo,
    InstrumentStanding,
    KeyInfo,
    MarginInfo,
    Markets,
    OpenOrders,
    OrderDetail,
    OrderInfo,
    OrderListInfo,
    OrderLists,
    Orders,
    Picture,
    PositionInfo,
    SessionInfo,
    TierInfo,
    Tiers,
    Totals,
    Trial,
)
from steelyard.core.queries.questions import (
    AnyQuery,
    GetAccount,
    GetBalances,
    GetBook,
    GetContracts,
    GetFees,
    GetInstrument,
    GetKey,
    GetMarkets,
    GetOpenOrders,
    GetOrderLists,
    GetOrders,
    GetPicture,
    GetSession,
    GetTiers,
    GetTotals,
    Query,
    TryOrder,
)
from steelyard.core.rejects import Reject
from steelyard.core.state import State
from steelyard.core.units import AccountId, KeyId, Permission

__all__ = [
    "AccountInfo",
    "AnyAnswer",
    "AnyQuery",
    "AssetInfo",
    "AssetTotal",
    "BalanceInfo",
    "Balances",
    "Book",
    "ContractInfo",
    "ContractStanding",
    "Contracts",
    "Fees",
    "FundInfo",
    "GetAccount",
    "GetBalances",
    "GetBook",
    "GetContracts",
    "GetFees",
    "GetInstrument",
    "GetKey",
    "GetMarkets",
    "GetOpenOrders",
    "GetOrderLists",
    "GetOrders",
    "GetPicture",
    "GetSession",
    "GetTiers",
    "GetTotals",
    "HoldInfo",
    "IndexInfo",
    "InstrumentInfo",
    "InstrumentStanding",
    "KeyInfo",
    "MarginInfo",
    "Markets",
    "OpenOrders",
    "OrderDetail",
    "OrderInfo",
    "OrderListInfo",
    "OrderLists",
    "Orders",
    "Picture",
    "PositionInfo",
    "Query",
    "SessionInfo",
    "TierInfo",
    "Tiers",
    "Totals",
    "Trial",
    "TryOrder",
    "answer",
]

_OfAccount = GetSession | GetBalances | GetOpenOrders | GetAccount | GetFees | GetOrders | GetOrderLists


def answer(state: State, key: KeyId, query: AnyQuery) -> AnyAnswer | Reject:
    """Answer a question asked with ``key``, or say why not.

    READ is enough for the key's own account, for a master's sub-accounts and for what is public; everything
    else needs OPERATE.  Whether a key's time has passed is judged by the state's last log time.
    """
    if isinstance(query, GetKey):
        return _key(state, query)
    asking = state.keys.get(key)
    if asking is None:
        return Reject.UNKNOWN_KEY
    if asking.is_over(state.time_ns):
        return Reject.KEY_EXPIRED
    match query:
        case GetBook():
            return markets.book(state, query)
        case GetMarkets():
            return markets.markets(state)
        case GetContracts():
            return contracts.contracts(state)
        case GetInstrument():
            return markets.standing(state, query)
        case GetPicture():
            return markets.picture(state, query)
        case TryOrder():
            return trial.try_order(state, asking, query.command)
        case GetTiers():
            return markets.tiers(state)
        case GetTotals():
            return markets.totals(state) if _operates(asking) else Reject.NOT_PERMITTED
        case _:
            return _of_account(state, asking, query)


def _of_account(state: State, asking: ApiKey, query: _OfAccount) -> AnyAnswer | Reject:
    if not _may_read(state, asking, query.account):
        return Reject.NOT_PERMITTED
    account = state.accounts.get(query.account)
    if account is None:
        return Reject.UNKNOWN_ACCOUNT
    match query:
        case GetSession():
            return accounts.session(state, account, query)
        case GetBalances():
            return accounts.balances(account)
        case GetOpenOrders():
            return accounts.open_orders(state, account, query)
        case GetAccount():
            return accounts.info(state, account)
        case GetFees():
            return accounts.fees(state, account, query)
        case GetOrders():
            return accounts.orders(state, account, query)
        case GetOrderLists():
            return accounts.order_lists(state, account)


def _operates(key: ApiKey) -> bool:
    return key.permissions & Permission.OPERATE != 0


def _may_read(state: State, key: ApiKey, account: AccountId) -> bool:
    """Return whether the key is an operator's, or one with READ of the account itself or of its master."""
    if _operates(key):
        return True
    rules = state.accounts[key.account].rules
    granted = key.permissions if rules is None else key.permissions & rules.permissions
    if not granted & Permission.READ:
        return False
    return key.account == account or (rules is not None and account in rules.sub_accounts)


def _key(state: State, query: GetKey) -> KeyInfo | Reject:
    key = state.keys.get(query.key)
    if key is None:
        return Reject.UNKNOWN_KEY
    return KeyInfo(key.key, key.account, key.public_key, key.permissions, key.expires_ns, key.revoked)
