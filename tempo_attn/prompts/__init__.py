"""Where the tokens of a prompt are that edits speak of: audio, keyword, options, last.

`text` reads a prompt's text, `option_lists` its lists of options, `spans` turns both into token
positions, and `positions` finds all of them for a batch.
"""
