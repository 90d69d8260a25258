"""What is decided before a sum: methods, splittings, cutoffs, meshes, boxes."""
