"""Å, eV, e, V, fs: the only units inside farfield. Convert at the doors (``data/``, ``deploy/``)."""

COULOMB = 14.399645478425668
"""Coulomb constant e²/(4πε₀) in eV·Å/e² (CODATA 2018)."""

HARTREE = 27.211386245988
"""One hartree in eV (CODATA 2018)."""

BOHR = 0.529177210903
"""One bohr in Å (CODATA 2018)."""

DEBYE = 0.20819433270935597
"""One debye in e·Å."""
