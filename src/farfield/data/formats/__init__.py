"""The formats in which files carry structures: what each says, read as it is said."""
