"""Orders as they are written on a command line, alone or as the legs of lists and batches."""

import re
import shlex
import time
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Final, TypeVar

import click

from steelyard import client
from steelyard.client import Instrument, PositionLeg, PriceSource, SelfTrade, Side, TimeInForce, Trigger

#: What an order, a cancel or an amendment comes to once the instrument's steps are known.
Wish = Callable[[Instrument], client.Leg]

C = TypeVar("C", bound=Callable[..., Any])

NS_PER_S: Final = 1_000_000_000
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_RELATIVE: Final = re.compile(r"\+(\d+)([smhd])").fullmatch


class Number(click.ParamType[Decimal]):
    """An exact decimal number."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Decimal:  # noqa: ANN401 - as click has it
        """Return the number."""
        try:
            found = Decimal(str(value))
        except InvalidOperation:
            self.fail(f"{value!r} is not a number.", param, ctx)
        if not found.is_finite():
            self.fail(f"{value!r} is not a number.", param, ctx)
        return found


class Percent(Number):
    """A number with or without a per cent sign, as a fraction of one."""

    name = "percent"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Decimal:  # noqa: ANN401 - as click has it
        """Return the fraction."""
        if isinstance(value, Decimal):
            return value
        return super().convert(str(value).removesuffix("%"), param, ctx) / 100


class Moment(click.ParamType[int]):
    """A time: ISO 8601 with its zone, or from now on, such as +90s, +5m, +12h, +3d."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:  # noqa: ANN401 - as click has it
        """Return nanoseconds since 1970."""
        if isinstance(value, int):
            return value
        relative = _RELATIVE(value)
        if relative is not None:
            return time.time_ns() + int(relative[1]) * _SECONDS[relative[2]] * NS_PER_S
        try:
            return client.nanoseconds(datetime.fromisoformat(value))
        except (ValueError, TypeError):
            self.fail(f"{value!r} is no time: say 2026-01-31T12:00:00Z, or +90s, +5m, +12h, +3d.", param, ctx)


NUMBER: Final = Number()
PERCENT: Final = Percent()
MOMENT: Final = Moment()
MODES: Final = click.Choice([mode.name.lower().replace("_", "-") for mode in SelfTrade])


def mode_of(name: str | None) -> SelfTrade | None:
    """Return a mode of self-trade prevention by its name on the command line."""
    return None if name is None else SelfTrade[name.upper().replace("-", "_")]


LEGS: Final = click.Choice(["long", "short"])


def leg_of(name: str | None) -> PositionLeg | None:
    """Return which position of hedge mode is meant; None: the one of one-way mode."""
    return None if name is None else PositionLeg[name.upper()]


def order_options(command: C) -> C:
    """Add what can be said of an order."""
    for add in reversed(
        (
            click.argument("size", type=NUMBER, required=False),
            click.option("--budget", type=NUMBER, help="Instead of SIZE: so much of the quote asset."),
            click.option("--limit", type=NUMBER, help="At this price or better; without it at the market."),
            click.option("--ioc", "way", flag_value="IOC", help="What does not trade at once expires."),
            click.option("--fok", "way", flag_value="FOK", help="All at once, or nothing."),
            click.option("--post-only", is_flag=True, help="Refuse instead of taking."),
            click.option("--slide", is_flag=True, help="As post-only, but move behind the best price."),
            click.option("--stop", type=NUMBER, help="Wait until the price is there: above for a buy."),
            click.option("--take-profit", type=NUMBER, help="Wait until it is there: below for a buy."),
            click.option("--trail", type=PERCENT, help="The stop follows the price by so many per cent."),
            click.option("--mark", is_flag=True, help="Wait for the mark, not for the last price."),
            click.option("--index", is_flag=True, help="Wait for the index price of a contract."),
            click.option("--show", "iceberg", type=NUMBER, help="An iceberg shows so much at a time."),
            click.option("--good-till", type=MOMENT, help="Leave then: 2026-01-31T12:00:00Z, or +90s, +5m."),
            click.option("--self-trade", type=MODES, help="What to do about orders of one's own."),
            click.option("--leg", type=LEGS, help="Of a contract in hedge mode: which position."),
            click.option("--reduce-only", is_flag=True, help="Never enlarge or turn the position."),
            click.option(
                "--close", is_flag=True, help="Instead of SIZE, with a trigger: the whole position."
            ),
            click.option("--order", type=click.IntRange(1), help="Client order id; chosen unless given."),
            click.option("--label", default="", help="A name of one's own."),
        )
    ):
        command = add(command)
    return command


def order_wish(side: Side, given: dict[str, Any]) -> Wish:
    """Return the order that these options describe.

    Raises:
        click.UsageError: They do not go together.

    """
    if (given["size"] is not None) + (given["budget"] is not None) + given["close"] != 1:
        raise click.UsageError("say SIZE, or --budget, or --close")
    words = {
        name: given[name]
        for name in ("size", "budget", "limit", "trail", "iceberg", "good_till", "order", "label")
        if given[name] is not None
    }
    words["market"] = given["limit"] is None
    words["trigger"] = _trigger(given)
    words["leg"] = leg_of(given["leg"])
    words["reduce_only"], words["close_position"] = given["reduce_only"], given["close"]
    _check_close(given)
    words["self_trade"] = mode_of(given["self_trade"])
    words["post_only"] = "slide" if given["slide"] else given["post_only"]
    if given["way"] is not None:
        words["time_in_force"] = TimeInForce[given["way"]]
    return lambda instrument: client.order(instrument, side, **words)


def _check_close(given: dict[str, Any]) -> None:
    if not given["close"]:
        return
    if given["stop"] is None and given["take_profit"] is None and given["trail"] is None:
        raise click.UsageError("--close waits for a price: --stop, --take-profit or --trail")
    if given["limit"] is not None or given["reduce_only"]:
        raise click.UsageError("--close is at the market and reduces by itself: no --limit, no --reduce-only")


def _trigger(given: dict[str, Any]) -> Trigger | None:
    stop, take_profit = given["stop"], given["take_profit"]
    if stop is not None and take_profit is not None:
        raise click.UsageError("an order has one trigger: --stop or --take-profit")
    if given["mark"] and given["index"]:
        raise click.UsageError("an order waits for one price: --mark or --index")
    source = PriceSource.INDEX if given["index"] else PriceSource.LAST
    source = PriceSource.MARK if given["mark"] else source
    if take_profit is not None:
        return client.take_profit(take_profit, source=source)
    if stop is not None or given["trail"] is not None:
        return client.stop(stop, source=source)
    return None


def name_options(command: C) -> C:
    """Add the three ways to name an order."""
    for add in (
        click.option("--label", default="", help="By its label."),
        click.option("--order", type=click.IntRange(1), help="By its client order id."),
        click.argument("number", type=click.IntRange(1), required=False),
    ):
        command = add(command)
    return command


def name_of(given: dict[str, Any]) -> dict[str, Any]:
    """Return the one name that was given, as the SDK takes it.

    Raises:
        click.UsageError: There is none, or more than one.

    """
    if (given["number"] is not None) + (given["order"] is not None) + bool(given["label"]) != 1:
        raise click.UsageError("name the order once: NUMBER, --order or --label")
    return {"number": given["number"] or 0, "order": given["order"] or 0, "label": given["label"]}


def cancel_wish(given: dict[str, Any]) -> Wish:
    """Return the cancel that these options describe."""
    name = name_of(given)
    return lambda _: client.CancelOrder(**name)


def amend_options(command: C) -> C:
    """Add what can be changed of an order."""
    for add in reversed(
        (
            click.option("--size", type=NUMBER, help="The new total, what was executed included."),
            click.option("--limit", type=NUMBER, help="The new price."),
            click.option("--trigger", type=NUMBER, help="The new trigger."),
            click.option("--trail", type=PERCENT, help="The new distance, in per cent."),
            click.option("--show", "iceberg", type=NUMBER, help="The new size of a slice."),
            click.option("--good-till", type=MOMENT, help="The new time."),
            click.option("--good-till-cancelled", is_flag=True, help="No time any more."),
            click.option("--new-label", help="The new label."),
        )
    ):
        command = add(command)
    return command


def amend_wish(given: dict[str, Any]) -> Wish:
    """Return the amendment that these options describe."""
    name = name_of(given)
    words = {
        each: given[each]
        for each in ("size", "limit", "trigger", "trail", "iceberg", "good_till", "new_label")
    }
    if given["good_till_cancelled"]:
        words["good_till"] = client.GOOD_TILL_CANCELLED
    return lambda instrument: client.amend(
        name["order"] or None, number=name["number"], label=name["label"], instrument=instrument, **words
    )


def leg(text: str) -> Wish:
    """Return the leg that a text describes: ``buy 1 --limit 100``, ``cancel 17``, ``amend 17 --size 2``.

    Raises:
        click.UsageError: It describes none.

    """
    try:
        wish: Wish = _legs.main(args=shlex.split(text), prog_name=repr(text), standalone_mode=False)
    except ValueError as error:
        raise click.UsageError(f"{text!r}: {error}") from error
    return wish


@click.group("leg")
def _legs() -> None:
    """One leg."""


_Callback = Callable[..., Wish]


def _add_leg(
    name: str, options: Callable[[_Callback], _Callback], wish: Callable[[dict[str, Any]], Wish]
) -> None:
    def callback(**given: Any) -> Wish:  # noqa: ANN401 - options of a command
        return wish(given)

    _legs.command(name)(options(callback))


_add_leg("buy", order_options, lambda given: order_wish(Side.BUY, given))
_add_leg("sell", order_options, lambda given: order_wish(Side.SELL, given))
_add_leg("cancel", name_options, cancel_wish)
_add_leg("amend", lambda command: name_options(amend_options(command)), amend_wish)
