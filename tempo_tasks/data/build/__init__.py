"""`tempo data build`: a benchmark of any size from annotated clips, in the released layout.

`request` is what is asked for, `inputs` what is read, `run` makes the questions; `written_tables`,
`licences` and `audio_files` write the folder, `build_manifest` says what it holds.
"""
