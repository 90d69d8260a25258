"""Splitting of frames into those that train and those set aside, so that no structure stands on two sides unsaid."""
