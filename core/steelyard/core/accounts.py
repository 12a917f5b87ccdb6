"""Customers' accounts with what they own, and the API keys that act for them."""

from typing import Final

from steelyard.core.ledger import Balance
from steelyard.core.matching import Margin, Order, Position
from steelyard.core.sessions import Session
from steelyard.core.units import (
    AccountId,
    AssetId,
    HoldId,
    InstrumentId,
    KeyId,
    OrderId,
    Permission,
    SelfTrade,
)

#: Every permission there is.
ALL_PERMISSIONS: Final = int(
    Permission.READ
    | Permission.TRADE
    | Permission.TRANSFER
    | Permission.WITHDRAW
    | Permission.OPERATE
    | Permission.FEED
)


class ApiKey:
    """The right to act for an account."""

    __slots__ = ("account", "expires_ns", "key", "permissions", "public_key", "revoked")

    def __init__(
        self,
        key: KeyId,
        account: AccountId,
        public_key: bytes,
        permissions: int,
        expires_ns: int = 0,
        revoked: bool = False,
    ) -> None:
        self.key = key
        self.account = account
        self.public_key = public_key
        self.permissions = permissions
        self.expires_ns = expires_ns
        self.revoked = revoked

    def is_over(self, time_ns: int) -> bool:
        """Return whether the key was revoked, or its time (exclusive; zero is for ever) has come."""
        return self.revoked or 0 < self.expires_ns <= time_ns


class Hold:
    """Funds set aside by an operator."""

    __slots__ = ("amount_atoms", "asset", "hold", "legal")

    def __init__(self, hold: HoldId, asset: AssetId, amount_atoms: int, legal: bool) -> None:
        self.hold = hold
        self.asset = asset
        self.amount_atoms = amount_atoms
        self.legal = legal


class Rules:
    """Everything that makes an account uncommon; an account to which nothing of it applies has none.

    ``master`` is zero unless this is a sub-account, ``sub_accounts`` are a master's own, in the order of
    opening.  ``order_limits`` leads to (size_max_lots, notional_max_atoms), zero for none.  ``owed`` is what
    the account has earned as a referrer and not been paid.
    """

    __slots__ = (
        "frozen",
        "holds",
        "legal_hold",
        "master",
        "order_limits",
        "orders_max",
        "owed",
        "permissions",
        "referrer",
        "self_trade",
        "share_ppm",
        "sub_accounts",
        "tier",
        "trade_group",
    )

    def __init__(self) -> None:
        self.master = AccountId(0)
        self.sub_accounts: list[AccountId] = []
        self.permissions = ALL_PERMISSIONS
        self.trade_group = 0
        self.self_trade: SelfTrade | None = None
        self.orders_max = 0
        self.order_limits: dict[InstrumentId, tuple[int, int]] = {}
        self.frozen = False
        self.legal_hold = False
        self.holds: dict[HoldId, Hold] = {}
        self.tier = 0
        self.referrer = AccountId(0)
        self.share_ppm = 0
        self.owed: dict[AssetId, int] = {}

    def say_something(self) -> bool:
        """Return whether anything here applies."""
        return (
            self.permissions != ALL_PERMISSIONS
            or self.self_trade is not None
            or self.frozen
            or self.legal_hold
            or (self.master | self.trade_group | self.orders_max | self.tier | self.referrer) != 0
            or any((self.sub_accounts, self.order_limits, self.holds, self.owed))
        )


class Account:
    """What one account owns, and its living orders and sessions by the names it gave them.

    ``recent`` are the ids of its last closed orders, oldest first; from version 2 on they may not come again.
    ``rules`` is None for an account to which nothing uncommon applies.  ``margins`` are its margin wallets by
    settle asset, with the positions that lean on them.
    """

    __slots__ = ("account", "balances", "labels", "margins", "orders", "recent", "rules", "sessions")

    def __init__(self, account: AccountId) -> None:
        self.account = account
        self.balances: dict[AssetId, Balance] = {}
        self.orders: dict[OrderId, Order] = {}
        self.labels: dict[str, Order] = {}
        self.sessions: dict[str, Session] = {}
        self.recent: dict[OrderId, None] = {}
        self.rules: Rules | None = None
        self.margins: dict[AssetId, Margin] = {}

    def ruled(self) -> Rules:
        """Return the account's rules, common ones if it had none."""
        if self.rules is None:
            self.rules = Rules()
        return self.rules

    def forget_empty_rules(self) -> None:
        """Be a common account again if the rules do not say anything any more."""
        if self.rules is not None and not self.rules.say_something():
            self.rules = None

    def balance(self, asset: AssetId) -> Balance:
        """Return the account's balance of ``asset``, an empty one if it never had any."""
        balance = self.balances.get(asset)
        if balance is None:
            balance = self.balances[asset] = Balance()
        return balance

    def margin(self, asset: AssetId) -> Margin:
        """Return the account's margin of a settle asset, an empty one if it never had any."""
        margin = self.margins.get(asset)
        if margin is None:
            margin = self.margins[asset] = Margin(self.account, asset)
        return margin

    def forget_silent(self, position: Position) -> None:
        """Know a position no more if it says nothing, and its margin neither if that says nothing then."""
        if not position.says_something():
            margin = position.margin
            margin.positions.pop((position.instrument, position.leg), None)
            self.forget_silent_margin(margin)

    def forget_silent_margin(self, margin: Margin) -> None:
        """Know a margin no more if it says nothing."""
        if not margin.says_something():
            self.margins.pop(margin.asset, None)

    def free_atoms(self, asset: AssetId) -> int:
        """Return what can be spent, without opening a balance for it."""
        balance = self.balances.get(asset)
        return 0 if balance is None else balance.free_atoms

    def check_invariants(self) -> None:
        """Raise ``AssertionError`` unless the balances are sound and every name leads to its order."""
        for balance in self.balances.values():
            balance.check_invariants()
        labelled = 0
        for name, order in self.orders.items():
            assert order.order == name, (order.order, name)
            assert order.account == self.account, (order.account, self.account)
            labelled += order.label != ""
        assert labelled == len(self.labels), (self.account, labelled, len(self.labels))
        for label, order in self.labels.items():
            assert order.label == label, (order.label, label)
            assert self.orders.get(order.order) is order, order.number
        for session_name, session in self.sessions.items():
            assert session.name == session_name, (session.name, session_name)
            assert session.account == self.account, (session.account, self.account)
