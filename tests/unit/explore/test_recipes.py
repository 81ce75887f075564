"""What a query asks of a recipe, and what is refused."""

from __future__ import annotations

import pkgutil
from typing import Any, Literal

import pytest

from spikehouse.errors import InvalidArgumentError, NotFoundError
from spikehouse.explore import recipes
from spikehouse.explore._recipes import MODULES, Recipe, _read_types, collect_recipes, find_recipe


def shown(
    session: Any,
    unit_id: int,
    *,
    window: tuple[float, float] = (-0.1, 0.5),
    bin: float = 0.005,
    by: str | None = None,
    areas: tuple[str, ...] = (),
    unit_ids: tuple[int, ...] = (),
    kind: Literal["psth", "raster"] = "psth",
    raw: bool = False,
    name: str = "",
) -> dict[str, Any]:
    return {}


RECIPE = Recipe(shown, types=_read_types(shown))


def test_parse__reads_every_type():
    query = {
        "unit_id": "951814884", "window": "-0.2,1", "bin": "1e-2", "by": "", "areas": "VISp,LGd",
        "unit_ids": "1,2", "kind": "raster", "raw": "true", "name": "a b",
    }  # fmt: skip
    assert RECIPE.parse(query) == (
        {
            "unit_id": 951814884, "window": (-0.2, 1.0), "bin": 0.01, "by": None,
            "areas": ("VISp", "LGd"), "unit_ids": (1, 2), "kind": "raster", "raw": True,
            "name": "a b",
        },
        [],
    )  # fmt: skip
    assert RECIPE.parse({"unit_id": "1", "by": "color", "areas": ""})[0] == {
        "unit_id": 1, "by": "color", "areas": (),
    }  # fmt: skip


def test_parse__names_what_it_ignores():
    assert RECIPE.parse({"unit_id": "1", "binn": "2"})[1] == [
        "'binn' was ignored, did you mean 'bin' or 'kind'? Valid: 'unit_id', 'window', 'bin', "
        "'by', 'areas', 'unit_ids', 'kind', 'raw', … (9 in total)"
    ]


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ({}, "shown needs unit_id"),
        ({"unit_id": "x"}, "unit_id='x' is not valid: a whole number is needed"),
        ({"unit_id": "1.5"}, "a whole number is needed"),
        ({"unit_id": "9" * 30}, "a whole number is needed"),
        ({"unit_id": "1", "bin": "nan"}, "bin='nan' is not valid: a number is needed"),
        ({"unit_id": "1", "bin": "inf"}, "a number is needed"),
        ({"unit_id": "1", "bin": "0"}, "bin=0 is not valid: 0.0001 to 3600 can be shown"),
        ({"unit_id": "1", "window": "1"}, "window='1' is not valid: 2 values with commas"),
        ({"unit_id": "1", "window": "1,2,3"}, "2 values with commas"),
        ({"unit_id": "1", "window": "0.5,0.5"}, "it must begin before it ends"),
        ({"unit_id": "1", "window": "0,61"}, "at most 60 s"),
        ({"unit_id": "1", "window": "0,50", "bin": "0.001"}, "50000 bins of 0.001 s, and at most"),
        ({"unit_id": "1", "kind": "rasters"}, "did you mean 'raster'"),
        ({"unit_id": "1", "raw": "maybe"}, "raw='maybe' is not valid: true or false"),
        ({"unit_id": "1", "name": "x" * 501}, "name has 501 characters; at most 500"),
        ({"unit_id": "1", "unit_ids": "1,,2"}, "unit_ids='' is not valid: a whole number"),
    ],
)
def test_parse__says_what_is_valid(query, message):
    with pytest.raises(InvalidArgumentError) as caught:
        RECIPE.parse(query)
    assert message in str(caught.value)


def test_find_recipe__says_which_there_are():
    with pytest.raises(NotFoundError, match="there is no view 'rasters' here: did you mean 'rast"):
        find_recipe("session", "rasters")
    with pytest.raises(NotFoundError, match="there is no view 'raster' here"):
        find_recipe("cache", "raster")


def test_modules__are_all_there():
    parts = {part.name for part in pkgutil.iter_modules(recipes.__path__)}
    assert {name for name in parts if not name.startswith("_")} == set(MODULES)


def test_recipes__names_are_unique():
    names = [key for module in MODULES for key in collect_recipes(module)]
    assert len(set(names)) == len(names) > 40


RECIPES = [recipe for module in MODULES for recipe in collect_recipes(module).values()]


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.name)
def test_recipes__have_a_sentence_and_defaults_within_the_limits(recipe):
    assert (recipe.function.__doc__ or "").endswith(".")
    required = set(recipe.types) - set(recipe.function.__kwdefaults__ or {})
    assert recipe.parse(dict.fromkeys(required, "1"))[1] == []


def test_recipes__decoding_runs_apart():
    assert find_recipe("session", "decode_confusion").is_heavy
    assert not find_recipe("session", "raster").is_heavy
