"""How long it takes to choose the cells that a question needs, over notebooks of 1,000 cells and over hostile ones.

`python tests/bench/relevance.py` prints milliseconds of processor time: cold, with nothing read before, as the median
and the worst of some rounds; and warm, asked again when one cell was added.
"""

import gc
import random
import statistics
import time
from collections.abc import Callable, Sequence

from jupyter_llmroute.core.dataflow import names_of
from jupyter_llmroute.core.ranking import Ranking
from jupyter_llmroute.core.relevance import rank
from jupyter_llmroute.core.request import CellRef

ROUNDS = 15

QUESTION = "why does the merge in the last cell duplicate rows of df, and what does clean_up() return?"

STEPS = (
    "df{i} = pd.read_csv(DATA / 'part{i}.csv', parse_dates=['day'])\ndf{i}.head()",
    "df = df.merge(df{j}, on='key', how='left')\nprint(len(df), df['key'].is_unique)\ndf.describe()",
    "df['ratio{i}'] = df['a'] / df['b'].replace(0, np.nan)\ndf.loc[df['ratio{i}'] > 3, 'flag'] = True",
    "def step{i}(frame, limit={i}):\n    '''Drop what is over the limit.'''\n    kept = frame[frame['a'] < limit]\n"
    "    return kept.assign(b=lambda part: part['b'].fillna(0))\n\nclean = step{i}(df)\nclean.shape",
    "fig, ax = plt.subplots(figsize=(8, 3))\nfor name, part in clean.groupby('key'):\n"
    "    ax.plot(part['day'], part['a'], label=name)\nax.set_title(f'part {{name}} of {i}')\nax.legend()",
    "model{i} = RandomForestClassifier(n_estimators={i}, random_state=0)\nmodel{i}.fit(X_train, y_train)\n"
    "scores{i} = cross_val_score(model{i}, X_train, y_train, cv=5)\nprint(scores{i}.mean(), scores{i}.std())",
    "%%time\ntotal = 0\nfor row in clean_up(df).itertuples():\n    total += row.a * row.b\ntotal",
    "X_train, X_test, y_train, y_test = train_test_split(df[features], df['flag'], test_size=0.{i})\nX_train.shape",
    "features = [name for name in df.columns if name.startswith('ratio')]\nlen(features)",
    "!ls {{DATA}}\nsummary = {{'rows': len(df), 'parts': {i}}}\nsummary",
)
START = (
    "import numpy as np\nimport pandas as pd\nimport matplotlib.pyplot as plt\n%matplotlib inline",
    "from sklearn.ensemble import RandomForestClassifier\n"
    "from sklearn.model_selection import cross_val_score, train_test_split",
    "from pathlib import Path\nDATA = Path('data')",
    "def clean_up(frame):\n    return frame.dropna(subset=['a', 'b']).drop_duplicates()",
    "df = pd.read_csv(DATA / 'all.csv')\ndf0 = df.copy()",
)


def notebook(length: int, steps: Sequence[str] = STEPS, seed: int = 0) -> list[CellRef]:
    """A session of so many cells, whose names are used again as people do."""
    chance = random.Random(seed)
    sources = [*START, *(chance.choice(steps).format(i=i, j=max(0, i - 3)) for i in range(length - len(START)))]
    return [CellRef(number=n, source=source, output="x" * 500) for n, source in enumerate(sources, 1)]


def numbered(sources: Sequence[str]) -> list[CellRef]:
    return [CellRef(number=n, source=source) for n, source in enumerate(sources, 1)]


def dense(chars: int) -> str:
    """What takes longest to parse, by the character."""
    return "df = " + "df," * (chars // 3)


CASES: dict[str, Callable[[], list[CellRef]]] = {
    "100 cells": lambda: notebook(100),
    "1,000 cells": lambda: notebook(1000),
    "1,000 cells, each changes df": lambda: notebook(1000, [STEPS[2]]),
    "1,000 cells, each makes df of df": lambda: notebook(1000, [STEPS[1]]),
    "1,000 cells, each uses df": lambda: notebook(1000, ["df.head()", "df.describe()", "len(df)"]),
    "1,000 cells with mistakes in them": lambda: notebook(1000, [step + "\nx = (" for step in STEPS]),
    "1,000 cells of 10,000 characters": lambda: numbered([(STEPS[3].format(i=n) + "\n") * 40 for n in range(1000)]),
    "10,000 cells": lambda: notebook(10_000),
    "10,000 cells, each makes df of df": lambda: notebook(10_000, [STEPS[1]]),
    "a cell of 1 M characters": lambda: [*notebook(50), CellRef(number=999, source="df = 1\n" * 143_000)],
    "an output of 100 MB": lambda: [*notebook(50), CellRef(number=999, source="df", output="x" * 10**8)],
    "100 cells, each as dense as can be": lambda: numbered([dense(19_000)] * 1 + [dense(3_000 + n) for n in range(99)]),
}


def forget() -> None:
    names_of.cache_clear()


def timed(cells: Sequence[CellRef], question: str = QUESTION) -> tuple[float, Ranking]:
    """Rank; the time is the processor's, which others on the machine disturb least."""
    start = time.process_time()
    ranking = rank(cells, question)
    return 1e3 * (time.process_time() - start), ranking


def measure(name: str, cells: Sequence[CellRef]) -> None:
    cold, warm = [], []
    for _ in range(ROUNDS):
        forget()
        gc.collect()
        ms, ranking = timed(cells)
        cold.append(ms)
        warm.append(timed([*cells, CellRef(number=10**6, source="df.tail()")])[0])
    print(
        f"{name:36} cold {statistics.median(cold):6.1f} (worst {max(cold):6.1f}) ms   "
        f"warm {statistics.median(warm):6.1f} ms   {len(ranking.relevant):3} cells   {'; '.join(ranking.limits)[:60]}"
    )


if __name__ == "__main__":
    print(f"question: {QUESTION}")
    for name, make in CASES.items():
        measure(name, make())
    cells = notebook(1000)
    long_question = " ".join(f"word{n} `df{n}` clean_up()" for n in range(20_000))
    forget()
    print(f"{f'a question of {len(long_question):,} characters':36} cold {timed(cells, long_question)[0]:6.1f} ms")
