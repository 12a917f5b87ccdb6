"""What the slow exchange knows of perpetual contracts: rows of its tables, scales, schedules, positions."""

from copy import copy
from dataclasses import dataclass, field
from typing import Self

from steelyard.core import limits
from steelyard.core.commands import (
    AdjustBucket,
    AnyCommand,
    Batch,
    ContractRules,
    FundInsurance,
    IndexQuote,
    ListContract,
    ListIndex,
    MarginTier,
    MoveMargin,
    PlaceContractOrder,
    PlaceOrderList,
    PlaceOrderOnTerms,
    ReplaceOrder,
    SetContractModes,
    SetContractRules,
    SetIndexSources,
    SetKillSwitch,
    SetLeverage,
    Skip,
)
from steelyard.core.rejects import Reject
from steelyard.core.units import AccountId, AssetId, ContractKind, InstrumentId, Leg, PriceSource
from steelyard.simulation.twin_parts import MILLION, TOO_BIG, Row, ceil_div, refuse_if

BILLION = 10**9
MINUTE_NS = 60 * BILLION
EIGHT_HOURS_NS = 8 * 3600 * BILLION

#: The reasons that version 2 has a number for end here.
SECOND_REJECTS = Reject.VOLATILITY_HALT

#: What version 2 does not know.
SINCE_VERSION_3 = (
    AdjustBucket,
    FundInsurance,
    ListContract,
    ListIndex,
    MoveMargin,
    PlaceContractOrder,
    SetContractModes,
    SetContractRules,
    SetIndexSources,
    SetKillSwitch,
    SetLeverage,
)

#: (account, asset, instrument, leg): a margin wallet (instrument 0, leg NET), or an isolated position.
Scope = tuple[AccountId, AssetId, InstrumentId, Leg]


def speaks_of_contracts(command: AnyCommand) -> bool:
    """Tell whether the second version cannot read a command."""
    match command:
        case PlaceOrderList() | Batch():
            return any(speaks_of_contracts(leg) for leg in command.legs)
        case ReplaceOrder():
            return speaks_of_contracts(command.place)
        case Skip():
            return command.reason > SECOND_REJECTS
        case _ if isinstance(command, SINCE_VERSION_3):
            return True
        case PlaceOrderOnTerms():
            return command.terms.trigger_source == PriceSource.INDEX
        case _:
            return False


# ---- rows


@dataclass
class Index(Row):
    """An index price; zero before the first.  It becomes stale by time at ``stale_ns``; zero: it is."""

    spec: ListIndex
    price: int = 0
    stale: bool = True
    stale_ns: int = 0
    quotes: list[IndexQuote] = field(default_factory=list)


@dataclass
class Contract:
    """What a contract has beside its market.

    ``samples`` are those of the running funding interval, as (end of the minute, premium); ``bases`` all mids
    less the index that were ever sampled.  ``cumulative`` is what positions owe by, ``pending`` what waits
    for the end of a sweep, both in nanoatoms per lot.
    """

    spec: ListContract
    scale: int
    settle: AssetId
    rules: ContractRules
    clearing: int = 0
    funding: int = 0
    cumulative: int = 0
    pending: int = 0
    sweeping: bool = False
    rate: int = 0
    predicted: int = 0
    sampled_ns: int = 0
    sample_ns: int = 0
    funding_ns: int = 0
    settling: bool = False
    samples: list[tuple[int, int]] = field(default_factory=list)
    bases: list[int] = field(default_factory=list)

    def __deepcopy__(self, memo: dict[int, object]) -> Self:
        """Return a copy of the row, with lists of its own."""
        copied = copy(self)
        copied.samples, copied.bases = list(self.samples), list(self.bases)
        return copied

    @property
    def linear(self) -> bool:
        """Whether it is settled in the quote."""
        return self.spec.contract == ContractKind.LINEAR

    # ---- scales

    def notional(self, price: int, lots: int) -> int:
        """Return what lots cost at a price."""
        return price * lots * self.scale if self.linear else lots * self.scale // price

    def notional_up(self, price: int, lots: int) -> int:
        """Return what lots cost at a price, rounded up."""
        return price * lots * self.scale if self.linear else ceil_div(lots * self.scale, price)

    def value(self, lots: int, mark: int) -> int:
        """Return what signed lots are worth at the mark."""
        return lots * mark * self.scale if self.linear else -lots * self.scale // mark

    def flow(self, signed_lots: int, notional: int) -> int:
        """Return the cash flow of a fill of signed lots."""
        sign = 1 if signed_lots > 0 else -1
        return -sign * notional if self.linear else sign * notional

    # ---- schedules

    def tier(self, notional: int) -> MarginTier:
        """Return the tier of a notional."""
        return max(
            (tier for tier in self.rules.margin.tiers if tier.floor_atoms <= notional),
            key=lambda tier: tier.floor_atoms,
        )

    def margin(self, notional: int, lots: int, *, initial: bool) -> int:
        """Return the margin by the tiers or the slope: what is above each floor at that tier's rate."""
        terms = self.rules.margin
        rates = [tier.initial_ppm if initial else tier.maintenance_ppm for tier in terms.tiers]
        if lots == 0:
            return 0
        if terms.slope_ppb:
            return ceil_div(notional * (1000 * rates[0] + terms.slope_ppb * lots), BILLION)
        floors = [tier.floor_atoms for tier in terms.tiers]
        tops = [*floors[1:], max(notional, floors[-1])]
        parts = [
            (min(notional, top) - floor) * rate
            for floor, top, rate in zip(floors, tops, rates, strict=True)
            if notional > floor
        ]
        return ceil_div(sum(parts), MILLION)

    def crowd_ppm(self, open_interest_notional: int) -> int:
        """Return the initial rate that the open interest asks for; zero: none."""
        terms = self.rules.margin
        low, high = terms.open_interest_low_atoms, terms.open_interest_high_atoms
        if high == 0:
            return 0
        base = terms.tiers[0].initial_ppm
        above = max(0, open_interest_notional - low) * (MILLION - base)
        return min(MILLION, base + ceil_div(above, high - low))

    def initial_ppm(self, notional: int, lots: int) -> int:
        """Return the initial rate of a notional, that of a slope in whole ppm, rounded up."""
        terms = self.rules.margin
        if terms.slope_ppb:
            return ceil_div(1000 * terms.tiers[0].initial_ppm + terms.slope_ppb * lots, 1000)
        return self.tier(notional).initial_ppm

    def pledge_ppm(self, notional: int, lots: int) -> int:
        """Return the initial rate for pledges: by a slope, each lot makes those before it dearer, too."""
        return self.initial_ppm(notional, 2 * lots)


@dataclass
class Position(Row):
    """Signed lots and what they have cost; ``bucket`` stands behind isolated ones."""

    account: AccountId
    instrument: InstrumentId
    leg: Leg
    lots: int = 0
    cash: int = 0
    settled: int = 0
    bucket: int = 0
    leverage: int = 0


def filled(position: Position, signed_lots: int, flow: int) -> int:
    """Let a position take a fill; return what it realised."""
    before, cash = position.lots, position.cash
    position.lots += signed_lots
    if before == 0 or (before > 0) == (signed_lots > 0):
        position.cash += flow
        return 0
    closed = min(abs(signed_lots), abs(before))
    closing = flow
    if closed < abs(signed_lots):
        size = abs(flow) * closed // abs(signed_lots)
        closing = size if flow > 0 else -size
    share = cash if closed == abs(before) else cash * closed // abs(before)
    position.cash = cash - share + flow - closing
    return share + closing


@dataclass
class Liquidation(Row):
    """One run of the engine: what it has done so far, and what it saw last."""

    liquidation: int
    scope: Scope
    seen: int
    begun: bool = False
    parked: bool = False
    closed: bool = False
    funded: bool = False
    deleveraged: bool = False
    shared: bool = False
    last: int = 0


# ---- rules


def check_rules(rules: ContractRules) -> None:
    """Refuse rules whose numbers cannot be."""
    parts = (rules, rules.funding, rules.liquidation, rules.margin, *rules.margin.tiers)
    for part in parts:
        for name in part.__struct_fields__:
            number = getattr(part, name)
            if type(number) is not int:
                continue
            top = {"ppm": MILLION, "ppb": BILLION}.get(name.rsplit("_", 1)[-1], TOO_BIG - 1)
            refuse_if(not 0 <= number <= top, Reject.MALFORMED)
    refuse_if(not 1 <= len(rules.margin.tiers) <= limits.TIERS_MAX, Reject.MALFORMED)
    bounds = (1, rules.position_max_lots, rules.open_interest_max_lots)
    refuse_if(list(bounds) != sorted(bounds), Reject.MALFORMED)
    funding, engine = rules.funding, rules.liquidation
    whole = funding.interval_ns % MINUTE_NS == 0
    refuse_if(not whole or not MINUTE_NS <= funding.interval_ns <= 24 * 60 * MINUTE_NS, Reject.MALFORMED)
    refuse_if(funding.tails_ppm >= MILLION // 2, Reject.MALFORMED)
    rising = [engine.hysteresis_ppm, engine.warning_ppm, engine.danger_ppm, engine.critical_ppm]
    refuse_if(rising != sorted(set(rising)), Reject.MALFORMED)
    refuse_if(engine.adl_share_ppm == 0, Reject.MALFORMED)


def check_schedule(rules: ContractRules) -> None:
    """Refuse tiers that make no schedule, and a penalty that they cannot bear."""
    terms, tiers = rules.margin, rules.margin.tiers
    floors = [tier.floor_atoms for tier in tiers]
    refuse_if(floors[0] != 0 or floors != sorted(set(floors)), Reject.MARGIN_OUT_OF_RANGE)
    for rates in ([t.maintenance_ppm for t in tiers], [t.initial_ppm for t in tiers]):
        refuse_if(rates[0] < 1 or rates != sorted(rates), Reject.MARGIN_OUT_OF_RANGE)
    refuse_if(any(t.initial_ppm <= t.maintenance_ppm for t in tiers), Reject.MARGIN_OUT_OF_RANGE)
    refuse_if(terms.slope_ppb > 0 and len(tiers) > 1, Reject.MARGIN_OUT_OF_RANGE)
    low, high = terms.open_interest_low_atoms, terms.open_interest_high_atoms
    refuse_if((low, high) != (0, 0) and low >= high, Reject.MARGIN_OUT_OF_RANGE)
    refuse_if(rules.liquidation.penalty_ppm >= tiers[0].maintenance_ppm, Reject.MARGIN_OUT_OF_RANGE)


def check_bounds(spec: ListContract, scale: int, rules: ContractRules) -> None:
    """Refuse bounds whose largest notional would not fit the ledger."""
    refuse_if(spec.price_max_ticks >= TOO_BIG, Reject.BOUNDS_TOO_WIDE)
    price = spec.price_max_ticks if spec.contract == ContractKind.LINEAR else 1
    most = price * rules.open_interest_max_lots * scale
    refuse_if(most > 10**18 or spec.size_max_lots > rules.open_interest_max_lots, Reject.BOUNDS_TOO_WIDE)
    refuse_if(price * scale * rules.funding.cap_ppb > 2**61, Reject.BOUNDS_TOO_WIDE)


def weighted_index(quotes: list[IndexQuote], stale_ns: int, outlier_ppm: int, now_ns: int) -> tuple[int, int]:
    """Return the index that quotes make, and when it becomes stale; zeros: nobody counts.

    A quote counts if it is young, not from the future, and has weight.
    """
    counting = [q for q in quotes if now_ns < q.time_ns + stale_ns and q.time_ns <= now_ns + BILLION]
    counting = [q for q in counting if q.weight > 0]
    if not counting:
        return 0, 0
    until_ns = max(q.time_ns for q in counting) + stale_ns
    middle = median([q.price_ticks for q in counting])
    far = [q for q in counting if abs(q.price_ticks - middle) * MILLION > outlier_ppm * middle]
    if len(far) > 1:
        return middle, until_ns
    near = [q for q in counting if q not in far]
    return sum(q.price_ticks * q.weight for q in near) // sum(q.weight for q in near), until_ns


def median(numbers: list[int]) -> int:
    """Return the middle of numbers, of two the floored mean."""
    low, high = sorted(numbers)[(len(numbers) - 1) // 2], sorted(numbers)[len(numbers) // 2]
    return (low + high) // 2


def clamp(number: int, low: int, high: int) -> int:
    """Return the nearest number within bounds."""
    return max(low, min(number, high))


def truncated(numerator: int, denominator: int) -> int:
    """Divide towards zero; the denominator above zero."""
    return numerator // denominator if numerator >= 0 else -(-numerator // denominator)
