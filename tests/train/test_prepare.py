"""Any network that can be traced: what the compiler reads is what was trained, every integer."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils.parametrizations import weight_norm

from sqwire import train
from sqwire.train.layers import Linear
from sqwire.train.quantizer import ActQuantizer


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 4, 3, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(4)
        self.conv2 = nn.Conv2d(4, 4, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(4)
        self.conv3 = nn.Conv2d(4, 4, 1)
        self.relu = nn.ReLU(inplace=True)
        self.fc = nn.Linear(4, 5)

    def forward(self, x):
        x = self.relu(self.norm1(self.conv1(x)))
        x = self.relu(self.norm2(self.conv2(x)) + x)
        x = functional.relu(self.conv3(x).add(x))
        return self.fc(x.mean((2, 3)))


class Branches(nn.Module):
    def __init__(self):
        super().__init__()
        self.left = nn.Sequential(nn.Conv2d(3, 2, 1), nn.LeakyReLU(0.1))
        self.right = nn.Sequential(nn.Conv2d(3, 3, 3, stride=2, padding=1), nn.ReLU())
        self.up = nn.Upsample(scale_factor=2)
        self.last = nn.Conv2d(5, 4, 1)

    def forward(self, x):
        return self.last(torch.cat([self.left(x), self.up(self.right(x))], 1))


def plain(*parts, classes=None):
    tail = [] if classes is None else [nn.Flatten(), nn.LazyLinear(classes)]
    return nn.Sequential(*parts, *tail)


KINDS = {
    "grouped": (plain(nn.Conv2d(4, 6, 3, groups=2, bias=False), nn.BatchNorm2d(6), nn.ReLU(),
                      nn.Conv2d(6, 3, 1)), (4, 6, 6)),
    "depthwise": (plain(nn.Conv2d(4, 4, 3, padding=1, groups=4), nn.ReLU6(),
                        nn.Conv2d(4, 3, 1)), (4, 6, 6)),
    "dilated": (plain(nn.Conv2d(2, 3, 3, dilation=2, padding="same"), nn.Hardtanh(-1, 1),
                      nn.Conv2d(3, 2, 1)), (2, 7, 7)),
    "conv1d": (plain(nn.Conv1d(2, 4, 5, padding=2), nn.BatchNorm1d(4), nn.ReLU(), nn.MaxPool1d(2),
                     nn.Conv1d(4, 3, 1)), (2, 12)),
    "transposed": (plain(nn.ConvTranspose2d(2, 3, 3, stride=2, padding=1, output_padding=1),
                         nn.ReLU(), nn.Conv2d(3, 2, 1)), (2, 5, 5)),
    "transposed in groups": (plain(nn.ConvTranspose2d(4, 6, 3, stride=2, groups=2, bias=False),
                                   nn.BatchNorm2d(6), nn.ReLU(), nn.Conv2d(6, 2, 1)), (4, 4, 4)),
    "transposed square": (plain(nn.ConvTranspose2d(4, 4, 2, stride=2), nn.ReLU(),
                                nn.Conv2d(4, 2, 1)), (4, 4, 4)),
    "transposed 1d": (plain(nn.ConvTranspose1d(2, 3, 4, stride=2, padding=1), nn.ReLU(),
                            nn.Conv1d(3, 2, 1)), (2, 5)),
    "leaky": (plain(nn.Conv2d(2, 3, 3), nn.LeakyReLU(0.1), nn.Conv2d(3, 2, 1)), (2, 6, 6)),
    "hardswish": (plain(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.Hardswish(),
                        nn.Conv2d(3, 2, 1)), (2, 6, 6)),
    "silu": (plain(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.SiLU(), nn.Conv2d(3, 2, 1)),
             (2, 6, 6)),
    "sigmoid": (plain(nn.Conv2d(2, 3, 3), nn.Sigmoid(), nn.Conv2d(3, 2, 1)), (2, 6, 6)),
    "pools": (plain(nn.Conv2d(2, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(3, 2, 1),
                    nn.AvgPool2d(2), nn.Conv2d(4, 3, 1)), (2, 8, 8)),
    "classifier": (plain(nn.Conv2d(2, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
                         nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.2),
                         nn.Linear(8, 3)), (2, 6, 6)),
    "norm behind": (plain(nn.Conv2d(2, 4, 3), nn.ReLU(), nn.BatchNorm2d(4), nn.Conv2d(4, 3, 1)),
                    (2, 6, 6)),
    "residual": (Residual(), (3, 6, 6)),
    "branches": (Branches(), (3, 6, 6)),
}  # fmt: skip


@pytest.mark.parametrize("per_channel", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_graph_of_the_export_gives_every_integer_of_the_frozen_network(
    kind, per_channel, agree, stir
):
    model, shape = KINDS[kind]
    x = torch.randn(6, *shape)
    method = train.SQuantizer(sigma=0.0, act_bits=5, per_channel=per_channel)
    qat = train.prepare(stir(model), method, x).eval()
    frozen = qat.freeze()
    assert agree(frozen, x) >= 2
    with torch.no_grad():
        want = qat(x).numpy()
    got = frozen(x.numpy())
    assert got.shape == want.reshape(got.shape).shape
    # The same but where float32 falls on the other side of a rounding boundary.
    close = np.isclose(got, want.reshape(got.shape), rtol=1e-3, atol=1e-3)
    assert close.mean() > 0.95


@pytest.mark.parametrize("name", ["vgg", "mobile", "tiny yolo"])
def test_networks_of_ours_freeze_to_what_the_compiler_reads(name, agree, stir):
    model = {
        "vgg": lambda: train.networks.vgg((4, 6), 3, 3, 8),
        "mobile": lambda: train.networks.mobilenet.MobileNetV2(10).features[:3],
        "tiny yolo": lambda: train.networks.yolo._Neck(4, 4, 6).body,
    }[name]()
    channels = 4 if name == "tiny yolo" else 3
    x = torch.randn(2, channels, 8, 8)
    frozen = train.prepare(stir(model), train.SQuantizer(sigma=1.0), x).eval().freeze()
    assert agree(frozen, x) >= 4


class Arithmetic(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.fc = nn.Conv2d(1, 2, 3, padding=1), nn.Linear(8, 3)

    def forward(self, x):
        y = (1.0 - self.conv(x / 2) * 0.5).relu()
        y = torch.div(y, 4) + 0.25 - 0.125
        y = functional.avg_pool2d(functional.max_pool2d(functional.relu6(y), 2), 2)
        return self.fc(y.view(-1, 8)) - 1


def test_arithmetic_with_numbers_and_calls_of_functions_are_what_they_say(agree):
    model, x = Arithmetic(), torch.randn(5, 1, 8, 8)
    plain = train.prepare(model, train.SQuantizer(delay=1), x).eval()
    assert torch.allclose(plain(x), model(x), atol=0.1)
    qat = train.prepare(model, train.Uniform(weight_bits=8, act_bits=8), x).eval()
    assert torch.allclose(qat(x), model(x), atol=0.1)
    assert agree(qat.freeze(), x) >= 4


def test_mixed_precision_is_off_inside(tiny, images):
    qat = train.prepare(tiny, train.SQuantizer(), images).eval()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = qat(images)
    assert mixed.dtype == torch.float32
    assert torch.equal(mixed, qat(images))


def test_model_itself_is_left_alone(tiny, images):
    before = {k: v.clone() for k, v in tiny.state_dict().items()}
    qat = train.prepare(tiny, train.SQuantizer(), images)
    qat(images).sum().backward()
    assert all(torch.equal(v, before[k]) for k, v in tiny.state_dict().items())
    assert tiny[0].weight.grad is None


def test_in_plain_float_the_network_is_the_model(tiny, images):
    qat = train.prepare(tiny, train.SQuantizer(delay=1), images)
    assert torch.allclose(qat(images), tiny(images), rtol=1e-4, atol=1e-4)


def test_tensors_that_are_added_share_one_step_and_the_sum_keeps_it():
    qat = train.prepare(Residual(), train.SQuantizer(), torch.randn(2, 3, 6, 6))
    step = {n: qat.layer(n).step for n in qat.sites if isinstance(qat.layer(n), ActQuantizer)}
    assert step["conv1.act"] is step["conv2.act"]
    assert step["add1.act"] is step["conv3.act"]
    assert step["conv1.act"] is step["add1.act"]  # a sum keeps it
    assert step["pool1.act"] is not step["add1.act"]
    assert qat.layer("conv2.act").signed
    assert not qat.layer("conv1.act").signed


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_transposed_convolution_has_a_scale_for_each_output(groups):
    model = nn.ConvTranspose2d(4, 4, 2, stride=2, groups=groups, bias=False)
    with torch.no_grad():  # those of output 3
        model.weight[4 - 4 // groups :, 4 // groups - 1] *= 100
    x = torch.randint(0, 8, (2, 4, 3, 3)).float()
    qat = train.prepare(model, train.Uniform(weight_bits=8, per_channel=True), x)
    ((_, weights),) = qat.weights()
    scale = weights().scale
    assert scale.shape == (4, 1, 1, 1)
    assert scale[3] > 10 * scale[:3].max()
    qat.quantize(False)
    assert torch.allclose(qat(x), model(x), rtol=1e-4, atol=1e-3)


def test_batch_norm_never_touches_the_weights(stir):
    model = stir(Residual())
    qat = train.prepare(model, train.SQuantizer(sigma=0.0), torch.randn(2, 3, 6, 6)).eval()
    frozen = qat.freeze()
    for name, weights in qat.weights():
        assert np.array_equal(frozen.nodes[name].op.weight, weights().codes.detach().numpy()), name


def test_layers_have_their_own_settings_and_are_excluded_by_name_or_predicate(tiny, images):
    def is_linear(name, module):
        return isinstance(module, nn.Linear)

    qat = train.prepare(
        tiny, train.SQuantizer(sigma=1.0), images,
        own={"2": {"sigma": -2.0, "act_bits": 6}}, exclude=[is_linear],
    )  # fmt: skip
    by_name = dict(qat.weights())
    assert by_name["0"].method.sigma == 1.0
    assert by_name["2"].method.sigma == -2.0
    assert (by_name["5"].bits, int((by_name["5"]().codes == 0).sum()) < 20) == (8, True)
    assert qat.layer("2.act").bits == 6
    assert qat.eval().freeze().card.document()["excluded"] == ["5"]


def test_weights_that_are_used_twice_are_shared():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(2, 2, 3, padding=1)

        def forward(self, x):
            return self.conv(torch.relu(self.conv(x)))

    qat = train.prepare(Twice(), train.SQuantizer(), torch.randn(2, 2, 5, 5))
    assert len(list(qat.weights())) == 1
    assert qat.layer("conv").weights is qat.layer("conv@2").weights


def test_several_outputs_are_frozen(tmp_path):
    class Heads(nn.Module):
        def __init__(self):
            super().__init__()
            self.body, self.a, self.b = nn.Conv2d(1, 3, 3), nn.Conv2d(3, 2, 1), nn.Conv2d(3, 1, 1)

        def forward(self, x):
            x = torch.relu(self.body(x))
            return self.a(x), self.b(x)

    x = torch.randn(3, 1, 6, 6)
    qat = train.prepare(Heads(), train.SQuantizer(sigma=0.0), x).eval()
    a, b = qat.freeze()(x.numpy())
    assert (a.shape, b.shape) == ((3, 2, 4, 4), (3, 1, 4, 4))
    qat.freeze().export(tmp_path / "heads.onnx")


@pytest.mark.parametrize(
    ("given", "bits", "scale", "signed"),
    [
        (torch.arange(32.0).reshape(2, 1, 4, 4), 5, 1.0, False),
        (torch.rand(2, 1, 4, 4) * 0 + 0.5, 8, 0.5 / 255, False),
        (torch.full((2, 1, 4, 4), -1.0), 8, 1 / 127, True),
    ],
)
def test_grid_of_the_input_follows_from_the_example(given, bits, scale, signed):
    qat = train.prepare(nn.Conv2d(1, 1, 1), train.SQuantizer(), given)
    entry = qat.layer("input")
    assert (entry.bits, entry.signed) == (bits, signed)
    assert float(entry.step.value) == pytest.approx(scale)


class Branching(nn.Module):
    def forward(self, x):
        return x if x.sum() > 0 else -x


class Bare(nn.Module):
    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(torch.ones(1))

    def forward(self, x):
        return x * self.w


class Product(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 1, 1)

    def forward(self, x):
        return self.conv(x) * x


class Calls(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.conv, self.call = nn.Conv2d(1, 1, 1), function

    def forward(self, x):
        return self.call(self.conv(x))


class Unused(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.more = nn.Conv2d(1, 1, 1), nn.Conv2d(1, 1, 1)

    def forward(self, x):
        x = self.conv(x)
        return self.more(x) if self.training else x


def hooked():
    model = nn.Sequential(nn.Conv2d(1, 1, 1), nn.ReLU())
    model[1].register_forward_hook(lambda module, x, y: 2 * y)
    return model


def diverged():
    model = nn.Sequential(nn.Conv2d(1, 1, 1), nn.BatchNorm2d(1))
    model[1].running_var.fill_(float("nan"))
    return model


@pytest.mark.parametrize(
    ("model", "options", "message"),
    [
        (Unused().eval(), {}, 'Layer "more": the trace must meet every layer with weights'),
        (hooked(), {}, 'Layer "1": it must have no forward hooks'),
        (nn.Sequential(weight_norm(nn.Conv2d(1, 1, 1))), {}, "must be plain parameters"),
        (nn.Sequential(nn.GRU(8, 8)), {}, 'Layer "0": GRU has no circuit'),
        (diverged(), {}, "what the network makes of the example must be finite"),
        (Branching(), {}, "Branching: torch.fx must be able to trace it"),
        (Bare(), {}, 'Layer "w": a bare parameter'),
        (Product(), {}, "of two tensors has no circuit; .* use SiLU"),
        (Calls(lambda x: 1 / x), {}, "division must be by a number"),
        (Calls(lambda x: torch.add(x, x, alpha=2)), {}, "without further settings"),
        (Calls(lambda x: torch.cat([x, x], 2)), {}, r"along channels \(axis 1\), not 2"),
        (Calls(lambda x: x.mean(1)), {}, r"mean must be over axes \(2, 3\)"),
        (Calls(lambda x: x.view(2, 2, -1)), {}, "must flatten all axes but the first"),
        (Calls(lambda x: torch.flatten(x)), {}, "flatten must take all axes from 1 on"),
        (Calls(torch.tanh), {}, 'Layer "tanh": tanh has no circuit'),
        (nn.Sequential(nn.Conv2d(1, 1, 1), nn.LeakyReLU(-1.0)), {}, "a slope must be 0 to 1"),
        (nn.Sequential(nn.Conv2d(1, 1, 1), nn.AdaptiveAvgPool2d(2)), {}, "one position, not 2"),
        (nn.Sequential(nn.Conv2d(1, 1, 1), nn.GELU()), {}, 'Layer "1": GELU has no circuit'),
        (nn.Sequential(nn.Conv2d(1, 1, 3, padding_mode="reflect", padding=1)), {},
         'Layer "0": padding_mode must be "zeros"'),
        (nn.Sequential(nn.Conv2d(1, 1, 1), nn.AvgPool2d(2, padding=1)), {}, "have no padding"),
        (nn.Sequential(nn.Conv2d(1, 1, 1), nn.Upsample(scale_factor=1.5)), {}, "whole factors"),
        (nn.Sequential(nn.Conv2d(2, 1, 1)), {}, "the example must fit the network"),
        (nn.Sequential(nn.Conv2d(1, 1, 1)), {"exclude": ["nothing"]}, "must select layers"),
        (nn.Sequential(nn.Conv2d(1, 1, 1)), {"own": {"0": {"sigmas": 1}}}, "be among weight_b"),
        (nn.Sequential(nn.Conv2d(1, 1, 1)), {"own": {"0": {"sigma": 11.0}}}, "-3 to 10, not 11"),
        (nn.Conv2d(1, 1, 1), {"input_bits": 40}, "input_bits must be 1 to 16, not 40"),
        (nn.Conv2d(1, 1, 1), {"input_scale": -1.0}, "input_scale must be above 0"),
        (nn.Conv2d(1, 1, 1), {"steps_per_epoch": 0}, "steps_per_epoch must be at least 1"),
    ],
)  # fmt: skip
def test_what_would_be_lost_is_refused_in_one_line(model, options, message):
    with pytest.raises(ValueError, match=message) as caught:
        train.prepare(model, train.SQuantizer(), torch.rand(2, 1, 4, 4), **options)
    assert "\n" not in str(caught.value)


def test_example_that_is_not_finite_is_refused(tiny):
    with pytest.raises(ValueError, match="example must be finite"):
        train.prepare(tiny, train.SQuantizer(), torch.full((1, 1, 8, 8), float("nan")))


def test_every_layer_with_weights_is_compressed(tiny, images):
    qat = train.prepare(tiny, train.SQuantizer(), images)
    linear = [n for n in qat.sites if isinstance(qat.layer(n), Linear)]
    assert linear == ["0", "2", "5"] == [name for name, _ in qat.weights()]
