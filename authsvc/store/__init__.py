"""Redis, and only here: the system of record (design §4).

One primary; ``appendfsync always``; every record is JSON with a version. What reads on the token path is in
:mod:`~authsvc.store.facts`, what management reads and writes in :mod:`~authsvc.store.directory`. A TTL is garbage
collection and never security.
"""
