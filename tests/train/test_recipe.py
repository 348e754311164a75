"""Recipes: what they say, and one clear line for each mistake."""

from dataclasses import fields
from pathlib import Path

import pytest

from sqwire import train

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_example_is_the_demo_and_names_every_setting():
    file = EXAMPLES / "digits.toml"
    assert train.load_recipe(file) == train.demo_recipe()
    text = file.read_text()
    for part in (train.Recipe, train.SQuantizer, train.Schedule):
        for field in fields(part):
            if field.name != "float_schedule":
                assert field.name in text, field.name


def test_example_for_cifar_says_what_it_says():
    recipe = train.load_recipe(EXAMPLES / "cifar10.toml")
    assert recipe.method == train.Taylor(zeros=0.9, end=20, quantize=25)
    assert (recipe.schedule.epochs, recipe.float_schedule.epochs) == (60, 100)
    assert recipe.float_schedule.batch == 128
    assert recipe.from_float


def test_settings_are_taken_over_and_the_rest_stays():
    recipe = train.parse_recipe(
        "seed = 4\nexclude = ['fc']\ndata = 'digits'\n[network]\nchannels = [4, 6]\n"
        "[method]\nsigma = 1\nzeros = 0.8\n[own]\nfc = {sigma = 0.5}\n[schedule]\nepochs = 40\n"
    )
    assert recipe.seed == 4
    assert recipe.exclude == ("fc",)
    assert recipe.network.channels == (4, 6)
    assert recipe.method == train.SQuantizer(sigma=1.0, zeros=0.8)
    assert isinstance(recipe.method.sigma, float)
    assert recipe.own == {"fc": {"sigma": 0.5}}
    assert recipe.schedule == train.Schedule(epochs=40)


@pytest.mark.parametrize(
    "text",
    [
        "[method]\nname = 'BSQ'\nalpha = 0.01\nsearch = 5",
        "[method]\nname = 'DFQ'\nbudget = 3",
        "[method]\nname = 'Taylor'",
        "[method]\nname = 'Random'\nseed = 3",
        "[method]\nname = 'Uniform'",
    ],
)
def test_every_method_has_its_name(text):
    method = train.parse_recipe(text).method
    assert type(method).__name__ in text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sead = 1", r'keys must be among seed, .*, not "sead"'),
        ("[method]\nname = 'Magic'", r"\[method\] name must be one of SQuantizer, .*not .Magic"),
        ("[method]\nsigmas = 1", r'\[method\] keys must be among .*sigma.*, not "sigmas"'),
        ("[method]\nsigma = 'high'", r"\[method\] sigma must be a number, not 'high'"),
        ("[own]\nfc = {sigma = 'x'}", r"\[own.fc\] sigma must be a number, not 'x'"),
        ("[own]\nfc = 3", r"\[own.fc\] must be a table, not 3"),
        ("[method]\nweight_bits = 4.0", r"\[method\] weight_bits must be an integer, not 4.0"),
        ("[method]\nweight_bits = 1", "weight_bits must be 2 to 8, not 1"),
        ("[method]\nmasked = 1", r"\[method\] masked must be true or false, not 1"),
        ("[schedule]\nepochs = true", r"\[schedule\] epochs must be an integer, not True"),
        ("[schedule]\nlr = -1", "lr must be above 0 and at most 10, not -1.0"),
        ("method = 3", r"\[method\] must be a table, not 3"),
        ("seed = -1", r"seed must be 0 to 2\^32 - 1, not -1"),
        ("exclude = [3]", r"exclude\[0\] must be a text, not 3"),
        ("threads = 0", "threads must be 1 to 1024, not 0"),
        ("data = 'faces'", 'data name must be "digits" or "cifar10", not "faces"'),
        ("data = 3", r"\[data\] must be a table, not 3"),
        ("data = 'cifar10'", "data folder must say where CIFAR-10 lies"),
        ("[data]\nvalidation = 0.9", "data validation must be 0 to 0.5, not 0.9"),
        ("[network]\nname = 'big'", 'network name must be one of demo, .*, not "big"'),
        ("[network]\nchannels = [8]", r"channels must be 2 numbers, not \[8\]"),
        ("[network]\nchannels = [8, 'x']", r"channels\[1\] must be an integer, not 'x'"),
        ("[method]\ndelay = 9\n[schedule]\nepochs = 5", r"must have settled by the last epoch \(5"),
        ("compare_float = false\nfrom_float = true", "from_float needs a float network"),
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
