"""Attention mass: how much of the attention of chosen query rows goes to audio, layer by layer."""
