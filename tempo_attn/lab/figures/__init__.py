"""What all figures share: sheets of panels, lines, tables of numbers, titles."""
