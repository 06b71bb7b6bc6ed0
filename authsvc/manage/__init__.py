"""What a vendor changes: use cases. Command line, management API and portal call the same ones.

A use case takes names and texts as people type them, checks them, and answers when the change is durable. Every one
that writes takes an :class:`~authsvc.manage.operation.Operation`: who, when, and its id. Where the records are is
behind the protocols of :mod:`~authsvc.manage.stores`.
"""
