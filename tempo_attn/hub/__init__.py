"""Saving, finding and sharing a configuration: in a folder, or in a repository on the Hub.

`config_file` reads and writes the JSON file, `find` looks for it, `save_and_push` sends it, and
`model_card` writes the text beside it.
"""
