"""One function per command: check everything, then change the state.

Each takes the state, the command, the request that carried it, the key that signed it, and the list to
which events are appended.  It returns the reply, or the reason for a refusal that has changed nothing.
Checks run in the order of ``Reject``.
"""
