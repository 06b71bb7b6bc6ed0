"""Activity: who pushed and pulled what, from the registry's events.

The registry notifies authsvc of each push, pull, mount and delete (:mod:`authsvc.spec.registry_event`); this package
defines what is recorded about them.
"""
