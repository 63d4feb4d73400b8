"""Do states at the names of events hold their times? They are moved along a direction of time."""
