"""Terms of a batch: the one place that asks how it is summed, and what surrounds it.

    E = ½ Σ' L_i L_j erfc(αr)/r  +  (2π/V) Σ_k |S_k|² exp(-k²/4α²)/k²  -  (α/√π) Σ q²  -  πQ²/(2Vα²)

is Ewald's sum (Ann. Phys. 369, 253 (1921)) under tin-foil boundary conditions, its second term by waves or a mesh, the
last that of the point neutralising background. Multipoles take the operators L = q + μ·∇ + Q:∇∇ in the place of q, in
every term but the last. Open systems are summed pair by pair, or as axes of a cell are (waves.py).
"""

from typing import Literal

from farfield.compiled import has_loops
from farfield.coulomb.plan.methods import Part
from farfield.coulomb.plan.plan import AllPairs, AnyPlan, Plan
from farfield.coulomb.sources import PlacedSources
from farfield.coulomb.sums import wave_loops
from farfield.coulomb.terms.background import Background
from farfield.coulomb.terms.boundary import Vacuum
from farfield.coulomb.terms.direct import Direct
from farfield.coulomb.terms.fused_waves import FusedWaves
from farfield.coulomb.terms.gaussian_self import GaussianSelf
from farfield.coulomb.terms.mesh import Mesh
from farfield.coulomb.terms.real_space import RealSpace
from farfield.coulomb.terms.term import Term
from farfield.coulomb.terms.waves import WaveSum

Boundary = Literal["tinfoil", "vacuum"]


def terms(part: Part, plan: AnyPlan, boundary: Boundary, *, self_energy: bool, precise: bool) -> tuple[Term, ...]:
    """Choose the terms of a part: by its plan, by what surrounds it, Gaussians with themselves where asked.

    ``precise`` ones are in double precision where loops count in it: one cast here, or one at each of them.
    """
    placed = part.placed
    if isinstance(plan, AllPairs):
        found: tuple[Term, ...] = (Direct(placed),)
    else:
        if precise and has_loops(placed.charges) and not _single_pass(placed, plan):
            placed, plan = placed.double(), plan.double()
        found = (*_reciprocal(placed, plan), *((RealSpace(placed, plan),) if plan.reach > 0 else ()))
    if boundary == "vacuum" and bool(placed.system.periodic.all()):
        found += (Vacuum(placed, part.systems),)
    if self_energy and placed.widths is not None:
        found += (GaussianSelf(placed, placed.widths),)
    return found


def _reciprocal(placed: PlacedSources, plan: Plan) -> tuple[Term, ...]:
    if plan.on_mesh:
        return Mesh(placed, plan), Background(placed, plan)
    if wave_loops.compiled(placed):
        return (FusedWaves(placed, plan),)
    return WaveSum(placed, plan), Background(placed, plan)


def _single_pass(placed: PlacedSources, plan: Plan) -> bool:
    """Tell whether fused waves of crystals are all there is: they are exact enough in the precision of the charges."""
    alone = plan.reach == 0 and not plan.on_mesh and bool(placed.system.periodic.all())
    return alone and wave_loops.compiled(placed)
