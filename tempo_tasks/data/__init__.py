"""`tempo data`: get the benchmark's data, build a new benchmark from annotations, look into one.

`commands` holds the commands, one file each. `build` turns intervals into a folder in the released
layout, with a manifest of what it holds; `check` recomputes answers from intervals; `facts` looks
into data, `fetch` downloads sources, `citations` names whom to thank.
"""
