"""Are specialist heads needed? The best ones edited, against as many random ones."""
