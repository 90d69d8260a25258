"""What several laws measure: slopes, steps, asymptotes, and whether two views are the same."""
