"""What a trader looks at: assets, instruments, balances, orders, accounts, books and nodes."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TypeVar

from steelyard.client.commands import OrderTerms
from steelyard.client.errors import PriceOffStep, SizeOffStep, SteelyardError
from steelyard.client.words import (
    ContractKind,
    InstrumentState,
    MarginMode,
    OrderKind,
    OrderState,
    PositionLeg,
    RiskLevel,
    SelfTrade,
    Side,
)

R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Asset:
    """A listed asset; one unit is ``10**decimals`` atoms."""

    asset: int
    symbol: str
    decimals: int

    def amount(self, atoms: int) -> Decimal:
        """Return so many atoms as a decimal number of units, exactly."""
        return Decimal(atoms).scaleb(-self.decimals)

    def atoms(self, amount: Decimal | int) -> int:
        """Return a decimal number of units in atoms.

        Raises:
            SizeOffStep: It is no whole number of atoms.

        """
        return _steps(amount, 1, self.decimals, f"{self.symbol} has {self.decimals} decimals", SizeOffStep)


@dataclass(frozen=True, slots=True)
class Contract:
    """What a perpetual contract has beside its instrument.

    ``scale`` is atoms of ``settle`` per tick and lot (LINEAR), or what a lot is worth at one tick (INVERSE).
    """

    kind: ContractKind
    index: int
    settle: Asset
    scale: int


@dataclass(frozen=True, slots=True)
class Instrument:
    """A listed instrument, with its scales, bounds and fees; ``contract`` is None for spot."""

    instrument: int
    symbol: str
    base: Asset
    quote: Asset
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
    last_ticks: int = 0
    """The last trade's price when this was read; zero: none."""
    mark_ticks: int = 0
    """The mark when this was read; zero: none."""
    next_state: InstrumentState | None = None
    """Where it will move, at log time ``next_ns``."""
    next_ns: int = 0
    contract: Contract | None = None

    @property
    def settle(self) -> Asset:
        """The asset of notionals and fees: of a contract the one it settles in, else the quote."""
        return self.quote if self.contract is None else self.contract.settle

    @property
    def tick(self) -> Decimal:
        """The price step, in quote units per base unit."""
        return Decimal(self.tick_mantissa).scaleb(-self.tick_decimals)

    @property
    def lot(self) -> Decimal:
        """The size step, in base units; of an INVERSE contract in quote units."""
        return Decimal(self.lot_mantissa).scaleb(-self.lot_decimals)

    def ticks(self, limit: Decimal | int) -> int:
        """Return a price in ticks.

        Raises:
            PriceOffStep: It is no multiple of the tick.
            TypeError: It is a float, or no number.

        """
        reason = f"{self.symbol} moves in ticks of {self.tick}"
        return _steps(limit, self.tick_mantissa, self.tick_decimals, reason, PriceOffStep)

    def lots(self, size: Decimal | int) -> int:
        """Return a size in lots.

        Raises:
            SizeOffStep: It is no multiple of the lot.
            TypeError: It is a float, or no number.

        """
        reason = f"{self.symbol} trades in lots of {self.lot}"
        return _steps(size, self.lot_mantissa, self.lot_decimals, reason, SizeOffStep)

    def price(self, ticks: int) -> Decimal:
        """Return so many ticks as a price."""
        return Decimal(ticks * self.tick_mantissa).scaleb(-self.tick_decimals)

    def size(self, lots: int) -> Decimal:
        """Return so many lots as a size."""
        return Decimal(lots * self.lot_mantissa).scaleb(-self.lot_decimals)


@dataclass(frozen=True, slots=True)
class Balance:
    """What an account has of one asset."""

    asset: Asset
    free_atoms: int
    held_atoms: int

    @property
    def free(self) -> Decimal:
        """What may be spent, in units."""
        return self.asset.amount(self.free_atoms)

    @property
    def held(self) -> Decimal:
        """What is pledged to open orders, in units."""
        return self.asset.amount(self.held_atoms)


@dataclass(frozen=True, slots=True)
class RestingOrder:
    """A living order: in the book, or waiting for its trigger or its list.

    ``shown_lots`` is what of it stands visibly in the book; ``terms`` is None for a common order.
    """

    instrument: int
    order: int
    number: int
    label: str
    side: Side
    price_ticks: int
    size_lots: int
    open_lots: int
    state: OrderState = OrderState.WORKING
    terms: OrderTerms | None = None
    list_number: int = 0
    prevented_lots: int = 0
    shown_lots: int = 0
    kind: OrderKind = OrderKind.LIMIT
    post_only: bool = False


@dataclass(frozen=True, slots=True)
class Hold:
    """Funds that an operator has set aside."""

    hold: int
    asset: int
    amount_atoms: int
    legal: bool


@dataclass(frozen=True, slots=True)
class OrderLimit:
    """A bound of an account's single orders in an instrument; zero: none."""

    instrument: int
    size_max_lots: int
    notional_max_atoms: int


@dataclass(frozen=True, slots=True)
class FeeRate:
    """What an account pays in an instrument, in parts per million; below zero: a rebate."""

    instrument: int
    maker_ppm: int
    taker_ppm: int


@dataclass(frozen=True, slots=True)
class AccountInfo:
    """Everything about an account but its free funds and orders, as of ``log_index``; zero means none.

    ``owed`` is what it earned as a referrer and was not paid yet, by asset; ``countdowns`` are the log times
    at which armed countdowns fire, by instrument (zero: all).
    """

    log_index: int
    account: int
    master: int
    sub_accounts: list[int]
    permissions: int
    trade_group: int
    self_trade: SelfTrade | None
    orders_max: int
    frozen: bool
    legal_hold: bool
    tier: int
    referrer: int
    share_ppm: int
    holds: list[Hold]
    owed: dict[int, int]
    order_limits: list[OrderLimit]
    rates: list[FeeRate]
    countdowns: dict[int, int]
    margins: list["Margin"] = field(default_factory=list)
    positions: list["Position"] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Margin:
    """A margin wallet of an asset, with the cross positions that lean on it, in atoms.

    ``available_atoms`` is equity less what positions and open orders use; ``ratio_ppm`` maintenance margin by
    equity, 10**9 without equity.  ``liquidation`` zero: the engine has not taken it.
    """

    asset: int
    wallet_atoms: int
    equity_atoms: int
    maintenance_atoms: int
    used_atoms: int
    available_atoms: int
    withdrawable_atoms: int
    level: RiskLevel
    ratio_ppm: int
    liquidation: int


@dataclass(frozen=True, slots=True)
class Position:
    """A position in a contract; amounts are atoms of the settle asset, ``qty_lots`` below zero is short.

    The mean price is exactly ``entry_numerator / entry_denominator`` ticks, and ``entry_ticks`` rounded to
    one; zero without lots.  ``unsettled_atoms`` is funding owed and not yet paid, below zero: due to it.
    ``bucket_atoms`` and ``held_atoms`` stand behind the lots and the open orders of an isolated position.
    ``liquidation_ticks`` is the last mark at which it would not be liquidated, all else as it is; zero:
    there is none.  ``level``, ``ratio_ppm`` and ``liquidation`` are its own if isolated, else its wallet's.
    """

    instrument: int
    leg: PositionLeg
    margin: MarginMode
    hedge: bool
    leverage: int
    qty_lots: int
    cash_flow_atoms: int
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
    liquidation: int
    entry_numerator: int
    entry_denominator: int


@dataclass(frozen=True, slots=True)
class Trial:
    """What an order would come to, as of ``log_index``; nothing was changed.

    ``refused`` is the reason why it would be refused, ``expires`` why its rest would expire; or empty.

    Of a contract: ``margin_atoms`` is what it takes of what is available while it stands in the book whole
    (isolated: its pledge), ``available_atoms`` what the wallet has left afterwards, ``liquidation_ticks``
    the last mark at which the position would not be liquidated then; zero: there is none.
    """

    log_index: int
    refused: str
    executed_lots: int
    executed_atoms: int
    fee_atoms: int
    open_lots: int
    waits: bool
    expires: str
    margin_atoms: int = 0
    available_atoms: int = 0
    liquidation_ticks: int = 0


class Rows(list[R]):
    """The rows of an answer, and the state that they are of: all that was applied up to ``log_index``."""

    def __init__(self, log_index: int, rows: Iterable[R] = ()) -> None:
        super().__init__(rows)
        self.log_index = log_index


@dataclass(frozen=True, slots=True)
class Book:
    """The best levels of a book as (ticks, lots), best first, as of ``log_index``."""

    log_index: int
    bids: list[tuple[int, int]]
    asks: list[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class AssetTotal:
    """Where the atoms of one asset are; ``sum_atoms`` must be zero."""

    asset: int
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


@dataclass(frozen=True, slots=True)
class NodeStatus:
    """What a node says it is; not ``reachable``, and the rest empty, if nobody answered at ``target``."""

    target: str
    reachable: bool
    log_index: int = 0
    group: str = ""
    member: int = 0
    role: str = "unreachable"
    ready: bool = False
    term: int = 0
    leader: int = 0
    leader_endpoint: str = ""
    last_index: int = 0
    commit_index: int = 0
    log_time_ns: int = 0
    digest_index: int = 0
    digest: bytes = b""
    snapshot_index: int = 0
    log_first_index: int = 0
    log_used_ppm: int = 0
    commands_applied: int = 0
    sync_mode: str = ""
    replica_pid: int = 0
    gateway_pid: int = 0
    version: str = ""

    @property
    def leads(self) -> bool:
        """Whether it is a leader that can decide now."""
        return self.role == "leader" and self.ready


def _steps(
    number: Decimal | int, mantissa: int, decimals: int, reason: str, error: type[SteelyardError]
) -> int:
    """Return ``number / (mantissa / 10**decimals)``, which must be a whole number."""
    if isinstance(number, bool) or not isinstance(number, Decimal | int):
        raise TypeError(f"need a Decimal or an int, got {type(number).__name__}: floats are not exact")
    if isinstance(number, Decimal) and not number.is_finite():
        raise error(f"{number} is not a number; {reason}")
    numerator, denominator = number.as_integer_ratio()
    scale: int = 10**decimals
    steps, rest = divmod(numerator * scale, denominator * mantissa)
    if rest:
        raise error(f"{number} is off step; {reason}")
    return steps
