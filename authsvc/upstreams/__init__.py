"""Linked external registries: which ones there are, what an app shows of them, and how they fare.

Nothing here reads a clock, draws randomness or waits.
"""
