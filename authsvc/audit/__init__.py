"""The audit: every change of management, and every token request with its outcome.

A change is appended in the same step that makes it, so it is acknowledged only after it is durable. Token events are
appended in batches off the request path (design #14).
"""
