"""Kimi-Audio: the remote code of its checkpoint, and what it needs beside transformers 5."""
