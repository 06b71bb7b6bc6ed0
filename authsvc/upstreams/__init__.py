"""Linked external registries: providers, links, credentials and health.

Pure: no clock, no randomness, no I/O.
"""
