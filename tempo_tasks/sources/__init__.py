"""Where questions come from: the released benchmark, annotated clips, or rendered scenes (`synth`).

- `hub` finds the released data, `released`, `released_rows` and `clip_audio` read them;
  `without_audio` reads questions alone, for a check or an audit.
- `intervals`, `captions_and_intervals`, `clip_tables`, `blank_names`: what lies beside questions.
- `csv_reader`, `table_files`: the readers of CSV, Parquet and JSON Lines.
- `tacos`, `resumable_download`: the source of the clips, and how its files are fetched.
- `corpora`: strongly labelled corpora in their own formats. `benchmarks`: other people's questions.
- `hard`: hard questions; `backwards` and `synth.mirrored_scenes`: mirrored twins.
"""
