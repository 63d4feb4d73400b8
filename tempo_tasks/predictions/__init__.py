"""Predictions made anywhere, as a run of the harness: `tempo score`.

A file of answers is matched with the items of the tasks, and the harness itself runs the tasks on a
model that says what the file says. Documents, metrics, groups and files are the tasks' own.
"""
