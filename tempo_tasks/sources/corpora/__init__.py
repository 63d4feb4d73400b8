"""Strongly labelled corpora as clips with events, whatever they are written in.

- `formats`: which format a file has, by its columns or its ending; its rows as those of an interval
  CSV. `jams`, `audacity`: the two that are no tables.
- `label_maps`: labels merged, renamed and dropped, and put into words.
- `read_corpus`: all of it, with what was changed.
"""
