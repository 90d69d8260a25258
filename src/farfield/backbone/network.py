"""Our own equivariant network: atomic densities, their products, and a few layers of message passing."""

import math
from dataclasses import dataclass
from typing import cast

import ase
import numpy as np
import torch
from torch import Tensor, nn

from farfield.backbone.angular import spherical_harmonics
from farfield.backbone.bonds import BondTable, bonds_of
from farfield.backbone.config import BackboneConfig
from farfield.backbone.contract import Features, Mix, Widths
from farfield.backbone.kernels import gather
from farfield.backbone.linear import UnitLinear
from farfield.backbone.product import ChannelMix, DensityProducts, orders
from farfield.backbone.radial import RadialBasis, RadialNetwork
from farfield.backbone.repulsion import covalent_radius, softened
from farfield.backbone.unit_size import UnitSize, measure_sizes
from farfield.geometry.neighbors import pairs_within
from farfield.system import System


@dataclass(frozen=True)
class Surroundings:
    """Bonds, waves and harmonics: the geometry as the layers take it."""

    bonds: BondTable
    waves: Tensor  # (bonds, radial)
    harmonics: Tensor  # (bonds, m), seen from the first atom


class DensityNetwork(nn.Module):
    """Features from densities A_i = Σ_j R(r_ij) Y_lm(r̂_ij) h_j, multiplied with themselves, layer after layer.

    ``l_out`` is the highest order that comes out (0: scalars only, which costs least), ``l_mix`` that between layers,
    if anybody asks for features there. Layers that have more to give than ``l_max`` see that much of their neighbours.
    """

    element_of: Tensor
    radius: Tensor

    def __init__(self, config: BackboneConfig, species: tuple[int, ...], l_out: int, l_mix: int = 0) -> None:
        super().__init__()
        self.config, self.l_out = config, l_out
        element_of = torch.full((119,), -1)
        element_of[list(species)] = torch.arange(len(species))
        self.register_buffer("element_of", element_of, persistent=False)
        self.embedding = nn.Parameter(torch.randn(len(species), config.channels))
        self.register_buffer("radius", covalent_radius(self.embedding), persistent=False)  # Å
        conditions = int(config.embed_charge) + int(config.embed_spin)
        self.conditions = nn.Parameter(0.5 * torch.randn(conditions, len(species), config.channels))
        self.basis = RadialBasis(config.cutoff, config.radial)
        self.l_max = max(config.l_max, l_out, l_mix)
        given = [l_mix] * (config.layers - 1) + [l_out]
        self.layers = nn.ModuleList(Layer(config, len(species), order) for order in given)

    @property
    def cutoff(self) -> float:
        """Å."""
        return self.config.cutoff

    @property
    def widths(self) -> Widths:
        """Scalars of every layer; higher orders of the last."""
        channels, layers = self.config.channels, self.config.layers
        return Widths(layers * channels, channels, layers, self.l_out)

    def calibrate(self, system: System) -> None:
        """Give the features of every stage unit size on this batch; once, before training."""
        measure_sizes(self, lambda: self(system))

    def forward(self, system: System, mix: Mix | None = None) -> Features:
        """Features of every atom."""
        pairs = pairs_within(system, self.cutoff)
        element = self.element_of[system.numbers]
        surroundings = self._surroundings(bonds_of(pairs, len(element)), system.numbers)
        scalars, alone, collected = self._embed(system, element), self._alone(), list[Tensor]()
        told = None
        for k, layer in enumerate(self.layers):
            out = layer(scalars, element, surroundings, told)
            scalars = out[:, 0]
            if mix is not None and k + 1 < len(self.layers):
                mixed = mix(k, system, Features(scalars, out, alone[k], element, pairs, self.cutoff))
                scalars, told = (scalars + mixed, None) if mixed.ndim == 2 else (scalars + mixed[:, 0], mixed[:, 1:])
            collected.append(scalars)
        return Features(torch.cat(collected, dim=1), out, torch.cat(alone, dim=1), element, pairs, self.cutoff)

    def _surroundings(self, bonds: BondTable, numbers: Tensor) -> Surroundings:
        unit, distance = bonds.vector / bonds.distance[:, None], bonds.distance
        if self.config.repulsion == "zbl":
            distance = softened(distance, self.radius[numbers[bonds.ends]].sum(1))
        return Surroundings(bonds, self.basis(distance), spherical_harmonics(unit, self.l_max))

    def _alone(self) -> list[Tensor]:
        """Scalars ``(elements, channels)`` of an atom without neighbours, of a neutral singlet, after every layer."""
        scalars: Tensor = self.embedding
        collected: list[Tensor] = []
        for layer in self.layers:
            scalars = cast(Layer, layer).alone(scalars)
            collected.append(scalars)
        return collected

    def _embed(self, system: System, element: Tensor) -> Tensor:
        scalars = self.embedding[element]
        asked = [(self.config.embed_charge, system.charge), (self.config.embed_spin, system.spin)]
        for table, value in zip(self.conditions, [value for wanted, value in asked if wanted]):
            scalars = scalars + value[system.system_index, None] * table[element]
        return scalars


def typical_surroundings(species: tuple[int, ...]) -> System:
    """A rattled simple cubic crystal of all the elements at 2.6 Å: sizes to start from before any data is seen."""
    rng = np.random.default_rng(0)
    places = np.stack(np.meshgrid(*[np.arange(4)] * 3, indexing="ij"), -1).reshape(-1, 3)
    positions = 2.6 * places + rng.normal(scale=0.15, size=(64, 3))
    return System.from_ase(ase.Atoms(rng.permutation(np.resize(species, 64)), positions, cell=[10.4] * 3, pbc=True))


class Layer(nn.Module):
    """Gather neighbours into densities, multiply, mix; scalars go on to the next layer."""

    linear_maps = ("keep",)

    def __init__(self, config: BackboneConfig, elements: int, l_out: int) -> None:
        super().__init__()
        channels, l_max = config.channels, max(config.l_max, l_out)
        self.channels, self.orders = channels, l_max + 1
        self.send = UnitLinear(channels, channels)
        self.radial = RadialNetwork(config.radial, config.radial_hidden, (l_max + 1) * channels)
        self.mix = ChannelMix(l_max, channels)
        self.products = DensityProducts(elements, channels, l_max, l_out, config.correlation)
        self.keep = nn.Parameter(torch.randn(elements, channels, channels))
        self.density_size = UnitSize(orders(l_max))
        self.out_size = UnitSize(orders(l_out))

    def forward(
        self, scalars: Tensor, element: Tensor, surroundings: Surroundings, told: Tensor | None = None
    ) -> Tensor:
        """``(atoms, channels)`` → ``(atoms, m_out, channels)``; ``told``, harmonics from l = 1, joins the density."""
        # bounded messages: the products are cubic, and a second cubic on top would run away from the data
        calm = scalars * torch.rsqrt(0.5 + 0.5 * scalars.square().mean(1, keepdim=True))
        radial = self.radial(surroundings.waves).view(-1, self.orders, self.channels)
        harmonics = surroundings.harmonics[:, : self.orders**2]  # others may look at higher orders
        density = gather(radial, harmonics.contiguous(), self.send(calm), surroundings.bonds)
        density = self.density_size(self.mix(density))
        if told is not None:
            rows = 1 + told.shape[1]
            density = torch.cat([density[:, :1], density[:, 1:rows] + told, density[:, rows:]], 1)
        is_element = nn.functional.one_hot(element, len(self.keep)).to(scalars)
        out = self.products(density, element, is_element)
        kept = self._kept(scalars, is_element)[:, None]
        return torch.as_tensor(self.out_size(torch.cat([out[:, :1] + kept, out[:, 1:]], dim=1)))

    def alone(self, scalars: Tensor) -> Tensor:
        """Update the scalars ``(elements, channels)`` of atoms without neighbours: only what is kept."""
        return self._kept(scalars, torch.eye(len(scalars)).to(scalars)) * self.out_size.scale[0]

    def _kept(self, scalars: Tensor, is_element: Tensor) -> Tensor:
        by_element = (is_element[:, :, None] * scalars[:, None]).flatten(1)  # one matrix product for all elements
        return by_element @ self.keep.flatten(0, 1) / math.sqrt(self.channels)
