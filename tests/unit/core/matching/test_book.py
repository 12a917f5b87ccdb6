"""The book by itself: queues, levels, and the taker phase."""

from steelyard.core.ledger import Balance
from steelyard.core.matching import Book, Order, can_fill, crosses, match
from steelyard.core.units import FIRST_CUSTOMER, InstrumentId, OrderId, OrderNumber, Side


def resting(book: Book, number: int, side: Side, price_ticks: int, lots: int) -> Order:
    order = Order(
        FIRST_CUSTOMER,
        InstrumentId(1),
        OrderId(number),
        OrderNumber(number),
        "",
        side,
        price_ticks,
        lots,
        lots,
        1,
        Balance(),
        Balance(),
    )
    book.rest(order)
    book.check_invariants()
    return order


def taken(book: Book, side: Side, limit_ticks: int, lots: int) -> list[tuple[int, int]]:
    fills = [(int(maker.number), size) for maker, size in match(book, side, limit_ticks, lots)]
    book.check_invariants()
    return fills


def numbers(book: Book) -> list[int]:
    return [order.number for order in book.orders()]


def test_an_empty_book_has_no_best_price_and_crosses_nothing() -> None:
    book = Book()

    assert book.best_ticks(Side.BUY) is None
    assert book.best_ticks(Side.SELL) is None
    assert not crosses(book, Side.BUY, 10**9)
    assert not crosses(book, Side.SELL, 1)
    assert not can_fill(book, Side.BUY, 10**9, 1)
    assert taken(book, Side.BUY, 10**9, 1) == []


def test_the_best_price_is_the_highest_bid_and_the_lowest_ask() -> None:
    book = Book()
    for number, price in enumerate((5, 9, 7), 1):
        resting(book, number, Side.BUY, price, 1)
    for number, price in enumerate((15, 11, 13), 4):
        resting(book, number, Side.SELL, price, 1)

    assert book.best_ticks(Side.BUY) == 9
    assert book.best_ticks(Side.SELL) == 11
    assert numbers(book) == [2, 3, 1, 5, 6, 4]


def test_a_limit_crosses_at_the_best_opposite_price_and_not_a_tick_before() -> None:
    book = Book()
    resting(book, 1, Side.BUY, 10, 1)
    resting(book, 2, Side.SELL, 20, 1)

    assert crosses(book, Side.BUY, 20)
    assert not crosses(book, Side.BUY, 19)
    assert crosses(book, Side.SELL, 10)
    assert not crosses(book, Side.SELL, 11)


def test_a_taker_meets_the_best_price_first_and_the_oldest_order_at_a_price() -> None:
    book = Book()
    resting(book, 1, Side.SELL, 12, 5)
    resting(book, 2, Side.SELL, 11, 5)
    resting(book, 3, Side.SELL, 11, 5)

    assert taken(book, Side.BUY, 12, 12) == [(2, 5), (3, 5), (1, 2)]
    assert numbers(book) == [1]


def test_a_taker_stops_at_its_limit() -> None:
    book = Book()
    resting(book, 1, Side.BUY, 12, 5)
    resting(book, 2, Side.BUY, 11, 5)

    assert taken(book, Side.SELL, 12, 12) == [(1, 5)]
    assert numbers(book) == [2]


def test_a_partly_taken_order_keeps_its_place() -> None:
    book = Book()
    resting(book, 1, Side.SELL, 10, 5)
    resting(book, 2, Side.SELL, 10, 5)

    assert taken(book, Side.BUY, 10, 3) == [(1, 3)]
    assert taken(book, Side.BUY, 10, 3) == [(1, 2), (2, 1)]


def test_orders_leave_from_the_front_the_middle_and_the_back_of_a_queue() -> None:
    book = Book()
    orders = [resting(book, number, Side.BUY, 10, number) for number in range(1, 6)]

    for leaving, left in ((2, [1, 2, 4, 5]), (0, [2, 4, 5]), (4, [2, 4]), (1, [4]), (3, [])):
        book.remove(orders[leaving])
        book.check_invariants()
        assert numbers(book) == left
    assert book.bids.keys == []
    assert book.bids.levels == {}


def test_an_order_that_left_is_linked_to_nothing() -> None:
    book = Book()
    orders = [resting(book, number, Side.BUY, 10, 1) for number in range(1, 4)]

    book.remove(orders[1])

    assert (orders[1].level, orders[1].before, orders[1].after) == (None, None, None)


def test_a_level_away_from_the_best_leaves_the_index_too() -> None:
    book = Book()
    orders = {price: resting(book, price, Side.SELL, price, 1) for price in (10, 11, 12)}

    book.remove(orders[11])

    assert [level.key for level in book.asks.best_first()] == [-10, -12]


def test_whether_all_can_be_filled_counts_only_what_is_in_reach() -> None:
    book = Book()
    resting(book, 1, Side.SELL, 10, 3)
    resting(book, 2, Side.SELL, 10, 1)
    resting(book, 3, Side.SELL, 12, 3)

    assert can_fill(book, Side.BUY, 11, 4)
    assert not can_fill(book, Side.BUY, 11, 5)
    assert can_fill(book, Side.BUY, 12, 7)
    assert not can_fill(book, Side.BUY, 12, 8)
    assert not can_fill(book, Side.BUY, 9, 1)


def test_a_level_knows_its_lots_and_its_orders() -> None:
    book = Book()
    first = resting(book, 1, Side.SELL, 10, 3)
    resting(book, 2, Side.SELL, 10, 4)
    level = book.asks.levels[-10]
    assert (level.open_lots, level.count) == (7, 2)

    taken(book, Side.BUY, 10, 1)
    assert (level.open_lots, level.count) == (6, 2)

    book.remove(first)
    assert (level.open_lots, level.count) == (4, 1)
