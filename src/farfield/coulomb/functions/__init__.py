"""Mathematics without atoms or systems: radial functions, multipoles, tensors, harmonics, Gaussians."""
