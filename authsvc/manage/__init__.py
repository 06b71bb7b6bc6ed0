"""The use cases of management. Command line, management API and portal call the same ones.

A use case takes names and texts as users enter them, checks them, and returns when the change is durable. Every one
that writes takes an :class:`~authsvc.manage.operation.Operation`: the actor, the time, and an id. It accesses records
through the protocols of :mod:`~authsvc.manage.stores`.
"""
