"""Attention scaling for audio language models, and the laboratory around it.

Knows models and attention; imports neither lm_eval nor the benchmark.
"""
