"""Activity: who pushed and pulled what, from the registry's events.

The registry notifies us of each push, pull, mount and delete (:mod:`authsvc.spec.registry_event`); this package says
what is recorded of it.
"""
