"""Causal tracing: states of one run written into another, site by site (arXiv 2603.13768)."""
