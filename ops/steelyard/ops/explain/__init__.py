"""``steelyard explain``: a decision of the exchange, worked out again from a member's log."""
