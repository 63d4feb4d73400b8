"""Where the tokens of a prompt are that edits speak of: audio, keyword, options, last.

`decoded_text` reads a prompt's text, `option_lists` finds its lists of options,
`keyword_and_option_rows` turns words into token positions, and `positions` finds all positions of a
batch of prompts.
"""
