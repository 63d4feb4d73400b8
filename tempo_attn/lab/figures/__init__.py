"""What figures of experiments share: lines, tables of numbers, titles. See `tempo_attn.figures`."""
