"""The mesh of a smooth particle-mesh sum: its points, its splines, the vectors it runs along."""

from dataclasses import dataclass

from torch import Tensor

Whole = tuple[float, float, float]

UNTURNED: tuple[Whole, Whole, Whole] = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))


@dataclass(frozen=True)
class Grid:
    """Points along three vectors of the lattice and the order of the splines."""

    shape: tuple[int, int, int]
    spline: int
    turn: tuple[Whole, Whole, Whole] = UNTURNED  # whole numbers that make those vectors of the cell's

    def along(self, cell: Tensor) -> Tensor:
        """The vectors the mesh runs along ``(3, 3)`` in Å, from those of the cell; differentiable."""
        return cell if self.turn == UNTURNED else cell.new_tensor(self.turn) @ cell
