"""Scaling beside its two parts and beside a constant bias of the same audio mass.

The runs are sweeps; `write` makes their tables and figures.
"""
