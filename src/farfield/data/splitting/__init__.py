"""Which frames are learned from and which are set aside, so that no structure stands on two sides unsaid."""
