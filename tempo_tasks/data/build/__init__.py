"""`tempo data build`: a benchmark of any size from annotated clips, in the released layout."""
