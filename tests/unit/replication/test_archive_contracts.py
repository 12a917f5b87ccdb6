"""An archive from before there were contracts goes on as it is, and whoever is named in rows hears of it."""

import sqlite3
from pathlib import Path

import pytest

from steelyard.core.entry import Accepted, Applied, Outcome
from steelyard.core.events import AdlRow, AdlSettled, AnyEvent, LossShared
from steelyard.core.units import AccountId, AssetId, InstrumentId, Leg, LiquidationId
from steelyard.replication.archive_file import SCHEMA, ArchiveWriter, Batch, Funded
from steelyard.replication.archive_read import ArchiveReader
from steelyard.replication.errors import StoreDamaged
from steelyard.replication.feed import private_events
from steelyard.replication.liquidations import DELEVERAGED, SHARED, Stepped, stepped_of

BANKRUPT, GAVE, SPARED, BORE = (AccountId(1000 + number) for number in range(4))


def test_an_archive_of_the_schema_before_becomes_one_of_this_with_all_it_had(tmp_path: Path) -> None:
    path = tmp_path / "archive.sqlite"
    writer = ArchiveWriter(path, "g")
    writer.write(Batch(5, 50, [(5, 50)], [], [], [], [], [(1000, 1, 7)], [], []))
    writer.close()
    file = sqlite3.connect(path)
    file.executescript("DROP TABLE fundings; DROP TABLE liquidations; PRAGMA user_version = 1;")
    file.close()
    with pytest.raises(StoreDamaged, match="has schema 1"):
        ArchiveReader(path)

    writer = ArchiveWriter(path, "g")
    assert (writer.last_index, writer.balances()) == (5, {(1000, 1): 7})
    step = Stepped(6, 60, 3, 8, SHARED, debt_atoms=4, others=2)
    writer.write(
        Batch(6, 60, [(6, 60)], [], [], [], [], [], [Funded(3, 6, 0, 1, 2, 3, 4)], [(6, 0, *step[2:])])
    )
    writer.close()
    with ArchiveReader(path) as reader:
        assert reader.liquidations(0, 0, 0, 10) == [step]
        assert [row.delta_nanoatoms for row in reader.fundings(3, 0, 10)] == [3]
    file = sqlite3.connect(path)
    assert file.execute("PRAGMA user_version").fetchone() == (SCHEMA,)
    file.close()


ADL = AdlSettled(
    liquidation=LiquidationId(8),
    instrument=InstrumentId(3),
    account=BANKRUPT,
    leg=Leg.NET,
    mark_ticks=9,
    lots=5,
    cash_atoms=-6,
    ranked=2,
    givers=[AdlRow(1, GAVE, Leg.NET, -5, 7, 5, 1, 2, 3)],
    realised_atoms=0,
    funding_atoms=0,
)
LOSS = LossShared(
    liquidation=LiquidationId(8),
    instrument=InstrumentId(3),
    asset=AssetId(2),
    debt_atoms=4,
    shares=[(BORE, Leg.NET, 4)],
)


@pytest.mark.parametrize(
    ("account", "heard"), [(BANKRUPT, [ADL]), (GAVE, [ADL]), (SPARED, []), (BORE, [LOSS])]
)
def test_who_gave_lots_or_bore_a_loss_is_told_and_nobody_else(
    account: AccountId, heard: list[AnyEvent]
) -> None:
    reply = Accepted(request=1, fingerprint=0)
    entry = Applied(5, 50, [Outcome(reply, [ADL, LOSS], 5)])
    assert [event for _, event in private_events(entry, {account})] == heard


def test_the_public_does_not_learn_who_it_was() -> None:
    assert stepped_of(5, 50, ADL) == Stepped(
        5, 50, 3, 8, DELEVERAGED, lots=5, mark_ticks=9, received_atoms=-6, others=1
    )
    assert stepped_of(5, 50, LOSS) == Stepped(5, 50, 3, 8, SHARED, debt_atoms=4, others=1)
