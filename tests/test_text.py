"""Text from a server, fit to be shown."""

import pytest

from astroquery_mmoda.catalog import read_catalog
from astroquery_mmoda.text import printable, transliterated, visible, without_token


def test_plain_text_stays():
    assert printable("Cyg X-1 é µ") == "Cyg X-1 é µ"


def test_control_and_direction_characters_are_escaped():
    shown = printable("a\x1b[31mred\x00\u202eevil\u200bz")
    assert shown == r"a\x1b[31mred\x00\u202eevil\u200bz"


def test_one_message_is_one_line_unless_asked():
    assert printable("one\r\ntwo\nthree") == "one two three"
    assert printable("one\r\ntwo\nthree", newlines=True) == "one\ntwo\nthree"


def test_long_text_is_cut():
    assert len(printable("x" * 10_000, limit=100)) == 100
    assert printable("x" * 10_000, limit=100).endswith("...")


def test_tokens_are_masked_wherever_they_stand():
    token = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJtZSJ9.c2lnbmF0dXJl"
    assert printable(f"token={token}&x=1") == "token=<token>&x=1"
    assert without_token(f"'{token}'") == "'<token>'"
    # a token that is cut by the limit must not show its first half
    assert "eyJ" not in printable("y" * 90 + token, limit=100)


def test_masking_takes_no_longer_for_strange_texts():
    import time

    begin = time.process_time()
    for text in ("eyJ" * 300_000, "eyJ." * 200_000, "eyJaaaaa" * 100_000, "eyJ" * 300_000 + ".", "a.eyJ" * 100_000):
        without_token(text)
    assert time.process_time() - begin < 2
    assert without_token("eyJ.eyJ eyJhbGciOiJI.x eyJ") == "eyJ.eyJ <token> eyJ"
    assert without_token("keyJhbGciOiJI.e30.sig!") == "k<token>!"


def test_other_things_become_text():
    assert printable(None) == "None"
    assert printable({"a": 1}) == "{'a': 1}"


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("Cyg X-1", "Cyg X-1"),
        ("\u03b3 Cas", "gamma Cas"),
        ("\u0394", "Delta"),
        ("\u03bb Andromedae", "lambda Andromedae"),
        ("Étoile", "Etoile"),
        ("4U 1700\u2212377", "4U 1700-377"),
        ("天\n", "??"),
    ],
)
def test_ascii_for_headers_and_files(text, plain):
    assert transliterated(text) == plain


@pytest.mark.parametrize("name", ["Cyg\x1b[2JX-1", "a\u202eb", "one\ntwo", "nul\0", "\x85"])
def test_names_in_tables_are_escaped(name):
    (shown,) = visible([name])
    assert shown.isprintable()
    entry = {
        "cat_frame": "fk5",
        "cat_coord_units": "deg",
        "cat_column_names": ["meta_ID", "src_names", "ra", "dec"],
        "cat_column_list": [[0, 1], ["Crab ", name], [83.6, 1.0], [22.0, 2.0]],
        "cat_column_descr": [["meta_ID", "<i8"], ["src_names", "<U20"], ["ra", "<f8"], ["dec", "<f8"]],
    }
    assert read_catalog(entry)["src_names"].tolist() == ["Crab ", shown]


def test_plain_names_in_tables_stay():
    names = [" Cyg X-1 ", "é µ", "", "x" * 2000]
    assert visible(names) == names
