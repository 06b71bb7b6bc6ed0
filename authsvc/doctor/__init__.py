"""The checks of ``doctor``: sends an installation the requests of clients and the registry, and reports problems.

::

    URL  → outside_checks: questions over http_question → OutsideReplies → outside_rules: findings
    data → inside_checks: Redis, registry, its configuration → InsideReplies → inside_rules: findings

The rules are pure: they turn answers into findings. ``catalogue`` has the sentences of every finding.
"""
