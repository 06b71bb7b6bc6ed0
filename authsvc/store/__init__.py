"""Access to Redis, the system of record (design §4); no other package uses it.

One primary; ``appendfsync always``; every record is JSON with a version. The reads of the token path are in
:mod:`~authsvc.store.facts`; management reads and writes through one module per aggregate, such as
:mod:`~authsvc.store.licenses`. TTLs serve only for garbage collection, never for security.
"""
