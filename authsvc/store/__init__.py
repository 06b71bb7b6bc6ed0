"""Redis, and only here: the system of record (design §4).

One primary; ``appendfsync always``; every record is JSON with a version. What reads on the token path is in
:mod:`~authsvc.store.facts`; what management reads and writes is in one module per aggregate, such as
:mod:`~authsvc.store.licenses`. A TTL is garbage collection and never security.
"""
