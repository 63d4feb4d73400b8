"""Attention scaling for audio language models, and the laboratory around it.

Knows models and attention; imports neither lm_eval nor the benchmark.
"""

AUDIO_PLACEHOLDER = "<audio>"
"""Marks in a prompt's text where a waveform stands, as in lm-evaluation-harness."""
