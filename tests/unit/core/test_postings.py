"""What events move, as double entries."""

from tests.helpers.builders import ALICE, BOB, BTC, BTC_USD, USD, buy, complete, listing, sell

from steelyard.core.events import (
    AnyEvent,
    Deposited,
    FundsHeld,
    HoldReleased,
    InstrumentListed,
    LotsTransferred,
    OrderFilled,
    ReferralEarned,
    ReferralPaid,
    Transferred,
    Withdrawn,
)
from steelyard.core.ledger.postings import Balances, Cause, Posting, post, postings
from steelyard.core.units import (
    FEES,
    OMNIBUS,
    REFERRAL,
    HoldId,
    OrderId,
    OrderNumber,
    TradeId,
)

PAIR = InstrumentListed(
    instrument=BTC_USD, symbol="BTC-USD", base=BTC, quote=USD, lot_atoms=10, tick_lot_atoms=3
)
PAIRS = {BTC_USD: PAIR}


def test_a_trade_moves_base_quote_fee_and_rebate() -> None:
    venue = complete(listing(maker_ppm=-100, taker_ppm=750), funds_atoms=10_000_000)
    venue.place(BOB, sell(1, 100, 12_345))
    traded = venue.place(ALICE, buy(1, 100, 12_345)).events[1]

    assert postings(traded, PAIRS) == [
        Posting(BOB, ALICE, BTC, 1000, Cause.TRADE),
        Posting(ALICE, BOB, USD, 1_234_500, Cause.TRADE),
        Posting(ALICE, FEES, USD, 926, Cause.FEE),
        Posting(FEES, BOB, USD, 123, Cause.REBATE),
    ]


def test_a_selling_taker_gives_the_base_and_a_fee_of_zero_is_no_posting() -> None:
    venue = complete(listing(maker_ppm=750, taker_ppm=0))
    venue.place(BOB, buy(1, 1, 100))
    traded = venue.place(ALICE, sell(1, 1, 100)).events[1]

    assert postings(traded, venue.exchange.state.markets.instruments) == [
        Posting(ALICE, BOB, BTC, 1, Cause.TRADE),
        Posting(BOB, ALICE, USD, 100, Cause.TRADE),
        Posting(BOB, FEES, USD, 1, Cause.FEE),
    ]


def test_every_other_event_that_moves_money_is_one_posting_or_two() -> None:
    hold = HoldId(5)
    for event, expected in (
        (
            Deposited(account=ALICE, asset=USD, amount_atoms=7, free_atoms=7),
            [Posting(OMNIBUS, ALICE, USD, 7, Cause.DEPOSIT)],
        ),
        (
            Withdrawn(account=ALICE, asset=USD, amount_atoms=7, free_atoms=0),
            [Posting(ALICE, OMNIBUS, USD, 7, Cause.WITHDRAWAL)],
        ),
        (
            Transferred(
                giver=ALICE, taker=BOB, asset=USD, amount_atoms=7, giver_free_atoms=0, taker_free_atoms=7
            ),
            [Posting(ALICE, BOB, USD, 7, Cause.TRANSFER)],
        ),
        (
            LotsTransferred(
                instrument=BTC_USD, buyer=ALICE, seller=BOB, price_ticks=5, size_lots=2, notional_atoms=30
            ),
            [Posting(BOB, ALICE, BTC, 20, Cause.SELF_TRADE), Posting(ALICE, BOB, USD, 30, Cause.SELF_TRADE)],
        ),
        (
            ReferralEarned(trade=TradeId(1), account=ALICE, referrer=BOB, asset=USD, amount_atoms=3),
            [Posting(FEES, REFERRAL, USD, 3, Cause.REFERRAL)],
        ),
        (
            ReferralPaid(account=BOB, asset=USD, amount_atoms=3, free_atoms=3),
            [Posting(REFERRAL, BOB, USD, 3, Cause.REFERRAL)],
        ),
        (
            FundsHeld(account=ALICE, hold=hold, asset=USD, amount_atoms=4, legal=True),
            [Posting(ALICE, ALICE, USD, 4, Cause.HOLD)],
        ),
        (
            HoldReleased(account=ALICE, hold=hold, asset=USD, amount_atoms=4),
            [Posting(ALICE, ALICE, USD, 4, Cause.RELEASE)],
        ),
        (OrderFilled(account=ALICE, instrument=BTC_USD, order=OrderId(1), number=OrderNumber(1)), []),
    ):
        assert postings(event, PAIRS) == expected


def test_events_from_the_first_on_give_every_balance() -> None:
    events: list[AnyEvent] = [
        Deposited(account=ALICE, asset=USD, amount_atoms=7, free_atoms=7),
        Transferred(
            giver=ALICE, taker=BOB, asset=USD, amount_atoms=7, giver_free_atoms=0, taker_free_atoms=7
        ),
        Withdrawn(account=BOB, asset=USD, amount_atoms=2, free_atoms=5),
    ]

    balances: Balances = {}
    post(balances, events, PAIRS)

    assert balances == {(OMNIBUS, USD): -5, (ALICE, USD): 0, (BOB, USD): 5}
