"""Recipes: what they say, and one clear line for each mistake."""

from dataclasses import replace
from pathlib import Path

import pytest

from sqwire import train

ROOT = Path(__file__).parent.parent.parent


def test_example_is_the_demo_and_names_every_setting():
    file = ROOT / "examples" / "digits.toml"
    assert train.load_recipe(file) == train.Recipe()
    text = file.read_text()
    for part in (train.Recipe, train.SQuantizer, train.Schedule):
        for name in part.__dataclass_fields__:
            assert name in text, name


def test_empty_recipe_is_the_demo():
    assert train.parse_recipe("") == train.Recipe()


def test_settings_are_taken_over_and_the_rest_stays():
    recipe = train.parse_recipe(
        "seed = 4\n[network]\nchannels = [4, 6]\n[method]\nsigma = 1\nsigma_of = {fc = 0.5}\n"
        "[schedule]\nepochs = 40\n"
    )
    assert recipe.seed == 4
    assert recipe.network.channels == (4, 6)
    assert recipe.method == replace(train.Recipe().method, sigma=1.0, sigma_of={"fc": 0.5})
    assert isinstance(recipe.method.sigma, float)
    assert recipe.schedule == replace(train.Schedule(), epochs=40)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sead = 1", 'keys must be among data, seed, compare_float, not "sead"'),
        ("[method]\nsigmas = 1", r'\[method\] keys must be among .*sigma.*, not "sigmas"'),
        ("[method]\nsigma = 'high'", r"\[method\] sigma must be a number, not 'high'"),
        ("[method]\nsigma_of = {fc = 'x'}", r"\[method\] sigma_of.fc must be a number, not 'x'"),
        ("[method]\nweight_bits = 4.0", r"\[method\] weight_bits must be an integer, not 4.0"),
        ("[method]\nweight_bits = 1", "weight_bits must be 2 to 8, not 1"),
        ("[method]\nmasked = 1", r"\[method\] masked must be true or false, not 1"),
        ("[schedule]\nepochs = true", r"\[schedule\] epochs must be an integer, not True"),
        ("[schedule]\nlr = -1", "lr must be above 0 and at most 10, not -1.0"),
        ("method = 3", r"\[method\] must be a table, not 3"),
        ("seed = -1", r"seed must be 0 to 2\^32 - 1, not -1"),
        ("data = 'faces'", 'data must be "digits", not "faces"'),
        ("data = 3", "data must be a text, not 3"),
        ("[network]\nname = 'big'", 'network name must be "demo", not "big"'),
        ("[network]\nchannels = [8]", r"channels must be 2 numbers from 1 to 256, not \[8\]"),
        ("[network]\nchannels = [8, 'x']", r"channels\[1\] must be an integer, not 'x'"),
        ("[schedule]\nepochs = 5", r"delay must be below the number of epochs \(5\), not"),
        ("seed = ", "it must be TOML"),
    ],
)
def test_each_mistake_gives_one_line_that_names_the_file_and_the_rule(tmp_path, text, message):
    file = tmp_path / "recipe.toml"
    file.write_text(text)
    with pytest.raises(ValueError, match=message) as caught:
        train.load_recipe(file)
    assert str(caught.value).startswith(f"Recipe {file}: ")
    assert "\n" not in str(caught.value)


def test_missing_and_unreadable_files_are_named(tmp_path):
    with pytest.raises(ValueError, match=r"Recipe .*none\.toml: cannot be read \(No such file"):
        train.load_recipe(tmp_path / "none.toml")
    with pytest.raises(ValueError, match=r"cannot be read \(Is a directory\)"):
        train.load_recipe(tmp_path)
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match=r"cannot be read \(it is not text\)"):
        train.load_recipe(tmp_path / "binary.toml")


def test_sigma_of_a_layer_that_is_not_there_is_refused():
    with pytest.raises(ValueError, match=r'conv1, conv2, conv3, fc\), not "conv9"'):
        train.demo_net(train.SQuantizer(sigma_of={"conv9": 1.0}), (4, 4))
