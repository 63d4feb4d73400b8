"""`tempo data check`: every answer worked out again from the intervals.

`item_checks` look at one question, `list_checks` at all of them together, `findings` are what they
find; `run` brings them together and `findings_output` shows and writes them.
"""
