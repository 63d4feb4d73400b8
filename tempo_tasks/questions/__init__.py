"""Events in time, questions about them, and sets of questions. Knows no file and no model."""
