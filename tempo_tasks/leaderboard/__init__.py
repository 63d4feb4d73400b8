"""A leaderboard of submissions: `tempo leaderboard BUNDLES... -o site/`, a static site.

- `check_bundles`: many bundles are validated; `accepted` is what is kept of one, `remembered` for
  the next time. `entries`: the boards and columns that it is in, and its answers there. `groups`:
  which entries of a column can be told apart.
- `reference_rows`: chance, strategies of the audit, and figures that a paper published
  (`published.json`).
- `gather`: from bundles to all of it as plain data. `site_files`: pages (`*.html.j2`), JSON and
  CSV. `leaderboard_command`: the command.

Nothing is imported here, so that `tempo --help` answers at once.
"""
