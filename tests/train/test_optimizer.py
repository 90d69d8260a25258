import pytest
import torch

from farfield.model import new_model
from farfield.train.optimizer import MAP_SIZE, MuonWithAdam, linear_maps, orthogonalized


class Some(torch.nn.Module):
    """A map and something else, as they are given."""

    linear_maps = ("weight",)

    def __init__(self, weight, *others):
        super().__init__()
        self.weight = torch.nn.Parameter(weight)
        self.others = torch.nn.ParameterList(others)


@pytest.mark.parametrize("shape", [(3, 8, 8), (1, 8, 40), (2, 40, 8)])
def test_singular_values_become_one_and_their_vectors_stay(shape):
    torch.manual_seed(0)
    matrices = torch.randn(shape, dtype=torch.float64)
    found = orthogonalized(matrices)
    u, _, vh = torch.linalg.svd(matrices, full_matrices=False)
    values = torch.diagonal(u.mT @ found @ vh.mT, dim1=-2, dim2=-1)
    assert 0.6 < values.min() <= values.max() < 1.3
    torch.testing.assert_close(u @ torch.diag_embed(values) @ vh, found)


def test_steps_have_the_size_of_the_learning_rate():
    torch.manual_seed(0)
    model = Some(torch.zeros(2, 16, 32), torch.zeros(5))
    matrix, vector = model.weight, model.others[0]
    optimizer = MuonWithAdam(model, 0.01)
    matrix.grad, vector.grad = 1e6 * torch.randn(2, 16, 32), 1e-3 * torch.randn(5)
    signs = vector.grad.sign()
    optimizer.step()
    assert matrix.detach().square().mean().sqrt().item() == pytest.approx(MAP_SIZE * 0.01, rel=0.3)
    torch.testing.assert_close(vector.detach(), -0.01 * signs, rtol=1e-4, atol=0)  # Adam's first step


def test_adam_is_torchs():
    torch.manual_seed(1)
    theirs, model = torch.ones(7, requires_grad=True), Some(torch.zeros(8, 8), torch.ones(7))
    ours, mine = model.others[0], MuonWithAdam(model, 0.01)
    reference = torch.optim.Adam([theirs], lr=0.01, betas=(0.9, 0.99))
    for _ in range(20):
        gradient = torch.randn(7)
        ours.grad, theirs.grad = gradient.clone(), gradient.clone()
        mine.step()
        reference.step()
    torch.testing.assert_close(ours, theirs, check_stride=False)


def test_an_ill_conditioned_least_squares_is_solved_where_adam_still_crawls():
    """Inputs whose directions differ a thousandfold in size."""

    def loss_after(make, steps=300):
        torch.manual_seed(2)
        x = torch.randn(200, 16) * torch.logspace(0, -3, 16)
        goal, model = torch.randn(16, 16), Some(torch.zeros(16, 16))
        weight, optimizer = model.weight, make(model)
        for step in range(steps):
            optimizer.param_groups[0]["lr"] = 0.1 * (1 - step / steps)
            optimizer.zero_grad()
            loss = (x @ (weight - goal)).square().mean()
            loss.backward()
            optimizer.step()
        return loss.item()

    muon = loss_after(lambda model: MuonWithAdam(model, 0.1))
    assert muon < loss_after(lambda model: torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.95))


def test_state_survives_a_save():
    torch.manual_seed(0)
    gradients = [torch.randn(9, 9) for _ in range(6)]

    def moved(restart):
        model = Some(torch.zeros(9, 9), torch.zeros(9))
        (weight, bias), optimizer = (model.weight, model.others[0]), MuonWithAdam(model, 0.01)
        for k, gradient in enumerate(gradients):
            if restart and k == 3:
                saved, optimizer = optimizer.state_dict(), MuonWithAdam(model, 0.01)
                optimizer.load_state_dict(saved)
            weight.grad, bias.grad = gradient.clone(), gradient[0].clone()
            optimizer.step()
        return weight, bias

    for whole, parts in zip(moved(False), moved(True)):
        assert torch.equal(whole, parts)


def test_an_element_that_is_not_there_rests():
    """One gradient, then none for two thousand steps; the other matrix goes on learning."""
    torch.manual_seed(0)
    model = Some(torch.zeros(2, 16, 16))
    optimizer = MuonWithAdam(model, 0.02)
    after_one = None
    for step in range(2000):
        gradient = 1e-3 * torch.randn(2, 16, 16)
        if step:
            gradient[1] = 0
        model.weight.grad = gradient
        optimizer.step()
        if after_one is None:
            after_one = model.weight[1].detach().clone()
    assert torch.equal(model.weight[1].detach(), after_one)
    assert torch.isfinite(model.weight).all()


@pytest.mark.parametrize("size", [1e-38, 1e-25, 1e25])
def test_size_does_not_matter_and_zero_stays_zero(size):
    torch.manual_seed(0)
    matrix = torch.randn(1, 8, 8)
    torch.testing.assert_close(orthogonalized(size * matrix), orthogonalized(matrix), rtol=1e-2, atol=1e-2)
    assert torch.equal(orthogonalized(torch.zeros(2, 8, 9)), torch.zeros(2, 8, 9))


def test_tables_of_elements_are_not_maps():
    """Ten elements make the tables of weights per element look like matrices of ten rows."""
    model = new_model({"kind": "latent"}, species=range(1, 11), backbone={"channels": 16, "radial_hidden": 16})
    maps = {id(p) for p in linear_maps(model)}
    names = {name for name, p in model.named_parameters() if id(p) in maps}
    assert {name.rsplit(".", 1)[1] for name in names} == {"weight", "keep"}
    assert "backbone.embedding" not in names
