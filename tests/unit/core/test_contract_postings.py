"""What events of contracts move, as double entries; each asset's system accounts are on the other side."""

import msgspec
import pytest
from tests.helpers.builders import ALICE, BOB, BTC, CAROL, USD, buy, sell
from tests.helpers.contracts import INVERSE_PERP, PERP, contract_market, perpetual

from steelyard.core.events import (
    AdlRow,
    AdlSettled,
    AnyEvent,
    BucketAdjusted,
    ContractListed,
    ContractSettled,
    DebtRepaid,
    DebtTaken,
    FundingPaid,
    FundingSwept,
    InsuranceFunded,
    LiquidationPaid,
    LossShared,
    MarginMoved,
    PositionSettled,
    PositionsTraded,
    Traded,
)
from steelyard.core.ledger.postings import Cause, Posting, postings
from steelyard.core.units import (
    BAD_DEBT,
    CLEARING,
    FEES,
    FUNDING,
    INSURANCE,
    OMNIBUS,
    ROUNDING,
    ContractKind,
    InstrumentId,
    Leg,
    LiquidationId,
    TradeId,
)

ONE = LiquidationId(1)
NET = Leg.NET
PAIRS = contract_market(perpetual(), perpetual(ContractKind.INVERSE)).exchange.state.markets.instruments


def test_a_trade_of_a_contract_moves_its_fees_alone_in_the_settle_asset() -> None:
    venue = contract_market(
        perpetual(ContractKind.INVERSE, maker_ppm=-100_000, taker_ppm=100_000), decimals=4
    )
    venue.place(BOB, msgspec.structs.replace(sell(1, 2_000, 100), instrument=INVERSE_PERP))
    events = venue.place(ALICE, msgspec.structs.replace(buy(1, 2_000, 100), instrument=INVERSE_PERP)).events
    traded = next(event for event in events if isinstance(event, Traded))
    assert postings(traded, venue.exchange.state.markets.instruments) == [
        Posting(ALICE, FEES, BTC, 20_000, Cause.FEE),
        Posting(FEES, BOB, BTC, 20_000, Cause.REBATE),
    ]


def traded(**amounts: int) -> PositionsTraded:
    """Return what became of two positions, with nothing realised and paid but what is named."""
    zero = dict.fromkeys(
        ("maker_realised_atoms", "maker_funding_atoms", "taker_realised_atoms", "taker_funding_atoms"), 0
    )
    return PositionsTraded(
        trade=TradeId(1),
        instrument=PERP,
        maker=BOB,
        maker_leg=NET,
        maker_qty_lots=1,
        maker_cash_flow_atoms=-5,
        taker=ALICE,
        taker_leg=NET,
        taker_qty_lots=-1,
        taker_cash_flow_atoms=5,
        **{**zero, **amounts},
    )


ADL = AdlSettled(
    liquidation=ONE,
    instrument=PERP,
    account=ALICE,
    leg=NET,
    mark_ticks=80,
    lots=10,
    cash_atoms=900,
    ranked=2,
    givers=[AdlRow(1, BOB, NET, -8, 492_307, 8, -720, 80, 3)],
    realised_atoms=-100,
    funding_atoms=-2,
)


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (traded(), []),
        (
            traded(
                maker_realised_atoms=7, maker_funding_atoms=3, taker_realised_atoms=-4, taker_funding_atoms=-2
            ),
            [
                Posting(BOB, FUNDING, USD, 3, Cause.FUNDING),
                Posting(CLEARING, BOB, USD, 7, Cause.PNL),
                Posting(FUNDING, ALICE, USD, 2, Cause.FUNDING),
                Posting(ALICE, CLEARING, USD, 4, Cause.PNL),
            ],
        ),
        (
            FundingPaid(account=ALICE, instrument=PERP, leg=NET, paid_atoms=5),
            [Posting(ALICE, FUNDING, USD, 5, Cause.FUNDING)],
        ),
        (
            FundingPaid(account=ALICE, instrument=INVERSE_PERP, leg=NET, paid_atoms=-5),
            [Posting(FUNDING, ALICE, BTC, 5, Cause.FUNDING)],
        ),
        (
            FundingSwept(instrument=PERP, rounding_atoms=2),
            [Posting(FUNDING, ROUNDING, USD, 2, Cause.ROUNDING)],
        ),
        (FundingSwept(instrument=PERP, rounding_atoms=0), []),
        (
            MarginMoved(account=ALICE, asset=USD, amount_atoms=-9, free_atoms=9, wallet_atoms=0),
            [Posting(ALICE, ALICE, USD, 9, Cause.MARGIN)],
        ),
        (BucketAdjusted(account=ALICE, instrument=PERP, leg=NET, amount_atoms=9, bucket_atoms=9), []),
        (
            InsuranceFunded(asset=USD, amount_atoms=9, insurance_atoms=9),
            [Posting(OMNIBUS, INSURANCE, USD, 9, Cause.INSURANCE)],
        ),
        (
            InsuranceFunded(asset=USD, amount_atoms=-9, insurance_atoms=0),
            [Posting(INSURANCE, OMNIBUS, USD, 9, Cause.INSURANCE)],
        ),
        (
            LiquidationPaid(
                liquidation=ONE,
                account=ALICE,
                instrument=PERP,
                lots=1,
                received_atoms=9,
                bankruptcy_atoms=5,
                insurance_atoms=4,
            ),
            [Posting(ALICE, INSURANCE, USD, 4, Cause.LIQUIDATION)],
        ),
        (
            LiquidationPaid(
                liquidation=ONE,
                account=ALICE,
                instrument=PERP,
                lots=1,
                received_atoms=5,
                bankruptcy_atoms=9,
                insurance_atoms=-4,
            ),
            [Posting(INSURANCE, ALICE, USD, 4, Cause.INSURANCE)],
        ),
        (
            ADL,
            [
                Posting(BOB, FUNDING, USD, 3, Cause.FUNDING),
                Posting(CLEARING, BOB, USD, 80, Cause.ADL),
                Posting(FUNDING, ALICE, USD, 2, Cause.FUNDING),
                Posting(ALICE, CLEARING, USD, 100, Cause.ADL),
            ],
        ),
        (
            DebtTaken(
                liquidation=ONE,
                account=ALICE,
                asset=USD,
                instrument=InstrumentId(0),
                insurance_atoms=3,
                debt_atoms=4,
            ),
            [
                Posting(INSURANCE, ALICE, USD, 3, Cause.INSURANCE),
                Posting(BAD_DEBT, ALICE, USD, 4, Cause.DEBT),
            ],
        ),
        (
            LossShared(
                liquidation=ONE,
                instrument=PERP,
                asset=USD,
                debt_atoms=4,
                shares=[(BOB, NET, 3), (CAROL, NET, 1)],
            ),
            [
                Posting(BOB, BAD_DEBT, USD, 3, Cause.SHARED_LOSS),
                Posting(CAROL, BAD_DEBT, USD, 1, Cause.SHARED_LOSS),
            ],
        ),
        (
            DebtRepaid(asset=USD, atoms=4),
            [Posting(INSURANCE, BAD_DEBT, USD, 4, Cause.REPAYMENT)],
        ),
        (
            PositionSettled(
                account=ALICE,
                instrument=PERP,
                leg=NET,
                qty_lots=1,
                price_ticks=5,
                realised_atoms=-6,
                funding_atoms=1,
            ),
            [
                Posting(ALICE, FUNDING, USD, 1, Cause.FUNDING),
                Posting(ALICE, CLEARING, USD, 6, Cause.SETTLEMENT),
            ],
        ),
        (
            ContractSettled(instrument=PERP, price_ticks=5, rounding_atoms=3, funding_atoms=1),
            [
                Posting(FUNDING, ROUNDING, USD, 1, Cause.ROUNDING),
                Posting(CLEARING, ROUNDING, USD, 2, Cause.ROUNDING),
            ],
        ),
    ],
    ids=lambda value: "" if isinstance(value, list) else type(value).__name__,
)
def test_an_event_moves_what_it_says(event: AnyEvent, expected: list[Posting]) -> None:
    assert postings(event, PAIRS) == expected


def test_the_event_of_a_listing_is_enough_to_read_what_is_moved() -> None:
    listed = (
        contract_market(wallet_atoms=0)
        .operate(perpetual(ContractKind.INVERSE, instrument=InstrumentId(8), symbol="ONE-MORE"))
        .events[0]
    )
    assert isinstance(listed, ContractListed)
    paid = FundingPaid(account=ALICE, instrument=InstrumentId(8), leg=NET, paid_atoms=5)
    assert postings(paid, {InstrumentId(8): listed}) == [Posting(ALICE, FUNDING, BTC, 5, Cause.FUNDING)]
