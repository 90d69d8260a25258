"""Reading of every frame: its labels in our units, and whether they mean what they seem to."""
