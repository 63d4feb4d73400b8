"""`tempo data check`: every answer worked out again from the intervals."""
