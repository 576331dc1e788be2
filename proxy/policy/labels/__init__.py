"""Labels on data: what detectors find in a text, and what rules declare of a tool's results."""
