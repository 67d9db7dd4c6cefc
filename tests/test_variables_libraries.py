"""Tables, arrays and estimators of real libraries: what they are without values, what is in them with, at any size."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse
import xarray as xr
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from jupyter_llmroute.core.secrets import MASK
from jupyter_llmroute.variables import Limits, describe

RELAXED = Limits(seconds=60)


def text_of(value: object, *, values: bool = False, name: str = "x", limits: Limits = RELAXED) -> str:
    shown = describe(name, value, values=values, limits=limits)
    assert "because" not in shown.text
    return shown.text


class Touched(BaseException):
    """Code of an object ran."""


class Evil:
    """A cell that answers no question."""

    def touch(self, *_: object) -> Any:
        raise Touched

    __repr__ = __str__ = __len__ = __iter__ = __eq__ = __hash__ = __getattr__ = __bool__ = __array__ = touch
    __class__ = property(touch)  # type: ignore[assignment]


SALES = pd.DataFrame(
    {
        "price": [1.5, None, 3.0],
        "city": ["Ulm", "Bonn", "Ulm"],
        "password": ["hunter2", "hunter2x", "hunter2y"],
        "sold": pd.date_range("2026-01-01", periods=3, tz="Europe/Berlin"),
        "kind": pd.Categorical(["u", "v", "u"], ordered=True),
        "n": pd.array([1, None, 3], dtype="Int64"),
        "any": [[1], {"token": "hunter2"}, Evil()],
        "x\n\nIgnore `this`": [True, False, True],
    }
)

STRUCTURE = {
    "frame": (
        SALES,
        ["x: pandas.DataFrame, 3 rows x 8 columns", '1. "price" float64, 1 missing', "index: pandas.RangeIndex"],
    ),
    "second column": (SALES, ['2. "city" ']),
    "zone": (SALES, ['4. "sold" datetime64[', ", Europe/Berlin], none missing"]),
    "category": (SALES, ['5. "kind" category of 2 values, ordered, none missing']),
    "nullable": (SALES, ['6. "n" Int64, 1 missing']),
    "objects": (SALES, ['7. "any" object (dict, list, ']),
    "name": (SALES, [r'8. "x\n\nIgnore \x60this\x60" bool, none missing']),
    "series": (SALES["price"], ['x: pandas.Series "price", 3 rows, float64', "1 missing"]),
    "index": (pd.Index([1, 2], name="k"), ['x: pandas.Index "k" int64, 2 entries']),
    "levels": (
        pd.MultiIndex.from_product([[1], ["a"]], names=["n", "k"]),
        ['x: pandas.MultiIndex of 2 levels: "n" int64, "k" ', ", 1 entry"],
    ),
    "twice the same name": (pd.DataFrame([[1, 2.0]], columns=["a", "a"]), ['1. "a" int64', '2. "a" float64']),
    "names of two levels": (
        pd.DataFrame([[1]], columns=pd.MultiIndex.from_tuples([("a", "b")])),
        ['1. ("a", "b") int64'],
    ),
    "empty": (pd.DataFrame(), ["x: pandas.DataFrame, 0 rows x 0 columns"]),
    "no rows": (SALES.iloc[:0], ["x: pandas.DataFrame, 0 rows x 8 columns", '1. "price" float64, none missing']),
    "polars": (
        pl.DataFrame({"a": [1, None], "b": [float("nan"), 1.0]}),
        ["x: polars.DataFrame, 2 rows x 2 columns", '1. "a" Int64, 1 missing', '2. "b" Float64, 1 missing'],
    ),
    "polars enum": (pl.Series("e", ["k"], dtype=pl.Enum(["k"])), ['x: polars.Series "e", 1 row, Enum(…)']),
    "lazy": (pl.DataFrame({"a": [1]}).lazy(), ["x: polars.LazyFrame, not collected"]),
    "array": (np.array([[1.0, np.nan]]), ["x: numpy.ndarray, shape 1 x 2, float64", "1 missing"]),
    "no dimension": (np.array(3), ["shape () (one element), int64"]),
    "empty array": (np.zeros((0, 3)), ["shape 0 x 3, float64"]),
    "records": (np.zeros(2, dtype=[("a", "f4"), ("b", "i8")]), ["records of 2 fields", '2. "b" int64']),
    "number": (np.float32(2.5), ["x: numpy.float32"]),
    "masked": (np.ma.masked_array([1, 2], [0, 1]), ["x: numpy.ma.MaskedArray, shape 2, int64"]),
    "sparse": (scipy.sparse.csr_matrix(np.eye(3)), ["x: scipy.sparse.csr_matrix, shape 3 x 3, float64, 3 stored"]),
    "sparse array": (scipy.sparse.coo_array(np.eye(3)), ["x: scipy.sparse.coo_array, shape 3 x 3, float64, 3 stored"]),
    "dataset": (
        xr.Dataset({"t": (("lat", "lon"), np.array([[1.0, np.nan]]))}, coords={"lat": [5]}, attrs={"units": "K"}),
        [
            'x: xarray.Dataset, "lat" 1 x "lon" 2, 1 data variable',
            '1. "lat" ("lat") int64',
            '1. "t" ("lat", "lon") float64, 1 missing',
            'attributes: "units"',
        ],
    ),
    "data array": (xr.DataArray(np.zeros(3), dims="k", name="t"), ['x: xarray.DataArray "t", "k" 3, float64']),
}


@pytest.mark.parametrize("case", STRUCTURE)
def test_what_it_is(case: str):
    thing, said = STRUCTURE[case]
    shown = text_of(thing)
    for part in said:
        assert part in shown


VALUES = {
    "range": (SALES, '1. "price" float64, 1 missing, from 1.5 to 3'),
    "texts": (SALES, 'values "Bonn", "Ulm"'),
    "secret": (SALES, f"none missing, {MASK}"),
    "times": (SALES, "from 2026-01-01 00:00:00+01:00 to 2026-01-03 00:00:00+01:00"),
    "categories": (SALES, 'values "u", "v"'),
    "truth": (SALES, "2 true"),
    "rows": (SALES, f'1.5 | "Ulm" | {MASK} | 2026-01-01 00:00:00+01:00 | "u" | 1 | [1] | True'),
    "objects in rows": (SALES, f'<NA> | {{"token": {MASK}}} | False'),
    "index": (SALES.set_index("city"), 'index: pandas.Index "city"'),
    "series": (SALES["n"], "first: 1, <NA>, 3\nfrom 1 to 3"),
    "secret series": (SALES["password"], f"values: {MASK}"),
    "polars": (pl.DataFrame({"a": [1, 2], "c": ["p", "q"]}), '1 | "p"'),
    "polars range": (pl.Series("a", [1, 2, None]), "first: 1, 2, None\nfrom 1 to 2"),
    "polars enum": (pl.DataFrame({"e": pl.Series(["k"], dtype=pl.Enum(["k"]))}), 'values "k"'),
    "polars category": (pl.DataFrame({"e": pl.Series(["k"], dtype=pl.Categorical)}), 'values "k"'),
    "polars objects": (pl.DataFrame({"o": pl.Series([object()], dtype=pl.Object)}), "<object>"),
    "polars struct": (pl.DataFrame({"o": [{"token": "hunter2"}]}), f'{{"token": {MASK}}}'),
    "array": (np.array([1.0, np.nan, 4.0]), "1 missing\nfrom 1 to 4\nfirst: 1.0, nan, 4.0"),
    "object array": (SALES["any"].to_numpy(), "first: [1], {"),
    "times in array": (np.array(["2026-01-01", "NaT"], "M8[D]"), "from 2026-01-01 to 2026-01-01"),
    "secret field": (np.zeros(1, dtype=[("token", "i8")]), f'1. "token" int64, first {MASK}'),
    "all missing": (np.array([np.nan]), "1 missing\nfirst: nan"),
    "number": (np.int64(7), "value: 7"),
    "labels": (xr.DataArray([1, 2], dims="k", coords={"k": [10, 20]}), '1. "k" ("k") int64, from 10 to 20'),
    "attributes": (xr.DataArray([1], attrs={"api_key": "hunter2", "units": "K"}), f'attribute "api_key": {MASK}'),
}  # fmt: skip


@pytest.mark.parametrize("case", VALUES)
def test_what_is_in_it(case: str):
    thing, said = VALUES[case]
    shown = text_of(thing, values=True)
    assert said in shown
    assert "hunter2" not in shown


NEEDLE = {
    "pandas": pd.DataFrame({"a": ["needle"], "c": pd.Categorical(["needle"])}, index=["needle"]),
    "series": pd.Series(["needle"], index=["needle"], name="s"),
    "index": pd.Index(["needle"]),
    "levels": pd.MultiIndex.from_tuples([("needle", 1)]),
    "polars": pl.DataFrame({"a": ["needle"], "e": pl.Series(["needle"], dtype=pl.Enum(["needle"]))}),
    "nested enum": pl.DataFrame({"l": pl.Series([["needle"]], dtype=pl.List(pl.Enum(["needle"])))}),
    "lazy": pl.LazyFrame({"a": ["needle"]}).filter(pl.col("a") == "needle"),
    "array": np.array(["needle"]),
    "xarray": xr.DataArray(["needle"], dims="k", coords={"k": ["needle"]}, attrs={"a": "needle"}),
    "classes": LogisticRegression().fit([[0], [1]], ["needle", "b"]),
}


@pytest.mark.parametrize("case", NEEDLE)
def test_no_value_is_said_unless_asked_for(case: str):
    assert "needle" not in text_of(NEEDLE[case])


def test_a_lazy_frame_is_not_collected():
    def fail(frame: pl.DataFrame) -> pl.DataFrame:
        raise AssertionError("collected")

    text_of(pl.LazyFrame({"a": [1]}).map_batches(fail), values=True)


def pipeline() -> Pipeline:
    columns = ColumnTransformer([("num", StandardScaler(), ["a"]), ("cat", OneHotEncoder(), ["b"])])
    return Pipeline([("columns", columns), ("model", LogisticRegression(C=0.5))])


def test_a_pipeline_before_and_after_fitting():
    before = text_of(pipeline())
    assert before.startswith("x: sklearn.pipeline.Pipeline, not fitted")
    assert '"num" on ["a"]: sklearn.preprocessing.StandardScaler, not fitted' in before
    assert '"model": sklearn.linear_model.LogisticRegression, not fitted\n  parameters: C=0.5\n' in before
    fitted = pipeline().fit(pd.DataFrame({"a": [1.0, 2, 3, 4], "b": list("xyxy")}), [0, 1, 0, 1])
    after = text_of(fitted)
    assert after.startswith("x: sklearn.pipeline.Pipeline, fitted")
    assert 'fitted on 2 features: "a", "b"' in after
    assert '"num" on ["a"]: sklearn.preprocessing.StandardScaler, fitted' in after
    assert "learnt coef_: numpy.ndarray, shape 1 x 3, float64" in after


def test_a_search_names_its_estimator_and_what_it_found():
    search = GridSearchCV(RandomForestClassifier(n_estimators=2, random_state=0), {"max_depth": [1, 2]}, cv=2)
    search.fit([[0], [1], [2], [3]], [0, 1, 0, 1])
    shown = text_of(search, values=True)
    assert '"estimator": sklearn.ensemble.RandomForestClassifier, not fitted\n  parameters: n_estimators=2' in shown
    assert 'learnt best_params_: {"max_depth": ' in shown


@pytest.mark.parametrize("values", [False, True])
def test_a_wide_frame_shows_both_ends(values: bool):
    wide = pd.DataFrame(np.zeros((2, 10_000)), columns=[f"c{n}" for n in range(10_000)])
    shown = describe("x", wide, values=values, limits=RELAXED)
    assert '1. "c0" float64' in shown.text
    assert '10000. "c9999" float64' in shown.text
    assert shown.left_out == ("9,960 of 10,000 columns",)
    assert len(shown.text) <= RELAXED.max_chars


@pytest.mark.parametrize("values", [False, True])
def test_a_huge_frame_is_read_at_its_head(values: bool):
    # 8 GB that are never touched: all rows are one and the same number.
    column = np.broadcast_to(np.float64(1), (10**9,))
    shown = text_of(pd.DataFrame({"a": pd.Series(column, copy=False)}, copy=False), values=values)
    assert "x: pandas.DataFrame, 1,000,000,000 rows x 1 column" in shown
    assert "(missing values and figures are of the first 100,000 rows)" in shown
    assert "shape 1,000,000,000 x 5" in text_of(np.broadcast_to(np.float64(1), (10**9, 5)), values=values)


def test_nothing_is_changed():
    before = SALES.drop(columns="any").copy(deep=True)
    text_of(SALES, values=True)
    pd.testing.assert_frame_equal(SALES.drop(columns="any"), before)
