"""What every frame is asked as it is read: its labels in our units, and whether they mean what they seem to."""
