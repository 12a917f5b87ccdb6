"""Between which prices an instrument lets orders rest and trade: collar, execution band, halt band."""

from typing import Final, NamedTuple

from steelyard.core.instruments.spec import Instrument
from steelyard.core.limits import INTEGER_MAX
from steelyard.core.rounding import mul_div_down, mul_div_up
from steelyard.core.units import PPM, Side


class Bounds(NamedTuple):
    """The lowest and the highest price that is allowed, both included."""

    lower_ticks: int
    upper_ticks: int

    def allow(self, price_ticks: int) -> bool:
        """Return whether the price lies within them."""
        return self.lower_ticks <= price_ticks <= self.upper_ticks


#: Whatever the price is, it is allowed.
NO_BOUNDS: Final = Bounds(0, INTEGER_MAX)


def reference_ticks(instrument: Instrument) -> int:
    """Return what an instrument's prices are measured by: the mark, else the last price, else zero."""
    return instrument.mark_ticks or instrument.last_ticks


def around(reference: int, down_ppm: int, up_ppm: int) -> Bounds:
    """Return the prices within ``reference * [down, up]``; a factor of zero is no bound.

    ::

        ceil(reference * down / 10**6) <= price <= floor(reference * up / 10**6)

    Without a reference (zero) every price is allowed.
    """
    if reference == 0:
        return NO_BOUNDS
    upper_ticks = INTEGER_MAX if up_ppm == 0 else mul_div_down(reference, up_ppm, PPM)
    return Bounds(mul_div_up(reference, down_ppm, PPM), upper_ticks)


def collar(instrument: Instrument, side: Side) -> Bounds:
    """Return where the limit of an order of that side must lie."""
    rules = instrument.rules
    if rules is None:
        return NO_BOUNDS
    if side == Side.BUY:
        return around(reference_ticks(instrument), rules.buy_down_ppm, rules.buy_up_ppm)
    return around(reference_ticks(instrument), rules.sell_down_ppm, rules.sell_up_ppm)


def execution_bounds(instrument: Instrument) -> Bounds:
    """Return where a taker may trade that begins now; what it would trade elsewhere expires."""
    rules = instrument.rules
    if rules is None:
        return NO_BOUNDS
    return around(reference_ticks(instrument), rules.execution_down_ppm, rules.execution_up_ppm)


def halt_window(instrument: Instrument, time_ns: int) -> tuple[int, int]:
    """Return (anchor_ticks, anchor_ns) of the window in which a taker phase at ``time_ns`` falls.

    The running one until ``halt_window_ns`` after its beginning (exclusive), then a new one, with the last
    price as its anchor; (0, 0) while there is no last price, or no halt.  The caller stores it.
    """
    rules = instrument.rules
    if rules is None or rules.halt_ppm == 0 or instrument.last_ticks == 0:
        return 0, 0
    if instrument.anchor_ticks != 0 and time_ns < instrument.anchor_ns + rules.halt_window_ns:
        return instrument.anchor_ticks, instrument.anchor_ns
    return instrument.last_ticks, time_ns


def halt_bounds(instrument: Instrument, anchor_ticks: int) -> Bounds:
    """Return where a taker may trade without halting the instrument, ``halt_ppm`` around the anchor."""
    rules = instrument.rules
    if rules is None or rules.halt_ppm == 0:
        return NO_BOUNDS
    return around(anchor_ticks, max(PPM - rules.halt_ppm, 0), PPM + rules.halt_ppm)


def protection_ticks(instrument: Instrument, side: Side, from_ticks: int) -> int:
    """Return the worst price at which a market order of that side may trade; zero if ``from_ticks`` is.

    ``from_ticks``, the best opposite price or a trigger, moved by ``market_protection_ppm`` against the
    taker, rounded towards it and kept within the instrument's prices.
    """
    if from_ticks == 0:
        return 0
    if side == Side.BUY:
        upper_ticks = mul_div_down(from_ticks, PPM + instrument.market_protection_ppm, PPM)
        return min(upper_ticks, instrument.price_max_ticks)
    return max(mul_div_up(from_ticks, PPM - instrument.market_protection_ppm, PPM), 1)
