"""The terms that energies are made of: in real space, over waves, on meshes, and what surrounds them."""
