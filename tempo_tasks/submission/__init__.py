"""Submissions: a run as a folder that a leaderboard can accept without trusting anyone.

- `schema`: what `bundle.json` holds, and the names of the files. `about_run`: from a run's results
  to it. `sample_lines`: the samples in their one form.
- `task_scoring`: the metrics of a task, by the functions that its task file names.
- `derived_files`: everything that follows from `bundle.json` and the samples; `every_eval_ever` and
  `hub_results` are two foreign formats of it. A validator computes all of it again.
- `make_bundle`, `write_bundle`, `push_bundle`, `submit_command`: `tempo submit`.
- `open_bundle`: a folder or zip of a stranger, read within limits. `asked_documents`: the data,
  loaded again. `check_samples`, `check_audit`, `differences`, `validate`, `validate_command`:
  `tempo validate`.

Nothing is imported here, so that `tempo --help` answers at once.
"""
