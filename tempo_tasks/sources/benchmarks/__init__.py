"""Other people's benchmarks: a description of columns each (`sets`), and one reader for them all.

- `description`: what a description may say. `cells`: lists, JSON and nested values in a row.
- `read_items`: rows to items. `clip_orders`: the clips of an item in another order.
- `find_copy`: a local copy, or the Hub's. `load`: items with the audio of their clips.
"""
