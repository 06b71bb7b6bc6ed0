"""Outgoing webhooks: which events there are, who receives them, how they are signed, and when they are sent again.

Pure: no clock, no randomness, no I/O.
"""
