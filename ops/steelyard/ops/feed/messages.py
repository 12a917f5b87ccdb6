"""Where a price stands in what a source says."""

from decimal import Decimal, InvalidOperation
from fnmatch import fnmatchcase
from typing import Any, Final

import msgspec

from steelyard.ops.feed.plan import SourcePlan

#: Digits as they are written: a price must not go through a binary fraction before it is counted in ticks.
_DECODER: Final = msgspec.json.Decoder(float_hook=Decimal)
_DIGITS_MAX: Final = 40


class NoPrice(Exception):
    """A message that should have a price has none; the text says why."""


def price_of(plan: SourcePlan, message: bytes | str) -> Decimal | None:
    """Return the price in a message, above zero, or None if it is one of those that are passed over.

    Raises:
        NoPrice: It is no JSON, or there is no number above zero where the price should be.

    """
    try:
        body = _DECODER.decode(message)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise NoPrice(f"not JSON: {error}") from error
    for place, wanted in plan.only.items():
        found = _at(body, place)
        if found is None or not fnmatchcase(str(found), wanted):
            return None
    places = (plan.price,) if isinstance(plan.price, str) else plan.price
    prices = [_number(_at(body, place), place) for place in places]
    return sum(prices, Decimal(0)) / len(prices)


def _at(body: Any, place: str) -> Any:  # noqa: ANN401 - whatever a source says
    """Return what stands at a place such as ``data.0.p``, or None."""
    for step in place.split("."):
        if isinstance(body, dict):
            body = body.get(step)
        elif isinstance(body, list) and step.isascii() and step.isdigit() and int(step) < len(body):
            body = body[int(step)]
        else:
            return None
    return body


def _number(found: Any, place: str) -> Decimal:  # noqa: ANN401 - whatever a source says
    if isinstance(found, str | int | Decimal) and not isinstance(found, bool):
        text = str(found)
        try:
            number = Decimal(text) if len(text) <= _DIGITS_MAX else Decimal("NaN")
        except InvalidOperation:
            number = Decimal("NaN")
        if number.is_finite() and number > 0:
            return number
    raise NoPrice(f"no number above zero at {place}: {str(found)[:40]}")
