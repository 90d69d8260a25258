import pytest
import torch

from farfield.train.optimizer import MATRIX_SIZE, MuonWithAdam, is_matrix, orthogonalized


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
    matrix, vector = torch.zeros(2, 16, 32, requires_grad=True), torch.zeros(5, requires_grad=True)
    optimizer = MuonWithAdam([matrix, vector], 0.01)
    matrix.grad, vector.grad = 1e6 * torch.randn(2, 16, 32), 1e-3 * torch.randn(5)
    signs = vector.grad.sign()
    optimizer.step()
    assert matrix.detach().square().mean().sqrt().item() == pytest.approx(MATRIX_SIZE * 0.01, rel=0.3)
    torch.testing.assert_close(vector.detach(), -0.01 * signs, rtol=1e-4, atol=0)  # Adam's first step


def test_adam_is_torchs():
    torch.manual_seed(1)
    ours, theirs = (torch.ones(7, requires_grad=True) for _ in range(2))
    mine = MuonWithAdam([ours], 0.01)
    reference = torch.optim.Adam([theirs], lr=0.01, betas=(0.9, 0.99))
    for _ in range(20):
        gradient = torch.randn(7)
        ours.grad, theirs.grad = gradient.clone(), gradient.clone()
        mine.step()
        reference.step()
    torch.testing.assert_close(ours, theirs)


def test_an_ill_conditioned_least_squares_is_solved_where_adam_still_crawls():
    """Inputs whose directions differ a thousandfold in size."""

    def loss_after(make, steps=300):
        torch.manual_seed(2)
        x = torch.randn(200, 16) * torch.logspace(0, -3, 16)
        goal, weight = torch.randn(16, 16), torch.zeros(16, 16, requires_grad=True)
        optimizer = make([weight])
        for step in range(steps):
            optimizer.param_groups[0]["lr"] = 0.1 * (1 - step / steps)
            optimizer.zero_grad()
            loss = (x @ (weight - goal)).square().mean()
            loss.backward()
            optimizer.step()
        return loss.item()

    muon = loss_after(lambda p: MuonWithAdam(p, 0.1))
    assert muon < loss_after(lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.95))


def test_state_survives_a_save():
    torch.manual_seed(0)
    gradients = [torch.randn(9, 9) for _ in range(6)]

    def moved(restart):
        weight, bias = torch.zeros(9, 9, requires_grad=True), torch.zeros(9, requires_grad=True)
        optimizer = MuonWithAdam([weight, bias], 0.01)
        for k, gradient in enumerate(gradients):
            if restart and k == 3:
                saved, optimizer = optimizer.state_dict(), MuonWithAdam([weight, bias], 0.01)
                optimizer.load_state_dict(saved)
            weight.grad, bias.grad = gradient.clone(), gradient[0].clone()
            optimizer.step()
        return weight, bias

    for whole, parts in zip(moved(False), moved(True)):
        assert torch.equal(whole, parts)


def test_who_is_a_matrix():
    assert is_matrix(torch.zeros(8, 8))
    assert is_matrix(torch.zeros(3, 8, 32))
    assert not is_matrix(torch.zeros(64, 1))
    assert not is_matrix(torch.zeros(32))
