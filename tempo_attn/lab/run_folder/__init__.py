"""A run's folder: its manifest, its records, and how a killed run goes on.

`folder` opens, reads and merges folders, `files` reads and writes their files, `manifest` says what
was run on what, `fingerprints` takes the fingerprints in it, and `differences` says in which fields
two manifests differ.
"""
