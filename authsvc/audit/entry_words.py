"""Words that stand in audit entries for what has no name of its own."""

UNPROVEN = "unproven"
"""The actor of an entry before identity."""

MANY = "various"
"""The actor of an entry on decisions of many subjects."""

ACTIVE, WITH_ITS_APP = "active", "archived with its app"
"""States of a license that is in force by itself: so is its app, or the app is archived."""
