"""Outgoing webhooks: which events there are, who receives them, how they are signed, and when they are sent again.

Nothing here reads a clock, draws randomness or waits.
"""
