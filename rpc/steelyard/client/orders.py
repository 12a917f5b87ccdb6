"""Orders in decimals to orders in the exchange's integers."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final, Literal, TypedDict

from steelyard.client.commands import NO_TERMS, AmendOrder, CancelOrder, OrderTerms, PlaceOrder
from steelyard.client.errors import OrderRejected
from steelyard.client.model import Instrument
from steelyard.client.replies import Amended, Placed, Refused, Reply, Waiting
from steelyard.client.words import (
    OrderKind,
    PositionLeg,
    PriceSource,
    SelfTrade,
    Side,
    TimeInForce,
    TriggerKind,
)

PPM: Final = 1_000_000
#: In an amendment: let an order with a time stay until it is cancelled.
GOOD_TILL_CANCELLED: Final = -1
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)

#: What names an order: what ``place`` returned, or the client order id.
Named = Placed | Waiting | Amended | int


@dataclass(frozen=True, slots=True)
class Trigger:
    """What an order waits for; made by ``stop`` and ``take_profit``."""

    kind: TriggerKind
    at: Decimal | int | None = None
    at_ticks: int = 0
    source: PriceSource = PriceSource.LAST


def stop(
    at: Decimal | int | None = None, *, at_ticks: int = 0, source: PriceSource = PriceSource.LAST
) -> Trigger:
    """Return the trigger of a stop: a buy wakes at or above ``at``, a sell at or below.

    Without a price only for an order that trails from the start.
    """
    return Trigger(TriggerKind.STOP, at, at_ticks, source)


def take_profit(
    at: Decimal | int | None = None, *, at_ticks: int = 0, source: PriceSource = PriceSource.LAST
) -> Trigger:
    """Return the trigger of a take-profit: a buy wakes at or below ``at``, a sell at or above."""
    return Trigger(TriggerKind.TAKE_PROFIT, at, at_ticks, source)


class OrderWords(TypedDict, total=False):
    """How an order is described; all by keyword.

    * ``size`` (base units) or ``size_lots``, or for a market order ``budget`` (quote units, fee included) or
      ``budget_atoms``;
    * ``limit`` (quote units per base unit) or ``limit_ticks``, or ``market=True`` (a budget implies it);
    * ``time_in_force``: GTC for a limit order, IOC for a market order, unless told otherwise;
    * ``post_only``: True refuses what would trade, ``"slide"`` moves it behind the best opposite price;
    * ``trail`` (a fraction, ``Decimal("0.01")`` is one per cent) or ``trail_ppm``: the trigger follows it;
    * ``iceberg`` (base units) or ``iceberg_lots``: shown at a time;
    * ``good_till``: a time with its zone, or nanoseconds of log time;
    * ``self_trade``: in place of the account's or the instrument's default;
    * of contracts: ``leg`` (LONG or SHORT in hedge mode), ``reduce_only``, and ``close_position``, which with
      a trigger takes the place of the size: the whole position, at the market;
    * ``order``: the client order id, chosen by the session unless given; ``label``;
      ``not_after_ns``: refuse if log time is later.
    """

    size: Decimal | int | None
    size_lots: int | None
    budget: Decimal | int | None
    budget_atoms: int | None
    limit: Decimal | int | None
    limit_ticks: int | None
    market: bool
    time_in_force: TimeInForce | None
    post_only: bool | Literal["slide"]
    trail: Decimal | None
    trail_ppm: int | None
    iceberg: Decimal | int | None
    iceberg_lots: int | None
    good_till: datetime | int | None
    self_trade: SelfTrade | None
    leg: PositionLeg | None
    reduce_only: bool
    close_position: bool
    order: int | None
    label: str
    not_after_ns: int


def order(
    instrument: Instrument,
    side: Side,
    *,
    trigger: Trigger | None = None,
    size: Decimal | int | None = None,
    size_lots: int | None = None,
    budget: Decimal | int | None = None,
    budget_atoms: int | None = None,
    limit: Decimal | int | None = None,
    limit_ticks: int | None = None,
    market: bool = False,
    time_in_force: TimeInForce | None = None,
    post_only: bool | Literal["slide"] = False,
    trail: Decimal | None = None,
    trail_ppm: int | None = None,
    iceberg: Decimal | int | None = None,
    iceberg_lots: int | None = None,
    good_till: datetime | int | None = None,
    self_trade: SelfTrade | None = None,
    leg: PositionLeg | None = None,
    reduce_only: bool = False,
    close_position: bool = False,
    order: int | None = None,
    label: str = "",
    not_after_ns: int = 0,
) -> PlaceOrder:
    """Return an order in the exchange's integers, for ``submit``, a list or a batch; see ``OrderWords``.

    Raises:
        PriceOffStep: A price is no multiple of the tick.
        SizeOffStep: A size is no multiple of the lot, or the budget no whole number of atoms.
        TypeError: Something is given twice, not at all, or as a float.

    """
    by_budget = budget is not None or budget_atoms is not None
    sizes = (size, size_lots, budget, budget_atoms)
    if sum(each is not None for each in sizes) + close_position != 1:
        raise TypeError(
            "give the size once: size= or size_lots=, or budget= or budget_atoms=, or close_position=True"
        )
    if close_position and trigger is None:
        raise TypeError("close_position=True needs a trigger: trigger=stop(...) or trigger=take_profit(...)")
    market = market or by_budget or close_position
    if market:
        if limit is not None or limit_ticks is not None:
            raise TypeError("a market order has no limit")
    elif (limit is None) == (limit_ticks is None):
        raise TypeError("give the price once: limit= or limit_ticks=, or market=True")
    if (trail is not None or trail_ppm is not None) and trigger is None:
        raise TypeError("what trails needs a trigger: trigger=stop() or trigger=take_profit()")
    if size is not None:
        size_lots = instrument.lots(size)
    if limit is not None:
        limit_ticks = instrument.ticks(limit)
    if budget is not None:
        budget_atoms = instrument.quote.atoms(budget)
    terms = OrderTerms(
        expires_ns=0 if good_till is None else nanoseconds(good_till),
        slide=post_only == "slide",
        budget_atoms=_integer(budget_atoms or 0),
        trigger=0 if trigger is None else trigger.kind,
        trigger_source=PriceSource.LAST if trigger is None else trigger.source,
        trigger_ticks=0 if trigger is None else _trigger_ticks(instrument, trigger),
        callback_ppm=_trail_ppm(trail, trail_ppm),
        display_lots=_once(iceberg, iceberg_lots, instrument, "iceberg"),
        self_trade=self_trade or 0,
        leg=leg or 0,
        reduce_only=reduce_only,
        close_position=close_position,
    )
    default = TimeInForce.IOC if market else TimeInForce.GTC
    return PlaceOrder(
        instrument=instrument.instrument,
        side=Side(side),
        size_lots=0 if by_budget or close_position else _integer(size_lots),
        limit_ticks=0 if market else _integer(limit_ticks),
        order=0 if order is None else order,
        kind=OrderKind.MARKET if market else OrderKind.LIMIT,
        time_in_force=default if time_in_force is None else time_in_force,
        post_only=bool(post_only),
        label=label,
        not_after_ns=not_after_ns,
        terms=None if terms == NO_TERMS else terms,
    )


def cancel(named: Named | None = None, *, number: int = 0, label: str = "") -> CancelOrder:
    """Return the cancel of an order; see ``Trader.cancel``."""
    named_order, number = _name(named, number)
    return CancelOrder(order=named_order, number=number, label=label)


class AmendWords(TypedDict, total=False):
    """What of an order is to change, all by keyword; what is left out stays.

    ``size`` (or ``size_lots``) is the new total, what was executed included.  Decimals need ``instrument``.
    ``good_till`` of ``GOOD_TILL_CANCELLED`` lets a good-till-date order stay.
    """

    instrument: Instrument | None
    size: Decimal | int | None
    size_lots: int | None
    limit: Decimal | int | None
    limit_ticks: int | None
    trigger: Decimal | int | None
    trigger_ticks: int | None
    trail: Decimal | None
    trail_ppm: int | None
    iceberg: Decimal | int | None
    iceberg_lots: int | None
    good_till: datetime | int | None
    new_label: str | None
    not_after_ns: int


def amend(
    named: Named | None = None,
    *,
    number: int = 0,
    label: str = "",
    instrument: Instrument | None = None,
    size: Decimal | int | None = None,
    size_lots: int | None = None,
    limit: Decimal | int | None = None,
    limit_ticks: int | None = None,
    trigger: Decimal | int | None = None,
    trigger_ticks: int | None = None,
    trail: Decimal | None = None,
    trail_ppm: int | None = None,
    iceberg: Decimal | int | None = None,
    iceberg_lots: int | None = None,
    good_till: datetime | int | None = None,
    new_label: str | None = None,
    not_after_ns: int = 0,
) -> AmendOrder:
    """Return the change of a living order, named as for ``cancel``; see ``AmendWords``."""
    named_order, number = _name(named, number)
    return AmendOrder(
        order=named_order,
        number=number,
        label=label,
        size_lots=_once(size, size_lots, instrument, "size"),
        limit_ticks=_once_ticks(limit, limit_ticks, instrument, "limit"),
        trigger_ticks=_once_ticks(trigger, trigger_ticks, instrument, "trigger"),
        callback_ppm=_trail_ppm(trail, trail_ppm),
        display_lots=_once(iceberg, iceberg_lots, instrument, "iceberg"),
        expires_ns=0 if good_till is None else nanoseconds(good_till),
        new_label=new_label,
        not_after_ns=not_after_ns,
    )


def nanoseconds(moment: datetime | int) -> int:
    """Return a time as nanoseconds since 1970, exactly.

    Raises:
        TypeError: It is neither an integer nor a time with a zone.

    """
    if isinstance(moment, datetime):
        if moment.tzinfo is None:
            raise TypeError("a time needs its zone: datetime(..., tzinfo=UTC)")
        return (moment - _EPOCH) // _MICROSECOND * 1_000
    return _integer(moment)


def rejected(reply: Reply) -> OrderRejected:
    """Return the error for a reply that is not what was hoped for."""
    if isinstance(reply, Refused):
        return OrderRejected(reply.reason, reply.expected, reply.log_index)
    return OrderRejected(f"unexpected {type(reply).__name__}", 0, reply.log_index)


def _name(named: Named | None, number: int) -> tuple[int, int]:
    """Return client order id and number by which an order is named; one of them, or none, is zero."""
    if isinstance(named, Placed | Waiting | Amended):
        return 0, named.number
    return named or 0, number


def _trigger_ticks(instrument: Instrument, trigger: Trigger) -> int:
    if trigger.at is None:
        return trigger.at_ticks
    if trigger.at_ticks:
        raise TypeError("give the trigger once: at= or at_ticks=")
    return instrument.ticks(trigger.at)


def _trail_ppm(trail: Decimal | None, trail_ppm: int | None) -> int:
    if trail is None:
        return _integer(trail_ppm or 0)
    if trail_ppm is not None:
        raise TypeError("give the trail once: trail= or trail_ppm=")
    if not isinstance(trail, Decimal):
        raise TypeError(f"a trail is a Decimal, got {type(trail).__name__}")
    ppm = trail * PPM
    if ppm != int(ppm):
        raise ValueError(f"a trail has at most six decimals, got {trail}")
    return int(ppm)


def _once(size: Decimal | int | None, lots: int | None, instrument: Instrument | None, name: str) -> int:
    """Return a size in lots, given in one of two ways or (zero) not at all."""
    if size is None:
        return _integer(lots or 0)
    return _scale(lots, instrument, name, "lots").lots(size)


def _once_ticks(
    price: Decimal | int | None, ticks: int | None, instrument: Instrument | None, name: str
) -> int:
    """Return a price in ticks, given in one of two ways or (zero) not at all."""
    if price is None:
        return _integer(ticks or 0)
    return _scale(ticks, instrument, name, "ticks").ticks(price)


def _scale(steps: int | None, instrument: Instrument | None, name: str, unit: str) -> Instrument:
    if steps is not None:
        raise TypeError(f"give it once: {name}= or {name}_{unit}=")
    if instrument is None:
        raise TypeError(f"{name}= needs instrument=; {name}_{unit}= does not")
    return instrument


def _integer(number: object) -> int:
    if isinstance(number, bool) or not isinstance(number, int):
        raise TypeError(f"need an int, got {type(number).__name__}")
    return number
