"""Recognition of each label of a file: its key, its unit, its sign."""
