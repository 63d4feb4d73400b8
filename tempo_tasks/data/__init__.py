"""`tempo data`: get the benchmark's data, build a new benchmark from annotations, look into one.

`build` turns intervals into a folder in the released layout, `manifest` says what such a folder
holds, `info` reads it back, `download` fetches sources, `cite` names whom to thank.
"""
