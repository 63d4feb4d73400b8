"""Published edits side by side: the table and the pictures of `tempo presets`."""
