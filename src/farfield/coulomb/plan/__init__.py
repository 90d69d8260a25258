"""Decisions before a sum: methods, splittings, cutoffs, meshes, boxes."""
