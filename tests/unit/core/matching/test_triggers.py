"""Finding who a price wakes: in the order of the rules, and exactly those that a look at everybody finds."""

from hypothesis import given
from hypothesis import strategies as st

from steelyard.core.commands import OrderTerms
from steelyard.core.ledger import Balance
from steelyard.core.matching import Order, Special, Trail, Triggers, is_met, trailing_ticks
from steelyard.core.units import (
    FIRST_CUSTOMER,
    PPM,
    InstrumentId,
    OrderId,
    OrderNumber,
    PriceSource,
    Side,
    TriggerKind,
)

BUY, SELL = Side.BUY, Side.SELL
STOP, TAKE_PROFIT = TriggerKind.STOP, TriggerKind.TAKE_PROFIT
LAST, MARK = PriceSource.LAST, PriceSource.MARK


def waiting(
    number: int,
    side: Side = BUY,
    kind: TriggerKind = STOP,
    trigger_ticks: int = 0,
    callback_ppm: int = 0,
    source: PriceSource = LAST,
    extreme_ticks: int = 0,
) -> Order:
    """Return an order that waits for its trigger, not yet in any index."""
    pledge, proceeds = Balance(), Balance()
    order = Order(
        FIRST_CUSTOMER,
        InstrumentId(1),
        OrderId(number),
        OrderNumber(number),
        "",
        side,
        1,
        1,
        1,
        1,
        pledge,
        proceeds,
    )
    order.special = Special(
        OrderTerms(
            trigger=kind, trigger_source=source, trigger_ticks=trigger_ticks, callback_ppm=callback_ppm
        )
    )
    order.special.extreme_ticks = extreme_ticks
    return order


def index(*orders: Order) -> Triggers:
    triggers = Triggers()
    for order in orders:
        triggers.add(order)
    triggers.check_invariants()
    return triggers


def numbers(orders: list[Order]) -> list[int]:
    return [order.number for order in orders]


def extreme_ticks(order: Order) -> int:
    assert order.special is not None
    return order.special.extreme_ticks


def trail_of(order: Order) -> Trail:
    assert order.special is not None
    assert order.special.trail is not None
    return order.special.trail.end()


def test_a_stop_buy_wakes_at_its_trigger_and_not_a_tick_below() -> None:
    triggers = index(waiting(1, BUY, STOP, 100))

    assert triggers.met(LAST, 99) == []
    assert numbers(triggers.met(LAST, 100)) == [1]


def test_a_stop_sell_wakes_at_its_trigger_and_not_a_tick_above() -> None:
    triggers = index(waiting(1, SELL, STOP, 100))

    assert triggers.met(LAST, 101) == []
    assert numbers(triggers.met(LAST, 100)) == [1]


def test_a_take_profit_waits_for_the_other_direction_than_a_stop() -> None:
    assert is_met(TAKE_PROFIT, SELL, 100, 100)
    assert not is_met(TAKE_PROFIT, SELL, 100, 99)
    assert is_met(TAKE_PROFIT, BUY, 100, 100)
    assert not is_met(TAKE_PROFIT, BUY, 100, 101)


def test_an_order_looks_at_its_own_source_only() -> None:
    triggers = index(waiting(1, BUY, STOP, 100, source=MARK))

    assert triggers.met(LAST, 200) == []
    assert numbers(triggers.met(MARK, 200)) == [1]


def test_rising_ones_come_first_by_trigger_then_falling_ones_down_then_by_number() -> None:
    triggers = index(
        waiting(1, BUY, STOP, 90),
        waiting(2, BUY, STOP, 80),
        waiting(3, SELL, TAKE_PROFIT, 80),
        waiting(4, SELL, STOP, 120),
        waiting(5, SELL, STOP, 130),
        waiting(6, BUY, TAKE_PROFIT, 130),
    )

    assert numbers(triggers.met(LAST, 100)) == [2, 3, 1, 5, 6, 4]


def test_a_trailing_sell_triggers_ten_per_cent_below_its_high() -> None:
    order = waiting(1, SELL, STOP, callback_ppm=100_000, extreme_ticks=40_000)
    triggers = index(order)

    assert triggers.met(LAST, 41_000) == []
    assert extreme_ticks(order) == 41_000
    assert triggers.met(LAST, 36_901) == []
    assert extreme_ticks(order) == 41_000
    assert numbers(triggers.met(LAST, 36_900)) == [1]


def test_a_trailing_buy_triggers_five_per_cent_above_its_low() -> None:
    order = waiting(1, BUY, STOP, callback_ppm=50_000, extreme_ticks=45_000)
    triggers = index(order)

    assert triggers.met(LAST, 42_000) == []
    assert extreme_ticks(order) == 42_000
    assert triggers.met(LAST, 44_099) == []
    assert numbers(triggers.met(LAST, 44_100)) == [1]


@given(extreme=st.integers(1, 10**6), callback=st.integers(1, PPM - 1), price=st.integers(1, 2 * 10**6))
def test_the_trigger_price_of_a_trailing_order_is_the_rule_without_its_fractions(
    extreme: int, callback: int, price: int
) -> None:
    sell = price * PPM <= extreme * (PPM - callback)
    buy = price * PPM >= extreme * (PPM + callback)

    assert (price <= trailing_ticks(SELL, extreme, callback)) == sell
    assert (price >= trailing_ticks(BUY, extreme, callback)) == buy


def test_a_new_high_makes_one_group_of_all_that_it_beats() -> None:
    orders = [
        waiting(number, SELL, STOP, callback_ppm=100_000, extreme_ticks=high)
        for number, high in enumerate((100, 120, 140, 160), 1)
    ]
    triggers = index(*orders)

    assert triggers.met(LAST, 150) == []

    assert [extreme_ticks(order) for order in orders] == [150, 150, 150, 160]
    assert len({id(trail_of(order)) for order in orders}) == 2
    triggers.check_invariants()


def test_an_order_that_leaves_keeps_the_best_price_it_has_seen() -> None:
    order = waiting(1, SELL, STOP, callback_ppm=100_000, extreme_ticks=100)
    triggers = index(order)
    triggers.met(LAST, 130)

    triggers.remove(order)

    assert extreme_ticks(order) == 130
    triggers.add(order)
    assert numbers(triggers.met(LAST, 117)) == [1]


def test_an_order_that_was_put_back_follows_once() -> None:
    orders = [waiting(n, SELL, STOP, callback_ppm=100_000, extreme_ticks=100 + n // 3) for n in (1, 2, 3)]
    triggers = index(*orders)
    triggers.remove(orders[1])
    triggers.add(orders[1])

    assert triggers.met(LAST, 200) == []
    assert trail_of(orders[0]).count == 3
    assert numbers(triggers.met(LAST, 180)) == [1, 2, 3]
    for order in orders:
        triggers.remove(order)
    assert triggers.met(LAST, 300) == []
    triggers.check_invariants()


def test_coming_and_going_leaves_nothing_behind() -> None:
    stays = waiting(1, SELL, STOP, 50)
    trails = waiting(2, SELL, STOP, callback_ppm=1, extreme_ticks=1000)
    triggers = index(stays, trails)

    for number in range(3, 5000):
        order = waiting(number, SELL, STOP, 10 + number % 7, callback_ppm=0)
        trailing = waiting(10_000 + number, SELL, STOP, callback_ppm=number, extreme_ticks=1000 + number % 3)
        for one in (order, trailing):
            triggers.add(one)
            triggers.remove(one)

    triggers.check_invariants()
    assert footprint(triggers) < 1000


def footprint(triggers: Triggers) -> int:
    """Return how many entries all lists of the index hold together."""
    total = 0
    for waiters in triggers._prices.values():
        total += len(waiters._rises) + len(waiters._falls)
        for trails in (waiters._highs, waiters._lows):
            total += len(trails._behind) + len(trails._firing) + len(trails._trails)
            total += sum(trail.size for trail in trails._trails.values())
    return total


class _Scan:
    """What the index must find, found by looking at everybody."""

    def __init__(self) -> None:
        self.orders: list[tuple[Order, int]] = []
        """Each order and the best price it has seen."""

    def met(self, source: PriceSource, price: int) -> list[int]:
        followed: list[tuple[Order, int]] = []
        rising: list[tuple[int, int]] = []
        falling: list[tuple[int, int]] = []
        for order, seen in self.orders:
            assert order.special is not None
            terms = order.special.terms
            extreme = seen
            if terms.trigger_source == source and extreme:
                extreme = max(extreme, price) if order.side == SELL else min(extreme, price)
            followed.append((order, extreme))
            if terms.trigger_source != source:
                continue
            if extreme and order.side == SELL:
                if price * PPM <= extreme * (PPM - terms.callback_ppm):
                    falling.append((-(extreme * (PPM - terms.callback_ppm) // PPM), order.number))
            elif extreme:
                if price * PPM >= extreme * (PPM + terms.callback_ppm):
                    rising.append((-(-extreme * (PPM + terms.callback_ppm) // PPM), order.number))
            elif (terms.trigger == STOP) == (order.side == BUY):
                if price >= terms.trigger_ticks:
                    rising.append((terms.trigger_ticks, order.number))
            elif price <= terms.trigger_ticks:
                falling.append((-terms.trigger_ticks, order.number))
        self.orders = followed
        return [number for _, number in sorted(rising) + sorted(falling)]


PRICES = st.integers(1, 40)
ACTIONS = st.lists(
    st.one_of(
        st.tuples(
            st.just("wait"),
            st.sampled_from(Side),
            st.sampled_from(TriggerKind),
            PRICES,
            st.sampled_from((0, 0, 1, 100_000, 250_000, 999_999)),
            st.sampled_from(PriceSource),
        ),
        st.tuples(
            st.just("trail"), st.sampled_from(Side), PRICES, st.sampled_from((1, 50_000, 100_000, 300_000))
        ),
        st.tuples(st.just("leave"), st.integers(0, 50)),
        st.tuples(st.just("price"), st.sampled_from(PriceSource), PRICES),
    ),
    max_size=120,
)


@given(ACTIONS)
def test_the_index_finds_whom_a_look_at_everybody_finds(actions: list[tuple[object, ...]]) -> None:
    triggers, scan = Triggers(), _Scan()
    for number, action in enumerate(actions, 1):
        match action:
            case (
                "wait",
                Side() as side,
                TriggerKind() as kind,
                int(trigger),
                int(callback),
                PriceSource() as source,
            ):
                order = waiting(number, side, kind, trigger, callback, source)
                triggers.add(order)
                scan.orders.append((order, 0))
            case ("trail", Side() as side, int(extreme), int(callback)):
                order = waiting(number, side, STOP, callback_ppm=callback, extreme_ticks=extreme)
                triggers.add(order)
                scan.orders.append((order, extreme))
            case ("leave", int(place)) if scan.orders:
                order, _ = scan.orders.pop(place % len(scan.orders))
                triggers.remove(order)
            case ("price", PriceSource() as source, int(price)):
                expected = scan.met(source, price)
                met = triggers.met(source, price)
                assert numbers(met) == expected
                for order in met:
                    triggers.remove(order)
                    activates = not extreme_ticks(order) and order.special.terms.callback_ppm  # type: ignore[union-attr]
                    scan.orders = [one for one in scan.orders if one[0] is not order]
                    if activates:
                        order.special.extreme_ticks = price  # type: ignore[union-attr]
                        triggers.add(order)
                        scan.orders.append((order, price))
        triggers.check_invariants()
        for order, seen in scan.orders:
            assert extreme_ticks(order) == seen
