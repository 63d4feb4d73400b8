"""Published edits side by side: the table and the figures of `tempo presets`."""
