"""Words in audit entries for actors and states without a name."""

UNPROVEN = "unproven"
"""The actor of an entry before identity is proven."""

MANY = "various"
"""The actor of an entry on decisions of many subjects."""

ACTIVE, WITH_ITS_APP = "active", "archived with its app"
"""States of a license that is active itself: its app is active, or archived."""
