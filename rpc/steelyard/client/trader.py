"""What a trader can do in a session, whichever way its commands travel."""

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import TypeVar, Unpack, overload

from steelyard.client import orders
from steelyard.client.commands import (
    AdjustBucket,
    ArmCountdown,
    Batch,
    CancelOrders,
    Command,
    Leg,
    MoveMargin,
    OpenSubAccount,
    PayReferral,
    PlaceOrder,
    PlaceOrderList,
    ReplaceOrder,
    SetContractModes,
    SetLeverage,
    SetSelfTrade,
    Transfer,
)
from steelyard.client.model import Asset, Instrument
from steelyard.client.orders import AmendWords, Named, OrderWords, Trigger, rejected
from steelyard.client.replies import (
    Accepted,
    Amended,
    Cancelled,
    LegReply,
    Many,
    Placed,
    Reply,
    Swept,
    Waiting,
)
from steelyard.client.words import BatchMode, ListKind, MarginMode, PositionLeg, SelfTrade, Side

R = TypeVar("R", Placed, Waiting, Cancelled, Amended, Swept, Accepted, Many)

_MILLISECOND = timedelta(milliseconds=1)


class Trader(ABC):
    """Orders and everything else that an account does, each command executed once.

    Every method raises ``OrderRejected`` with the reason if the exchange says no, and ``OutcomeUnknown`` if
    there is no reply within the retry deadline.
    """

    @abstractmethod
    def submit(self, command: Command) -> Awaitable[Reply]:
        """Send a command and return its reply when it comes; a refusal is a reply."""

    @overload
    async def place(
        self,
        instrument: Instrument,
        side: Side,
        *,
        trigger: None = None,
        **words: Unpack[OrderWords],
    ) -> Placed: ...

    @overload
    async def place(
        self, instrument: Instrument, side: Side, *, trigger: Trigger, **words: Unpack[OrderWords]
    ) -> Waiting: ...

    async def place(
        self,
        instrument: Instrument,
        side: Side,
        *,
        trigger: Trigger | None = None,
        **words: Unpack[OrderWords],
    ) -> Placed | Waiting:
        """Place an order and return what came of it; ``OrderWords`` lists what can be said of it.

        With a ``trigger`` (``stop(…)`` or ``take_profit(…)``) the order waits, and the reply is its number.

        Raises:
            OrderRejected: The exchange said no.
            PriceOffStep: The price is no multiple of the tick; nothing was sent.
            SizeOffStep: The size is no multiple of the lot; nothing was sent.
            OutcomeUnknown: No reply within the retry deadline.

        """
        reply = await self.submit(orders.order(instrument, side, trigger=trigger, **words))
        if isinstance(reply, Placed | Waiting):
            return reply
        raise rejected(reply)

    async def cancel(self, order: Named | None = None, *, number: int = 0, label: str = "") -> Cancelled:
        """Cancel an order: what ``place`` returned, the client order id, the exchange's number, or the label.

        Raises:
            OrderRejected: The exchange said no; UNKNOWN_ORDER if it is not alive any more.
            OutcomeUnknown: No reply within the retry deadline.

        """
        return await self._expect(Cancelled, orders.cancel(order, number=number, label=label))

    async def amend(
        self,
        order: Named | None = None,
        *,
        number: int = 0,
        label: str = "",
        **words: Unpack[AmendWords],
    ) -> Amended:
        """Change a living order, named as for ``cancel``; ``AmendWords`` lists what can be changed.

        Less size at the same price keeps the place in the queue.  The reply has the number that the order has
        from now on.
        """
        return await self._expect(Amended, orders.amend(order, number=number, label=label, **words))

    async def replace(
        self,
        old: Named,
        new: PlaceOrder,
        *,
        place_anyway: bool = False,
        cancel_anyway: bool = False,
    ) -> tuple[LegReply, LegReply]:
        """Cancel one order and place another (made by ``order(…)``) as one command; return both replies.

        The pledge of the first is free for the second.  Unless ``place_anyway``, nothing is placed if the
        first is gone; unless ``cancel_anyway``, the first stays if the second is refused.
        """
        command = ReplaceOrder(orders.cancel(old), new, place_anyway, cancel_anyway)
        first, second = (await self._expect(Many, command)).legs
        return first, second

    async def place_oco(self, first: PlaceOrder, second: PlaceOrder) -> tuple[LegReply, ...]:
        """Place two orders of one side; a fill or the trigger of one ends the other.  They pledge once."""
        return await self._place_list(ListKind.OCO, first, second)

    async def place_oto(self, first: PlaceOrder, second: PlaceOrder) -> tuple[LegReply, ...]:
        """Place an order, and another that is admitted when the first is filled completely."""
        return await self._place_list(ListKind.OTO, first, second)

    async def place_otoco(
        self, first: PlaceOrder, second: PlaceOrder, third: PlaceOrder
    ) -> tuple[LegReply, ...]:
        """Place an order, and two that become an OCO when the first is filled completely."""
        return await self._place_list(ListKind.OTOCO, first, second, third)

    async def batch(self, legs: Sequence[Leg], *, mode: BatchMode = BatchMode.EACH) -> tuple[LegReply, ...]:
        """Carry out up to 100 orders, cancels and amends as one command; return one reply for each.

        EACH: a refusal is one leg's reply.  ALL_OR_NONE: it is raised for the whole, its ``expected`` is the
        leg at fault, from 1.
        """
        return (await self._expect(Many, Batch(tuple(legs), mode))).legs

    async def cancel_all(
        self,
        instrument: Instrument | None = None,
        side: Side | None = None,
        *,
        sub_accounts: bool = False,
    ) -> Swept:
        """Cancel all living orders, of one instrument or side or of all; ``orders_count`` says how many."""
        return await self._expect(Swept, CancelOrders(_id(instrument), side or 0, sub_accounts))

    async def countdown(self, after: timedelta, instrument: Instrument | None = None) -> Accepted:
        """Let all orders be cancelled ``after`` so long, unless called again in time; zero: never mind.

        Counts in log time, to the millisecond, at most a day; it fires through failovers.
        """
        return await self._expect(Accepted, ArmCountdown(after // _MILLISECOND, _id(instrument)))

    async def transfer(
        self, asset: Asset, amount: Decimal | int, *, giver: int = 0, taker: int = 0
    ) -> Accepted:
        """Move free funds between a master account and its sub-accounts; zero is the session's account."""
        return await self._expect(Accepted, Transfer(asset.asset, asset.atoms(amount), giver, taker))

    async def set_self_trade(self, mode: SelfTrade | None) -> Accepted:
        """Choose what the account's orders do that do not say; None: what the instrument says."""
        return await self._expect(Accepted, SetSelfTrade(mode or 0))

    async def open_sub_account(self, account: int, permissions: int) -> Accepted:
        """Open an account that belongs to this one; ``permissions`` bounds what any of its keys may do."""
        return await self._expect(Accepted, OpenSubAccount(account, permissions))

    async def pay_referral(self, asset: Asset) -> Accepted:
        """Move what was earned as a referrer to the account's free funds."""
        return await self._expect(Accepted, PayReferral(asset.asset))

    # Contracts.  ``account`` is another one than the session's, which only an operator's key may name.

    async def set_leverage(
        self, contract: Instrument, leverage: int, *, leg: PositionLeg | None = None, account: int = 0
    ) -> Accepted:
        """Choose the leverage of a position; zero: none.  An isolated one may take margin for it."""
        command = SetLeverage(contract.instrument, leverage, leg or 0, account)
        return await self._expect(Accepted, command)

    async def set_contract_modes(
        self, contract: Instrument, margin: MarginMode, *, hedge: bool = False, account: int = 0
    ) -> Accepted:
        """Choose cross or isolated margin, and one position or (``hedge``) two.

        Refused POSITION_NOT_EMPTY while the account has a position or an order in the contract.
        """
        command = SetContractModes(contract.instrument, margin, hedge, account)
        return await self._expect(Accepted, command)

    async def move_margin(self, asset: Asset, amount: Decimal | int, *, account: int = 0) -> Accepted:
        """Move free funds to the margin wallet of their asset, or with an amount below zero back."""
        return await self._expect(Accepted, MoveMargin(asset.asset, asset.atoms(amount), account))

    async def adjust_bucket(
        self,
        contract: Instrument,
        amount: Decimal | int,
        *,
        leg: PositionLeg | None = None,
        account: int = 0,
    ) -> Accepted:
        """Move margin from the wallet to the bucket of an isolated position, or (below zero) back."""
        amount_atoms = contract.settle.atoms(amount)
        return await self._expect(
            Accepted, AdjustBucket(contract.instrument, amount_atoms, leg or 0, account)
        )

    async def _place_list(self, kind: ListKind, *legs: PlaceOrder) -> tuple[LegReply, ...]:
        return (await self._expect(Many, PlaceOrderList(kind, legs))).legs

    async def _expect(self, kind: type[R], command: Command) -> R:
        reply = await self.submit(command)
        if isinstance(reply, kind):
            return reply
        raise rejected(reply)


def _id(instrument: Instrument | None) -> int:
    return 0 if instrument is None else instrument.instrument
