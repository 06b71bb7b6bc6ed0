"""What was decided and changed: every change of management, and every token decision.

A change is appended in the same step that makes it, so it is acknowledged only after it is durable. Token events are
appended in batches off the request path (design #14).
"""
