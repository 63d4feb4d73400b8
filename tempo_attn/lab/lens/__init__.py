"""The lens: what the unembedding reads from every layer (AudioLens, arXiv 2506.05140)."""
