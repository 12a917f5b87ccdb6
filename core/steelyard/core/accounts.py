"""Customers' accounts with what they own, and the API keys that act for them."""

from steelyard.core.ledger import Balance
from steelyard.core.matching import Order
from steelyard.core.sessions import Session
from steelyard.core.units import AccountId, AssetId, KeyId, OrderId


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


class Account:
    """What one account owns, and its living orders and sessions by the names it gave them."""

    __slots__ = ("account", "balances", "labels", "orders", "sessions")

    def __init__(self, account: AccountId) -> None:
        self.account = account
        self.balances: dict[AssetId, Balance] = {}
        self.orders: dict[OrderId, Order] = {}
        self.labels: dict[str, Order] = {}
        self.sessions: dict[str, Session] = {}

    def balance(self, asset: AssetId) -> Balance:
        """Return the account's balance of ``asset``, an empty one if it never had any."""
        balance = self.balances.get(asset)
        if balance is None:
            balance = self.balances[asset] = Balance()
        return balance

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
