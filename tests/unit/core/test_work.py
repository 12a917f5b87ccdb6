"""Whose turn it is: first come, first served, past those whose instrument is not open."""

from hypothesis import given
from hypothesis import strategies as st

from steelyard.core.ledger import Balance
from steelyard.core.matching import Order
from steelyard.core.units import FIRST_CUSTOMER, InstrumentId, OrderId, OrderNumber, Side
from steelyard.core.work import Work

ONE, TWO, THREE = InstrumentId(1), InstrumentId(2), InstrumentId(3)


def order(number: int, instrument: InstrumentId) -> Order:
    return Order(
        FIRST_CUSTOMER,
        instrument,
        OrderId(number),
        OrderNumber(number),
        "",
        Side.BUY,
        1,
        1,
        1,
        1,
        Balance(),
        Balance(),
    )


def test_turns_go_across_instruments_in_the_order_of_coming() -> None:
    work = Work()
    orders = [order(5, TWO), order(9, ONE), order(3, TWO), order(4, ONE)]
    for one in orders:
        work.append(one)

    assert list(work) == [5, 9, 3, 4]
    assert work.first(lambda _: True) == 5
    assert work.first(lambda instrument: instrument == ONE) == 9
    assert work.first(lambda _: False) is None
    work.remove(orders[0])
    assert work.first(lambda _: True) == 9


def test_an_order_that_is_put_back_has_the_place_it_had() -> None:
    work = Work()
    orders = [order(number, ONE) for number in (4, 2, 3)]
    for one in orders:
        work.append(one)
    place = work.place(orders[1])
    assert place is not None
    work.remove(orders[1])
    assert work.place(orders[1]) is None

    work.put_back(orders[1], place)

    assert list(work) == [4, 2, 3]


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("append"), st.sampled_from((ONE, TWO, THREE))),
            st.tuples(st.just("remove"), st.integers(0, 20)),
            st.tuples(st.just("first"), st.frozensets(st.sampled_from((ONE, TWO, THREE)))),
        ),
        max_size=60,
    )
)
def test_it_is_what_a_plain_list_would_be(actions: list[tuple[object, ...]]) -> None:
    work, plain = Work(), list[Order]()
    for number, action in enumerate(actions, 1):
        match action:
            case ("append", int(instrument)):
                plain.append(order(number, InstrumentId(instrument)))
                work.append(plain[-1])
            case ("remove", int(place)) if plain:
                work.remove(plain.pop(place % len(plain)))
            case ("first", frozenset() as open_ones):
                able = [one.number for one in plain if one.instrument in open_ones]
                assert work.first(open_ones.__contains__) == (able[0] if able else None)
        assert list(work) == [one.number for one in plain]
        assert len(work) == len(plain)
        assert bool(work) == bool(plain)
        assert all(one in work for one in plain)
    again = Work()
    again.refill(plain)
    assert list(again) == list(work)
