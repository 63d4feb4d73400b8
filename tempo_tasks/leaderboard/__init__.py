"""A leaderboard of submissions: `tempo leaderboard BUNDLES... -o site/`, a static site.

- `entries`: what is kept of an accepted bundle. `columns`: the boards, their columns, and the
  answers in them. `groups`: which entries of a column can be told apart.
- `reference_rows`: chance, strategies of the audit, and figures that a paper published
  (`published.json`).
- `gather`: from bundles to all of it as plain data. `site_files`: pages (`*.html.j2`), JSON and
  CSV. `leaderboard_command`: the command.

Nothing is imported here, so that `tempo --help` answers at once.
"""
