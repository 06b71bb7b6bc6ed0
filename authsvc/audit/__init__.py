"""The audit: every change of management, and every token request with its outcome.

The entry of a change is written in the same transaction as the change, so a change is acknowledged only when its entry
is durable. Token events are written in batches in the background (design #14).
"""
