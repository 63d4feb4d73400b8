"""The benchmark's task files (YAML), as a package so that the harness can find the folder."""
