"""Figures for papers, of runs of the harness and of the laboratory: `tempo plot`.

Accuracy by condition is drawn here; what a run of the laboratory measured is drawn by the figures
of its own command.
"""
