"""What holds for every method, and for each one alone: the checks that can fail."""

import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from sqwire import train
from sqwire.train.bsq import Planes
from sqwire.train.dfq import interpolated, rounded
from sqwire.train.prune import drop_globally
from sqwire.train.taylor import taylor_score

METHODS = {
    "SQuantizer": train.SQuantizer(sigma=0.5),
    "2 bits": train.SQuantizer(weight_bits=2, per_channel=True),
    "global": train.SQuantizer(zeros=0.8, scope="global"),
    "Taylor": train.Taylor(zeros=0.9, end=4, quantize=4, interval=1),
    "Magnitude": train.Magnitude(zeros=0.9, end=4, quantize=4, interval=1),
    "Random": train.Random(zeros=0.5, end=4, quantize=4, interval=1),
    "BSQ": train.BSQ(alpha=0.3, search=5, interval=2),
    "DFQ": train.DFQ(budget=4, search=5),
    "Uniform": train.Uniform(weight_bits=3),
}


@pytest.mark.parametrize("name", METHODS)
def test_trains_freezes_and_gives_every_integer_to_the_compiler(name, tiny, images, agree, learn):
    y = torch.randint(0, 10, (12,))
    qat = train.prepare(tiny, METHODS[name], images)
    losses = learn(qat, images, y, 8)
    assert all(map(math.isfinite, losses))
    assert qat.settled
    frozen = qat.eval().freeze()
    assert agree(frozen, images) == 5
    for layer, weights in qat.weights():
        codes = frozen.nodes[layer].op.weight
        assert np.abs(codes).max() <= 2 ** (max(2, weights.bits) - 1) - 1
    assert frozen.card.document()["method"] == type(METHODS[name]).__name__


@pytest.mark.parametrize("name", METHODS)
def test_state_dict_continues_to_the_same_bits(name, tiny, images, learn):
    y = torch.randint(0, 10, (12,))

    def start():
        qat = train.prepare(tiny, METHODS[name], images)
        return qat, torch.optim.SGD(qat.parameters(), lr=0.05, momentum=0.9)

    def go(qat, optimizer, steps):
        for _ in range(steps):
            loss = qat.loss(functional.cross_entropy(qat(images), y))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            if qat.step():
                optimizer.state.clear()

    whole, optimizer = start()
    go(whole, optimizer, 7)
    half, optimizer = start()
    go(half, optimizer, 3)
    saved = half.state_dict(), optimizer.state_dict()
    other, optimizer = start()
    other.load_state_dict(saved[0])
    optimizer.load_state_dict(saved[1])
    go(other, optimizer, 4)
    for (key, a), b in zip(whole.state_dict().items(), other.state_dict().values(), strict=True):
        assert torch.equal(a, b), key


def test_network_in_plain_float_is_not_frozen(tiny, images):
    qat = train.prepare(tiny, train.SQuantizer(delay=2), images)
    with pytest.raises(ValueError, match="freeze: the method must have begun to quantize"):
        qat.freeze()


def test_loss_that_is_not_finite_is_refused_before_any_weight_changes(tiny, images):
    qat = train.prepare(tiny, train.SQuantizer(), images)
    before = {name: value.clone() for name, value in qat.state_dict().items()}
    with pytest.raises(ValueError, match="loss must be finite, not nan in step 1"):
        qat.loss(qat(images).sum() * float("nan"))
    assert all(torch.equal(value, before[name]) for name, value in qat.state_dict().items())
    assert all(p.grad is None for p in qat.parameters())


# Taylor


def test_taylor_score_is_the_loss_change_as_the_step_goes_to_0():
    """Each weight shrunk by eps alone: true change over eps tends to |w dL/dw|, so to the root of
    the score, and the ranks agree."""
    x, y = torch.randn(64, 6, dtype=torch.float64), torch.randint(0, 3, (64,))
    net = nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 3)).double()
    weight = net[0].weight
    loss = functional.cross_entropy(net(x), y)
    (gradient,) = torch.autograd.grad(loss, weight)
    score = taylor_score(weight.detach(), gradient).sqrt().flatten()
    worst = []
    for eps in (1e-1, 1e-3, 1e-5):
        changes = []
        for k in range(weight.numel()):
            with torch.no_grad():
                old = weight.view(-1)[k].clone()
                weight.view(-1)[k] = old * (1 - eps)
                changes.append(abs(float(functional.cross_entropy(net(x), y) - loss)) / eps)
                weight.view(-1)[k] = old
        changes = torch.tensor(changes, dtype=torch.float64)
        worst.append(float((changes - score).abs().max()))
    assert worst[0] > worst[1] > worst[2]
    assert worst[2] < 1e-6
    ranks = [v.argsort().argsort().double() for v in (changes, score)]
    assert float(torch.corrcoef(torch.stack(ranks))[0, 1]) > 0.999


def test_pruning_grows_to_the_target_and_what_is_gone_stays_gone(tiny, images, learn):
    method = train.Taylor(zeros=0.9, end=6, quantize=7, interval=1)
    qat = train.prepare(tiny, method, images)
    y = torch.randint(0, 10, (12,))
    share, gone = [], None
    for _ in range(9):
        learn(qat, images, y, 1)
        mask = torch.cat([w.mask.flatten() for _, w in qat.weights()])
        assert gone is None or not (mask & gone).any()
        gone = ~mask
        share.append(float(gone.double().mean()))
    assert share == sorted(share)
    assert share[5:] == [pytest.approx(0.9, abs=1e-3)] * 4
    assert 0.3 < share[0] < 0.5  # cubic: fast at first
    assert qat.zeros() == pytest.approx(share[-1])


def test_no_layer_is_cut_through_by_a_global_ranking(tiny, images):
    qat = train.prepare(tiny, train.Taylor(zeros=0.99), images)
    mine = [w for _, w in qat.weights()]
    scores = [torch.full_like(w.weight, float(k)) for k, w in enumerate(mine)]
    drop_globally(mine, scores, 0.99, 0.1)
    kept = [int(w.mask.sum()) for w in mine]
    assert min(kept) >= 1
    assert sum(kept) == sum(w.weight.numel() for w in mine) - round(0.99 * 820)


def test_taylor_wants_its_gradients(tiny, images):
    qat = train.prepare(tiny, train.Taylor(), images)
    with pytest.raises(ValueError, match=r"qat.step\(\) must come before gradients are cleared"):
        qat.step()


# BSQ


def planes(shape=(5, 7), seed=0):
    torch.manual_seed(seed)
    return Planes(torch.randn(shape))


def test_planes_of_a_new_layer_are_its_weights_in_eight_bits():
    weight = torch.randn(5, 7)
    coded = Planes(weight).codes(weight)
    assert (coded.value - weight).abs().max() <= weight.abs().max() / 255 / 2 * 1.0001
    assert torch.equal(coded.codes, coded.codes.round())


@pytest.mark.parametrize("drop", [0, 1, 3])
def test_adjustment_leaves_the_weights_unchanged_bit_for_bit(drop):
    p = planes()
    with torch.no_grad():
        p.planes[:, :drop] = 0
        p.planes[:, 7 - drop :] = 0
        p.planes.add_(torch.rand_like(p.planes) * 0.2).clamp_(0, 2)
        p.planes[:, :drop] = 0
    before = p.codes(torch.zeros(5, 7)).value.detach().clone()
    p.adjust()
    after = p.codes(torch.zeros(5, 7)).value.detach()
    assert torch.equal(before, after)
    assert set(p.planes.unique().tolist()) <= {0.0, 1.0}
    p.adjust()
    assert torch.equal(after, p.codes(torch.zeros(5, 7)).value.detach())


def test_lower_planes_of_zeros_double_the_unit_and_upper_ones_only_narrow():
    p = planes()
    with torch.no_grad():
        p.planes[:, :2] = 0
        p.planes[:, 6:] = 0
        p.planes[0, 2, 0, 0] = p.planes[0, 5, 0, 0] = 1
    unit = float(p.unit)
    p.adjust()
    assert int(p.width) == 4
    assert float(p.unit) == 4 * unit


def test_planes_that_grew_take_a_bit_more():
    p = planes()
    with torch.no_grad():
        p.planes.zero_()
        p.planes[0, :3, 0, 0] = 1.6
    p.width.fill_(3)
    before = p.codes(torch.zeros(5, 7)).codes.detach().clone()
    assert float(before.max()) == 11
    p.adjust()
    assert int(p.width) == 4
    assert torch.equal(before, p.codes(torch.zeros(5, 7)).codes.detach())


def test_layer_of_zeros_has_no_bits_and_stays_so():
    p = planes()
    with torch.no_grad():
        p.planes.mul_(0.001)
    p.adjust()
    assert int(p.width) == 0
    assert not p.codes(torch.zeros(5, 7)).codes.any()
    p.adjust()
    assert float(p.penalty().detach()) == 0


def test_gradient_of_the_planes_is_that_of_the_map_before_rounding():
    p = planes((2, 3)).double()
    g = torch.randn(2, 3, dtype=torch.float64)
    (p.codes(torch.zeros(2, 3)).value * g).sum().backward()
    step = float(p.scale.detach() * p.unit)
    for sign in (0, 1):
        for i in range(8):
            want = g * step * 2.0**i * (1 if sign == 0 else -1)
            assert torch.allclose(p.planes.grad[sign, i], want)

    def unrounded(q):
        total = sum((q[0, i] - q[1, i]) * 2.0**i for i in range(8))
        return float((total * step * g).sum())

    base, eps = p.planes.detach(), 1e-4
    moved = base.clone()
    moved[1, 5, 0, 2] += eps
    slope = (unrounded(moved) - unrounded(base)) / eps
    assert slope == pytest.approx(float(p.planes.grad[1, 5, 0, 2]), rel=1e-6)


def test_penalty_is_the_group_lasso_of_its_formula(tiny, images):
    qat = train.prepare(tiny, train.BSQ(alpha=2.0), images)
    total = sum(w.weight.numel() for _, w in qat.weights())
    want = 0.0
    for _, w in qat.weights():
        lasso = 0.0
        for i in range(8):
            both = w.state.planes[:, i].detach().double()
            lasso += math.sqrt(1e-8 + float((both**2).sum()))
        want += w.weight.numel() * 8 / total * lasso
    assert float(qat.method.penalty(qat).detach()) == pytest.approx(2 * want, rel=1e-5)


def test_without_penalty_all_layers_keep_eight_bits_and_more_penalty_leaves_fewer(
    tiny, images, learn
):
    y = torch.randint(0, 10, (12,))
    means = []
    for alpha in (0.0, 1.5, 6.0):
        qat = train.prepare(tiny, train.BSQ(alpha=alpha, search=30, interval=5), images)
        learn(qat, images, y, 31, lr=0.02)
        widths = [int(w.state.width) for _, w in qat.weights()]
        means.append(sum(widths))
        if not alpha:
            assert widths == [8, 8, 8]
    assert means[0] > means[1] > means[2]


@pytest.mark.parametrize("widths", [(40, 20, 3), (3, 20, 40)])
def test_the_larger_layer_loses_its_planes_first(widths, learn):
    """The penalty counts the memory of a layer; with the sizes swapped the order is swapped."""
    a, b, c = widths
    net = nn.Sequential(nn.Linear(a, b), nn.ReLU(), nn.Linear(b, c))
    x, y = torch.rand(64, a), torch.randint(0, c, (64,))
    qat = train.prepare(net, train.BSQ(alpha=0.5, search=40, interval=10), x)
    learn(qat, x, y, 41)
    first, last = (int(w.state.width) for _, w in qat.weights())
    assert (first < last) == (a * b > b * c)
    assert first != last


def test_layer_without_bits_is_removed_where_something_bypasses_it(images, agree):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Conv2d(1, 3, 3, padding=1), nn.Conv2d(3, 3, 3, padding=1)
            self.c = nn.Conv2d(3, 2, 1)

        def forward(self, x):
            x = torch.relu(self.a(x))
            return self.c(torch.relu(self.b(x) + x))

    qat = train.prepare(Net(), train.BSQ(search=1), images).eval()
    whole = qat(images)
    dead = dict(qat.weights())["b"].state
    with torch.no_grad():
        dead.planes.zero_()
    dead.adjust()
    frozen = qat.freeze()
    assert "b" not in frozen.nodes and "add1" not in frozen.nodes
    assert agree(frozen, images) >= 4
    assert frozen.card.document()["removed"] == {"b": 81}
    with torch.no_grad():
        want = qat(images).numpy()
    assert np.isclose(frozen(images.numpy()), want, rtol=1e-3, atol=1e-3).mean() > 0.95
    assert not np.allclose(whole.detach().numpy(), want)


def test_network_of_which_nothing_is_left_is_refused(tiny, images):
    qat = train.prepare(tiny, train.BSQ(), images).eval()
    for _, w in qat.weights():
        with torch.no_grad():
            w.state.planes.zero_()
        w.state.adjust()
    with pytest.raises(ValueError, match="nothing of it is left"):
        qat.freeze()


# DFQ


@pytest.mark.parametrize("bits", [2.3, 3.5, 4.75, 6.1, 7.9])
def test_gradient_of_the_width_is_the_finite_difference(bits):
    weight = torch.randn(6, 9, dtype=torch.float64)
    g = torch.randn(6, 9, dtype=torch.float64)
    b = torch.tensor(bits, dtype=torch.float64, requires_grad=True)
    (interpolated(weight, b) * g).sum().backward()
    eps = 1e-4
    ends = [
        float((interpolated(weight, torch.tensor(bits + d, dtype=torch.float64)) * g).sum())
        for d in (eps, -eps)
    ]
    assert float(b.grad) == pytest.approx((ends[0] - ends[1]) / (2 * eps), rel=1e-6)


def test_interpolation_meets_the_grids_at_integers():
    weight = torch.randn(50)
    from sqwire.train.grid import uniform_codes

    for bits in range(2, 9):
        assert torch.allclose(
            interpolated(weight, torch.tensor(float(bits))), uniform_codes(weight, bits).value
        )


def test_widths_are_rounded_within_the_budget_and_near_what_was_learned():
    generator = np.random.default_rng(0)
    for _ in range(200):
        sizes = generator.integers(1, 1000, 6).tolist()
        learned = generator.uniform(2, 8, 6).tolist()
        total = sum(sizes)
        mean = sum(b * n for b, n in zip(learned, sizes, strict=True)) / total
        widths = rounded(learned, sizes, mean)
        found = sum(b * n for b, n in zip(widths, sizes, strict=True)) / total
        assert found <= mean + 1e-9
        assert all(
            2 <= b <= 8 and abs(b - was) <= 1 for b, was in zip(widths, learned, strict=True)
        )
    assert rounded([5.0, 5.0], [10, 10], 3.0) == [3, 3]


def test_budget_is_kept_and_widths_are_near_those_that_were_learned(tiny, images, learn):
    qat = train.prepare(tiny, train.DFQ(budget=4, search=40, strength=0.5), images)
    y = torch.randint(0, 10, (12,))
    sizes = [w.weight.numel() for _, w in qat.weights()]
    learn(qat, images, y, 39)
    before = [float(w.state.bits.detach()) for _, w in qat.weights()]
    learn(qat, images, y, 1)
    widths = [w.bits for _, w in qat.weights()]
    mean = np.average(widths, weights=sizes)
    assert mean <= 4
    assert abs(mean - np.average(before, weights=sizes)) < 0.25 + 0.1
    assert not any(p.requires_grad for n, p in qat.named_parameters() if n.endswith("theta"))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: train.Taylor(zeros=1.0), "Taylor: zeros must be 0 to 0.999, not 1.0"),
        (lambda: train.Taylor(start=5, end=4), "start, end and quantize must follow one another"),
        (lambda: train.Taylor(interval=0), "interval must be above 0"),
        (lambda: train.Taylor(momentum=1.0), "momentum must be at least 0 and below 1"),
        (lambda: train.Magnitude(weight_bits=9), "Magnitude: weight_bits must be 2 to 8, not 9"),
        (lambda: train.Random(floor=2.0), "Random: floor must be 0 to 1"),
        (lambda: train.BSQ(alpha=-1), "BSQ: alpha must be 0 to 10"),
        (lambda: train.BSQ(search=0), "BSQ: search and interval must be above 0"),
        (lambda: train.DFQ(budget=1), "DFQ: budget must be 2 to 8, not 1"),
        (lambda: train.DFQ(strength=0), "DFQ: strength must be above 0"),
        (lambda: train.Uniform(act_bits=1), "Uniform: act_bits must be 2 to 8"),
        (lambda: train.Uniform(delay=-1), "Uniform: delay must be 0 or more"),
    ],
)
def test_impossible_settings_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
