"""Estimated tokens: by family for Latin prose, by signs and scripts for everything else, as was counted."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jupyter_llmroute.core.catalog import Catalog
from jupyter_llmroute.core.tokens import CHARS_PER_TOKEN, DENSEST, estimate_tokens


@pytest.mark.parametrize(
    ("text", "family", "tokens"),
    [
        ("", "", 0),
        ("x", "", 1),
        ("x" * 400, "", 100),
        ("x" * 401, "", 101),
        ("x" * 350, "qwen", 100),
        ("x" * 380, "llama", 100),
        ("x" * 400, "gemma", 100),
        ("数据分析", "", 4),
        ("数据分析", "qwen", 4),
        ("한국어 カナ", "", 6),
        ("數據 data", "", 4),
        ("𠀀𠀁", "", 2),
        ("привет!!", "", 6),
        ("3.14159", "", 7),
        ("\ud83e", "", 1),
    ],
)
def test_estimate(text: str, family: str, tokens: int):
    assert estimate_tokens(text, family) == tokens


@given(st.text(), st.text(), st.sampled_from(["", *CHARS_PER_TOKEN]))
@settings(deadline=None)
def test_a_longer_text_has_no_fewer_and_parts_no_fewer_than_the_whole_but_for_the_seam(
    one: str, other: str, family: str
):
    whole = estimate_tokens(one + other, family)
    assert max(estimate_tokens(one, family), estimate_tokens(other, family)) <= whole
    assert whole <= estimate_tokens(one, family) + estimate_tokens(other, family) + 1
    assert (whole == 0) == (one + other == "")


@given(st.text(), st.sampled_from(["", *CHARS_PER_TOKEN]))
@settings(deadline=None)
def test_what_fits_by_the_densest_familys_count_fits_by_any(text: str, family: str):
    assert estimate_tokens(text, family) <= estimate_tokens(text, DENSEST)


def test_families_are_named_as_the_catalog_names_them():
    assert CHARS_PER_TOKEN.keys() <= {info.family for info in Catalog.load().model}


# --- beside what was counted ---

MEASURED = {
    # kind: (tokens as SmolLM2's tokenizer counts them, text)
    "prose": (
        57,
        "It was a warm evening in the late summer when the two of us walked down to the harbour. "
        "Nobody had told us that the ferry would not come, and so we waited, talking about the wo"
        'rk that lay behind us. "You never asked me why," she said at last.',
    ),
    "Markdown": (
        92,
        "## Results\n\n- The **merge** in `In[12]` duplicates rows: the key is not unique (see [doc"
        's](https://pandas.pydata.org)).\n- Use `validate="one_to_one"`, or drop duplicates first.'
        "\n\n| step | rows |\n| --- | ---: |\n| load | 1200 |\n| merge | 1440 |\n",
    ),
    "Python": (
        89,
        'df = pd.read_csv("sales.csv", parse_dates=["date"])\nmonthly = df.groupby(["region", "mon'
        'th"])["amount"].sum().reset_index()\nfor i, row in monthly.iterrows():\n    if row["amount'
        '"] < row["target"] * 0.9:\n        print(f"{row[\'region\']}: {row[\'amount\']:.2f}")\n',
    ),
    "C": (
        82,
        "static int\ncountchar(const char *s, Py_ssize_t n, char p0)\n{\n    Py_ssize_t i, count = 0"
        ";\n    for (i = 0; i < n; i++) {\n        if (s[i] == p0) {\n            count++;\n        }"
        "\n    }\n    return count;\n}\n",
    ),
    "SQL": (
        93,
        "SELECT c.customer_id, c.name, SUM(o.amount) AS total\nFROM customers AS c\nLEFT JOIN order"
        "s AS o ON o.customer_id = c.customer_id AND o.created_at >= DATE '2024-01-01'\nWHERE c.co"
        "untry IN ('DE', 'AT')\nGROUP BY c.customer_id, c.name;\n",
    ),
    "HTML": (
        77,
        '<div class="card mb-3" id="result-12"><h5 class="card-title">Results</h5><p class="text-'
        'muted">No rows found.</p><a href="/search?q=merge&amp;page=2" class="btn btn-primary">Ne'
        "xt</a></div>\n",
    ),
    "LaTeX": (
        78,
        "\\mathcal{L}(\\theta) = -\\frac{1}{N}\\sum_{i=1}^{N} \\left[ y_i \\log \\hat{y}_i + (1-y_i)\\log"
        "(1-\\hat{y}_i) \\right] + \\lambda \\lVert \\theta \\rVert_2^2",
    ),
    "traceback": (
        107,
        "KeyError                                  Traceback (most recent call last)\nFile ~/venv/"
        "lib/python3.11/site-packages/pandas/core/indexes/base.py:3805, in Index.get_loc(self, ke"
        "y)\n   3804 try:\n-> 3805     return self._engine.get_loc(casted_key)\n   3806 except KeyEr"
        "ror as err:\n\nKeyError: 'amount_eur'\n",
    ),
    "frame": (
        178,
        "0   2024-08-28  R9    85685.4438   0.781218\n1   2024-08-17  R4    18465.8497   0.511909\n"
        "2   2024-11-20  R3     9412.2515   0.303401\n3   2024-02-18  R1    59543.0551   0.396160\n"
        "4   2024-08-21  R3    62312.2220   0.831702",
    ),
    "numbers": (
        216,
        "0.248514,0.104156,0.983776,-0.928901\n0.156152,-0.874950,-0.554493,-0.356599\n0.085620,0.8"
        "30288,0.421296,0.012163\n-0.575472,-0.844516,-2.197573,-0.733438\n0.663286,0.382227,0.0601"
        "87,-1.197867\n1.264550,0.239184,0.371960,0.299638",
    ),
    "JSON": (
        174,
        '[{"id": 305034, "name": "alpha", "value": 0.38651, "ok": true, "at": "2024-05-06T07:08:0'
        '9Z"}, {"id": 17711, "name": "alpha", "value": 0.84731, "ok": true, "at": "2024-05-06T07:'
        '08:09Z"}, {"id": 572, "name": "alpha", "value": 0.2135, "ok": true, "at": "2024-05-06T07'
        ':08:09Z"}]',
    ),
    "log": (
        93,
        "2024-05-06 07:08:12.481 INFO  [worker-3] request id=7f3b2c1e-90ad-4e5b-8c77-1d2f3a4b5c6d"
        " path=/api/v1/items/481 status=200 took=37ms\n",
    ),
    "hex": (
        115,
        "4dff4ea340f0a823f15d3f4f01ab62eae0e5da579ccb851f8db9dfe84c58b2b37b89903a740e1ee172da793a"
        "6e79d560e5f7f9bd058a12a280433ed6fa46510a",
    ),
    "UUIDs": (
        135,
        "41a252ed-df94-07e9-7203-650d08165178\n455b1e60-a9cd-f8fa-1d6a-7ab5cb9abd65\n0f73776b-14a4-"
        "b212-0e38-f59001f523a1\ndd3fd032-cf7c-4cc7-f2d8-c6ac58031045",
    ),
    "base64": (
        160,
        "7Zs+VhMVTxY+b6tP8VQkVYHW4AP4ss322Bj5aGTxDsJNvz/s8bM0HhjqdCLeRxM/rgD/tMEr3hmv8s0ClCxVDyxM"
        "BncemgnMhnOgfEhQfC2LoJyuYPctj7IHOjDPb4pyZAFFgpSx0DD6Zjv8SGtdu95k/8QLD4chjbBSa7KDyqS3jj1i"
        "v3fTHUAcFWXeo7ZraRB0/X42",
    ),
    "URLs": (
        80,
        "https://example.com/a/f/item?id=48213&utm_source=mail&ref=3fa9c2d41b07\nhttps://example.c"
        "om/b/c/item?id=7719&utm_source=mail&ref=90ae17f2bc55\n",
    ),
    "German": (
        112,
        "Die Daten wurden am frühen Morgen geladen, und danach hat niemand mehr überprüft, ob die"
        " Zusammenführung der Tabellen wirklich die gewünschten Zeilen enthält. Größere Abweichun"
        "gen müssen künftig früher gemeldet werden, sonst können wir die Ergebnisse nicht veröffe"
        "ntlichen.",
    ),
    "French": (
        87,
        "Les données ont été chargées très tôt le matin, et personne n'a vérifié ensuite si la fu"
        "sion des tableaux contenait réellement les lignes souhaitées. Les écarts importants devr"
        "ont être signalés plus tôt, sinon nous ne pourrons pas publier les résultats.",
    ),
    "Polish": (
        125,
        "Dane zostały załadowane wcześnie rano i później nikt nie sprawdził, czy połączenie tabel"
        " rzeczywiście zawiera pożądane wiersze. Większe odchylenia należy zgłaszać wcześniej, w "
        "przeciwnym razie nie będziemy mogli opublikować wyników.",
    ),
    "Vietnamese": (
        172,
        "Dữ liệu đã được tải vào sáng sớm và sau đó không ai kiểm tra xem việc hợp nhất các bảng "
        "có thực sự chứa các hàng mong muốn hay không. Những sai lệch lớn phải được báo cáo sớm h"
        "ơn, nếu không chúng tôi không thể công bố kết quả.",
    ),
    "Russian": (
        164,
        "Данные были загружены рано утром, и после этого никто не проверил, действительно ли объе"
        "динение таблиц содержит нужные строки. О больших отклонениях следует сообщать раньше, ин"
        "аче мы не сможем опубликовать результаты.",
    ),
    "Greek": (
        159,
        "Τα δεδομένα φορτώθηκαν νωρίς το πρωί και μετά κανείς δεν έλεγξε αν η συγχώνευση των πινά"
        "κων περιέχει πράγματι τις επιθυμητές γραμμές. Οι μεγάλες αποκλίσεις πρέπει να αναφέροντα"
        "ι νωρίτερα.",
    ),
    "Hebrew": (
        173,
        "הנתונים נטענו מוקדם בבוקר, ואחר כך איש לא בדק אם מיזוג הטבלאות אכן מכיל את השורות הרצויו"
        "ת. יש לדווח על סטיות גדולות מוקדם יותר, אחרת לא נוכל לפרסם את התוצאות.",
    ),
    "Arabic": (
        175,
        "تم تحميل البيانات في الصباح الباكر، وبعد ذلك لم يتحقق أحد مما إذا كان دمج الجداول يحتوي "
        "فعلا على الصفوف المطلوبة. يجب الإبلاغ عن الانحرافات الكبيرة في وقت أبكر وإلا فلن نتمكن م"
        "ن نشر النتائج.",
    ),
    "Hindi": (
        196,
        "डेटा सुबह जल्दी लोड किया गया था, और उसके बाद किसी ने यह जाँच नहीं की कि तालिकाओं के विलय"
        " में वास्तव में वांछित पंक्तियाँ हैं या नहीं। बड़े विचलनों की सूचना पहले दी जानी चाहिए।",
    ),
    "Bengali": (
        228,
        "তথ্যগুলি ভোরবেলা লোড করা হয়েছিল, এবং তারপরে কেউ পরীক্ষা করেনি যে টেবিলগুলির একত্রীকরণে সত্যিই কাঙ্ক্ষিত সারিগুলি আছে কিনা।",
    ),
    "Thai": (
        247,
        "ข้อมูลถูกโหลดในตอนเช้าตรู่ และหลังจากนั้นไม่มีใครตรวจสอบว่าการรวมตารางมีแถวที่ต้องการจริงหรือไม่ ความเบี่ยงเบนที่มากควรรายงานให้เร็วขึ้น",
    ),
    "Georgian": (
        231,
        "მონაცემები დილით ადრე ჩაიტვირთა და ამის შემდეგ არავის შეუმოწმებია, შეიცავს თუ არა ცხრილე"
        "ბის გაერთიანება სასურველ სტრიქონებს.",
    ),
    "Chinese": (
        102,
        "数据在清晨加载完毕,之后没有人检查表格的合并是否确实包含所需的行。较大的偏差今后必须尽早报告,否则我们将无法公布结果。",
    ),
    "Japanese": (
        148,
        "データは早朝に読み込まれましたが、その後、テーブルの結合に本当に必要な行が含まれているかどうかを確認した人はいませんでした。大きなずれはもっと早く報告する必要があります。",
    ),
    "Korean": (
        175,
        "데이터는 이른 아침에 로드되었고 그 후 아무도 테이블 병합에 실제로 원하는 "
        "행이 포함되어 있는지 확인하지 않았습니다. 큰 편차는 더 일찍 보고해야 합니다.",
    ),
}

LOW = dict.fromkeys(("Chinese", "Japanese", "Korean"), 0.4)
"""Where the estimate stays at one token a character, the smallest vocabularies need up to two."""


@pytest.mark.parametrize("kind", MEASURED)
@pytest.mark.parametrize("family", ["", *CHARS_PER_TOKEN])
def test_the_estimate_is_near_what_was_counted(kind: str, family: str):
    counted, text = MEASURED[kind]
    assert LOW.get(kind, 0.8) * counted <= estimate_tokens(text, family) <= 1.6 * counted
