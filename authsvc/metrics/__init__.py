"""The metrics of the workers of one server, and their exposition.

Every worker counts into its own slot of one piece of shared memory (:mod:`~authsvc.metrics.shared_metrics`), so any
of them can answer for all. A slot outlives its worker and is handed on to the next one: a counter never goes
backwards, whichever worker dies. What is counted is declared in a table (:mod:`~authsvc.metrics.catalogue`), the number
of series is fixed by it, and nothing that a client sends ever becomes a label.
"""
