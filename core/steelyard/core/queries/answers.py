"""What the questions are answered with; a new field goes last and has a default."""

import msgspec

from steelyard.core.commands import ContractRules, IndexQuote, OrderTerms, SetInstrumentRules
from steelyard.core.entry import AnyReply
from steelyard.core.rejects import Reject
from steelyard.core.units import (
    AccountId,
    AssetId,
    ContractKind,
    HoldId,
    IndexId,
    InstrumentId,
    InstrumentState,
    KeyId,
    Leg,
    LiquidationId,
    ListKind,
    ListNumber,
    MarginMode,
    OrderId,
    OrderKind,
    OrderNumber,
    OrderState,
    RiskLevel,
    SelfTrade,
    SessionId,
    Side,
    TimeInForce,
)


class KeyInfo(msgspec.Struct, frozen=True, array_like=True, tag=1, gc=False):
    """A key's row in the state."""

    key: KeyId
    account: AccountId
    public_key: bytes
    permissions: int
    expires_ns: int
    revoked: bool


class SessionInfo(msgspec.Struct, frozen=True, array_like=True, tag=2, gc=False):
    """A session and the replies it still keeps, as (log index, reply), oldest first."""

    session: SessionId
    last_request: int
    wants_from: int
    replies: list[tuple[int, AnyReply]]


class BalanceInfo(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What an account has of one asset."""

    asset: AssetId
    free_atoms: int
    held_atoms: int


class Balances(msgspec.Struct, frozen=True, array_like=True, tag=3, gc=False):
    """An account's balances, by asset id."""

    balances: list[BalanceInfo]


class OrderInfo(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A resting order."""

    instrument: InstrumentId
    order: OrderId
    number: OrderNumber
    label: str
    side: Side
    price_ticks: int
    size_lots: int
    open_lots: int


class OpenOrders(msgspec.Struct, frozen=True, array_like=True, tag=4, gc=False):
    """An account's resting orders, by number."""

    orders: list[OrderInfo]


class Book(msgspec.Struct, frozen=True, array_like=True, tag=5, gc=False):
    """Both sides of a book as (ticks, lots, orders), best first."""

    bids: list[tuple[int, int, int]]
    asks: list[tuple[int, int, int]]


class AssetInfo(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A listed asset."""

    asset: AssetId
    symbol: str
    decimals: int


class ContractInfo(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What of a perpetual contract never changes; ``scale`` is ``k`` or ``S``."""

    kind: ContractKind
    index: IndexId
    settle: AssetId
    scale: int


class InstrumentInfo(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A listed instrument: scales, bounds, fees and state, as in ``ListInstrument``, and where it stands."""

    instrument: InstrumentId
    symbol: str
    base: AssetId
    quote: AssetId
    tick_mantissa: int
    tick_decimals: int
    lot_mantissa: int
    lot_decimals: int
    lot_atoms: int
    tick_lot_atoms: int
    price_max_ticks: int
    size_max_lots: int
    notional_min_atoms: int
    maker_ppm: int
    taker_ppm: int
    market_protection_ppm: int
    state: InstrumentState
    standing: "InstrumentStanding | None" = None
    contract: ContractInfo | None = None


class Markets(msgspec.Struct, frozen=True, array_like=True, tag=6, gc=False):
    """Everything listed, by id."""

    assets: list[AssetInfo]
    instruments: list[InstrumentInfo]


class AssetTotal(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Where all the atoms of one asset are; ``sum_atoms`` must be zero."""

    asset: AssetId
    customers_atoms: int
    omnibus_atoms: int
    fees_atoms: int
    rounding_atoms: int
    sum_atoms: int
    referral_atoms: int = 0
    clearing_atoms: int = 0
    funding_atoms: int = 0
    insurance_atoms: int = 0
    debt_atoms: int = 0


class Totals(msgspec.Struct, frozen=True, array_like=True, tag=7, gc=False):
    """The conservation of money, by asset id."""

    totals: list[AssetTotal]


class HoldInfo(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Funds that an operator has set aside."""

    hold: HoldId
    asset: AssetId
    amount_atoms: int
    legal: bool


class MarginInfo(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A margin wallet with its cross positions; in atoms of its asset.

    ``available_atoms`` is equity less what positions and orders use, ``withdrawable_atoms`` what may leave.
    ``ratio_ppm`` is maintenance margin by equity, ``liquidation`` zero unless the engine has it.
    """

    asset: AssetId
    wallet_atoms: int
    equity_atoms: int
    maintenance_atoms: int
    used_atoms: int
    available_atoms: int
    withdrawable_atoms: int
    level: RiskLevel
    ratio_ppm: int
    liquidation: LiquidationId


class PositionInfo(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A position; in ticks and lots of its contract, and atoms of the settle asset.

    The mean price of its lots is exactly ``entry_numerator / entry_denominator`` ticks, and rounded to one
    ``entry_ticks``; zero without lots.  ``pnl_atoms`` is what they would realise at the mark,
    ``unsettled_atoms`` the funding that is owed, ``initial_atoms`` the margin of the most lots that it may
    come to by its orders.  At ``liquidation_ticks`` its scope is safe and beyond it is not, zero: nowhere.
    ``level``, ``ratio_ppm`` and ``liquidation`` are those of its scope: the position, or the margin wallet.
    """

    instrument: InstrumentId
    leg: Leg
    margin: MarginMode
    hedge: bool
    leverage: int
    qty_lots: int
    cash_flow_atoms: int
    entry_numerator: int
    entry_denominator: int
    entry_ticks: int
    mark_ticks: int
    pnl_atoms: int
    unsettled_atoms: int
    maintenance_atoms: int
    initial_atoms: int
    bucket_atoms: int
    held_atoms: int
    liquidation_ticks: int
    open_buy_lots: int
    open_sell_lots: int
    level: RiskLevel
    ratio_ppm: int
    liquidation: LiquidationId


class AccountInfo(msgspec.Struct, frozen=True, array_like=True, tag=8, gc=False):
    """What applies to an account; ids, bounds and rates of zero mean none, as in the commands that set them.

    ``order_limits`` are (instrument, size_max_lots, notional_max_atoms), ``owed`` (asset, atoms),
    ``countdowns`` (instrument or zero, due_ns) and ``rates`` (instrument, maker_ppm, taker_ppm); each by id.
    ``sub_accounts`` are in the order of opening.  ``margins`` are by asset, ``positions`` (those with lots,
    orders or terms of their own) by contract and leg.
    """

    account: AccountId
    master: AccountId
    sub_accounts: list[AccountId]
    permissions: int
    trade_group: int
    self_trade: SelfTrade | None
    orders: int
    orders_max: int
    order_limits: list[tuple[InstrumentId, int, int]]
    frozen: bool
    legal_hold: bool
    holds: list[HoldInfo]
    tier: int
    referrer: AccountId
    share_ppm: int
    owed: list[tuple[AssetId, int]]
    countdowns: list[tuple[InstrumentId, int]]
    rates: list[tuple[InstrumentId, int, int]] = []
    margins: list[MarginInfo] = []
    positions: list[PositionInfo] = []


class Fees(msgspec.Struct, frozen=True, array_like=True, tag=9, gc=False):
    """What an account pays in an instrument, in parts per million; below zero is a rebate."""

    maker_ppm: int
    taker_ppm: int


class OrderDetail(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A living order with everything about it.

    ``open_lots`` is what may still trade, ``shown_lots`` what of it stands visibly in the book: nothing while
    it waits.  ``extreme_ticks`` is the best price that an active trailing order has seen, zero before.
    """

    instrument: InstrumentId
    order: OrderId
    number: OrderNumber
    label: str
    side: Side
    kind: OrderKind
    time_in_force: TimeInForce
    post_only: bool
    price_ticks: int
    size_lots: int
    open_lots: int
    shown_lots: int
    prevented_lots: int
    state: OrderState
    list_number: ListNumber
    cap_ppm: int
    extreme_ticks: int
    terms: OrderTerms
    leg: Leg = Leg.NET
    reduce_only: bool = False
    close_position: bool = False


class Orders(msgspec.Struct, frozen=True, array_like=True, tag=10, gc=False):
    """An account's living orders, by number."""

    orders: list[OrderDetail]


class OrderListInfo(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A living list and the numbers of its living orders, in the order of placing."""

    list_number: ListNumber
    instrument: InstrumentId
    kind: ListKind
    legs: list[OrderNumber]


class OrderLists(msgspec.Struct, frozen=True, array_like=True, tag=11, gc=False):
    """An account's living lists, by number."""

    lists: list[OrderListInfo]


class InstrumentStanding(msgspec.Struct, frozen=True, array_like=True, tag=12, gc=False):
    """Where an instrument stands: prices and times of zero, and rules of None, are none.

    It moves to ``next_state`` at ``next_ns``.  ``uncross_ticks`` is an auction's price while its trades are
    being made; ``anchor_ticks`` is that of the halt band's window, which began at ``anchor_ns``.
    """

    instrument: InstrumentId
    state: InstrumentState
    rules: SetInstrumentRules | None
    last_ticks: int
    mark_ticks: int
    next_state: InstrumentState | None
    next_ns: int
    uncross_ticks: int
    anchor_ticks: int
    anchor_ns: int


class TierInfo(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A tier's rates in an instrument, or in all that have none of their own (zero)."""

    tier: int
    instrument: InstrumentId
    maker_ppm: int
    taker_ppm: int


class Tiers(msgspec.Struct, frozen=True, array_like=True, tag=13, gc=False):
    """The rates of every tier, by tier and instrument."""

    tiers: list[TierInfo]


class Trial(msgspec.Struct, frozen=True, array_like=True, tag=14, gc=False):
    """What would come of an order; nothing was changed.

    ``refused`` says why it would be refused; then nothing else is said.  ``limit_ticks`` is the price that it
    would have, also if it slides or is a market order.  ``waits``: for its trigger.  Otherwise it would trade
    at once what is said here, in lots and quote atoms (of a contract: settle atoms), and ``open_lots`` would
    rest; ``expired`` says why what is left would not, None if nothing is left or it rests.

    Of a contract: ``margin_atoms`` is what the order takes of what is available while it stands in the book
    whole (isolated: its pledge); ``available_atoms`` of the margin wallet and ``liquidation_ticks`` of the
    position (zero: nowhere) are those afterwards, at the mark of now.
    """

    refused: Reject | None
    limit_ticks: int
    waits: bool
    executed_lots: int
    executed_atoms: int
    fee_atoms: int
    open_lots: int
    expired: Reject | None
    margin_atoms: int = 0
    available_atoms: int = 0
    liquidation_ticks: int = 0


class ContractStanding(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Where a contract stands; prices and times of zero are none.

    ``rate_ppb`` is the last interval's funding rate, ``predicted_ppb`` what the running one, which ends at
    ``funding_ns``, would end with now.  ``positions`` are those with lots, ``settle_ticks`` is the final
    price of a closed contract.  ``kill_switch``: new orders in it are off.
    """

    instrument: InstrumentId
    index: IndexId
    settle: AssetId
    rules: ContractRules
    mark_ticks: int
    index_ticks: int
    index_stale: bool
    rate_ppb: int
    predicted_ppb: int
    funding_ns: int
    cumulative_nanoatoms: int
    open_interest_lots: int
    positions: int
    settle_ticks: int
    kill_switch: bool


class IndexInfo(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """An index as it was listed, and what its sources said last."""

    index: IndexId
    symbol: str
    tick_mantissa: int
    tick_decimals: int
    stale_ns: int
    outlier_ppm: int
    price_ticks: int
    stale: bool
    quotes: list[IndexQuote]


class FundInfo(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """INSURANCE and BAD_DEBT of an asset, the fund's peak, and whether margin wallets are closed."""

    asset: AssetId
    insurance_atoms: int
    debt_atoms: int
    peak_atoms: int
    gate: bool


class Contracts(msgspec.Struct, frozen=True, array_like=True, tag=16, gc=False):
    """Where everything about contracts stands, by id; ``kill_switch``: all new orders are off.

    ``funds`` are those of the assets that contracts settle in, and those that have something.
    """

    time_ns: int
    contracts: list[ContractStanding]
    indices: list[IndexInfo]
    funds: list[FundInfo]
    kill_switch: bool


class Picture(msgspec.Struct, frozen=True, array_like=True, tag=15, gc=False):
    """What is public about an instrument after the last entry, which had this log time.

    Orders are (number, price_ticks, lots), best price first, then oldest; of an iceberg the slice that shows.
    ``contract`` is None for spot.
    """

    standing: InstrumentStanding
    time_ns: int
    bids: list[tuple[OrderNumber, int, int]]
    asks: list[tuple[OrderNumber, int, int]]
    contract: ContractStanding | None = None


AnyAnswer = (
    KeyInfo
    | SessionInfo
    | Balances
    | OpenOrders
    | Book
    | Markets
    | Totals
    | AccountInfo
    | Fees
    | Orders
    | OrderLists
    | InstrumentStanding
    | Tiers
    | Trial
    | Picture
    | Contracts
)
