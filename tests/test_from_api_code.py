"""Everything that people paste: web page, e-mails, notebooks, public scripts. Read, never run; what is lost is named."""

from __future__ import annotations

import json
import time
import warnings
from pathlib import Path

import pytest
from astroquery.exceptions import InputWarning

from astroquery_mmoda import Mmoda, MmodaClass, ParameterError
from astroquery_mmoda.request.expressions import literal_value
from astroquery_mmoda.request.records import misunderstood
from astroquery_mmoda.request.snippets import read_api_code
from tests.scripted_server import Reply, ScriptedServer
from tests.tokens import mint

RESPONSES = Path(__file__).parent / "data" / "responses"
RECORDED = {
    path.stem: body["products"]
    for path in sorted(RESPONSES.glob("*.json"))
    if isinstance(body := json.loads(path.read_text("utf-8")).get("json"), dict)
    and isinstance(body.get("products"), dict)
    and body["products"].get("api_code")
}
METHODS = {
    "image": "query_image",
    "lc": "query_lightcurve",
    "lightcurve": "query_lightcurve",
    "spectrum": "query_spectrum",
}

PAGE = """from oda_api.api import DispatcherAPI
disp=DispatcherAPI(url='https://www.astro.unige.ch/mmoda/dispatch-data', instrument='mock')

par_dict={
    "DEC": -37.84,
    "E1_keV": 20.0,
    "RA": 255.98,
    "T1": "2005-09-06T13:26:48.000",
    "T2": "2005-09-06T15:32:27.000",
    "T_format": "isot",
    "instrument": "isgri",
    "oda_api_version": "1.3.5",
    "product": "isgri_lc",
    "product_type": "Real",
    "scw_list": [
        "035200230010.001"
    ],
    "src_name": "4U 1700-377",
    "time_bin": 500.0,
    "time_bin_format": "sec"
}

data_collection = disp.get_product(**par_dict)
"""
MEANING = {
    "DEC": -37.84,
    "E1_keV": 20.0,
    "RA": 255.98,
    "T1": "2005-09-06T13:26:48.000",
    "T2": "2005-09-06T15:32:27.000",
    "T_format": "isot",
    "instrument": "isgri",
    "product": "isgri_lc",
    "query_type": "Real",
    "scw_list": ["035200230010.001"],
    "src_name": "4U 1700-377",
    "time_bin": 500.0,
    "time_bin_format": "sec",
}
LINES = PAGE.splitlines()


@pytest.fixture(scope="module")
def client():
    """A client of a service that knows the instruments of the recordings, and nothing else."""

    def answer(request):
        instrument = request.query.get("instrument", "").replace("-", "_")
        recording = RESPONSES / f"meta_data_{instrument}.json"
        if request.path.endswith("api/meta-data") and recording.exists():
            return Reply(json.dumps(json.loads(recording.read_text("utf-8"))["json"]))
        if request.path.endswith("api/par-names"):
            return Reply(json.dumps(["energy_units", "catalog_selected_objects"]))
        return Reply(json.dumps({"error_message": "unknown"}), 400)

    with ScriptedServer(answer) as server:
        yield MmodaClass(server=server.url)


# ---- what the service itself gives


class OdaApi:
    """In the place of oda_api's class: keeps what it was asked, in the service's own words."""

    asked: dict

    def __init__(self, **options):
        pass

    def get_product(self, product, instrument, product_type="Real", **parameters):
        OdaApi.asked = {"product_type": product, "instrument": instrument, "query_type": product_type, **parameters}


# the service did not take this one either
REFUSED = {"failed_isgri_bad_scw": "scw_list: not a valid science window: '0665002200'"}
GOOD = [name for name in RECORDED if name not in REFUSED]


@pytest.mark.parametrize("name", REFUSED)
def test_a_request_that_the_service_refused(client, name):
    with pytest.raises(ParameterError, match=REFUSED[name]):
        client.query_product(**Mmoda.from_api_code(RECORDED[name]["api_code"]), get_query_payload=True)


# some of these snippets have a catalogue with Greek letters, of which the user is told
@pytest.mark.filterwarnings("ignore:MMODA. the service takes names of sources in ASCII")
@pytest.mark.parametrize("name", GOOD)
def test_the_same_request_as_the_snippet_makes(client, name):
    """Ours and that of the snippet, run with a stand-in for oda_api, agree in every parameter."""
    code = RECORDED[name]["api_code"]
    names = {"null": None, "DispatcherAPI": OdaApi}
    exec("\n".join(line for line in code.splitlines() if not line.startswith(("from", "import"))), names)
    arguments = Mmoda.from_api_code(code)
    payload = client.query_product(**arguments, get_query_payload=True)
    theirs = {key: value for key, value in OdaApi.asked.items() if key not in ("token", "api", "oda_api_version")}
    if isinstance(theirs.get("struct"), str):  # the service wrote JSON, and then Python's words into it
        theirs["struct"] = literal_value(theirs["struct"])
        assert json.loads(payload["struct"]) == theirs.pop("struct")
    assert not misunderstood(payload, theirs)
    missing = {key for key, value in theirs.items() if value not in ([], None)} - set(payload)
    assert not missing
    assert "token" not in payload


@pytest.mark.filterwarnings("ignore:MMODA. the service takes names of sources in ASCII")
@pytest.mark.parametrize("name", GOOD)
def test_each_method_takes_it(client, name):
    arguments = Mmoda.from_api_code(RECORDED[name]["api_code"])
    method = METHODS.get(arguments["product"].rpartition("_")[2], "query_product")
    assert getattr(client, method)(**arguments, get_query_payload=True)["product_type"] == arguments["product"]
    assert client.submit_product(**arguments, get_query_payload=True) == client.query_product(
        **arguments, get_query_payload=True
    )


def test_our_own_snippet_comes_back(client):
    arguments = Mmoda.from_api_code(PAGE)
    payload = client.query_lightcurve(**arguments, get_query_payload=True)
    from astroquery_mmoda.request.snippets import code_for

    again = Mmoda.from_api_code(code_for(None, payload))
    assert client.query_lightcurve(**again, get_query_payload=True) == payload


# ---- from where it was copied


def prompted(first, more):
    return "\n".join((more if line[:1] in (" ", "}") else first) + line for line in LINES)


COPIES = {
    "byte order mark, Windows": "\ufeff" + PAGE.replace("\n", "\r\n"),
    "blanks that do not break": PAGE.replace("    ", "\u00a0\u00a0\u00a0\u00a0"),
    "zero width": PAGE.replace('"RA"', '"RA"\u200b'),
    "indented": "\n".join("        " + line for line in LINES),
    "magics": f"%%time\n!pip install oda_api\n%matplotlib inline\n?disp\n{PAGE}\ndata_collection.show?\n  !ls -l\n",
    "prompts": prompted(">>> ", "... ") + "\n>>> data_collection.show()\nID=0 prod_name=isgri_lc_0\n",
    "IPython": prompted("In [7]: ", "   ...: ") + "\nOut[7]: <oda_api.DataCollection>\n",
    "exported notebook": "# coding: utf-8\n\n# In[1]:\n\n\n" + PAGE + "\n# In[ ]:\n",
    "typeset quotes": PAGE.replace('"src_name": "4U 1700-377"', "\u201csrc_name\u201d: \u201c4U 1700-377\u201d"),
    "typeset minus": PAGE.replace("-37.84", "\N{MINUS SIGN}37.84"),
    "quoted": "\n".join("> " + line for line in LINES),
    "single line": PAGE.replace("\n    ", " ").replace("\n}", "}").replace("\n        ", " "),
    "JSON alone": json.dumps({**MEANING, "product_type": "Real", "none": None}),
    "the dictionary alone": PAGE[PAGE.index("{") : PAGE.index("}") + 1],
}


@pytest.mark.parametrize("name", COPIES)
def test_copies(name):
    found = read_api_code(COPIES[name])
    found.pop("none", None)
    assert found == MEANING


# ---- what the code does with constants


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ('par["E1_keV"] = 35.0', {"E1_keV": 35.0}),
        ('par.update({"E2_keV": 60.0})', {"E2_keV": 60.0}),
        ("par.update(E2_keV=60.0, radius=4)", {"E2_keV": 60.0, "radius": 4}),
        ('par.update([("radius", 4)])', {"radius": 4}),
        ('par |= {"radius": 4}', {"radius": 4}),
        ('par = {**par, "radius": 4}', {"radius": 4}),
        ("par = dict(par, radius=4)", {"radius": 4}),
        ('par = par | dict(radius="4")', {"radius": "4"}),
        ('par.setdefault("radius", 4)', {"radius": 4}),
        ('par["RA"] = 1; del par["RA"]', {}),
        ('par["RA"] = 1; par.pop("RA")', {}),
        ('ra = 83.633\npar["RA"] = "%f" % ra', {"RA": "83.633000"}),
        ('ra, dec = 83.6, -22.0\npar["RA"], par["DEC"] = ra, dec', {"RA": 83.6, "DEC": -22.0}),
        ('par["RA"] = f"{15 * (5 + 34/60):.4f}"', {"RA": "83.5000"}),
        ('par["src_name"] = "{} {n}".format("4U", n="1700-377")', {"src_name": "4U 1700-377"}),
        ('par["src_name"] = "NGC" + " " + str(4151)', {"src_name": "NGC 4151"}),
        ('par["src_name"] = "%(a)s %(b)d" % {"a": "NGC", "b": 4151}', {"src_name": "NGC 4151"}),
        ('par["max_pointings"] = int("7") + 3 * 2 ** 2 - 1 // 2', {"max_pointings": 19}),
        ('par["scw_list"] = ["0352002%d0010.001" % 3, "035200240010.001"]', {"scw_list": ["035200230010.001", "035200240010.001"]}),
        ('w = ["035200230010.001"]\nw.append("035200240010.001")\npar["scw_list"] = ",".join(w)', {"scw_list": "035200230010.001,035200240010.001"}),
        ('par["cfg"] = json.loads(\'{"a": [1, null]}\')', {"cfg": {"a": [1, None]}}),
        ('cat = {"cat_frame": "fk5"}\npar["selected_catalog"] = json.dumps(cat)', {"selected_catalog": '{"cat_frame": "fk5"}'}),
        ('other = par.copy()\nother["RA"] = 5', {}),
        ('other = par\nother["RA"] = 5', {"RA": 5}),
        ('e = {"low": 20}\npar["E1_keV"] = e["low"] + 0.5', {"E1_keV": 20.5}),
        ('par["flag"] = true\npar["none"] = null', {"flag": True, "none": None}),
        ('if __name__ == "__main__":\n    par["RA"] = 5', {"RA": 5}),
        ('try:\n    par["RA"] = 5\nexcept KeyError:\n    print(par)', {"RA": 5}),
        ('with open("log", "w") as log:\n    par["RA"] = 5', {"RA": 5}),
        ('print(par)\nwrite(par)', {}),
        ('par["RA"] = np.float64(83.63)\npar["n"] = numpy.int64(5)', {"RA": 83.63, "n": 5}),
        ('from collections import OrderedDict\npar.update(OrderedDict([("RA", 5)]))', {"RA": 5}),
        ('par["token"] = os.environ["ODA_TOKEN"]', {}),
        ('par["src_name"] = None\npar["selected_catalog"] = None', {"src_name": None, "selected_catalog": None}),
    ],
    ids=lambda value: value.replace("\n", "; ") if isinstance(value, str) else "",
)  # fmt: skip
def test_constants(lines, expected):
    code = f'par = {{"instrument": "isgri", "product": "isgri_image"}}\n{lines}\ndata = disp.get_product(**par)\n'
    assert read_api_code(code) == {"instrument": "isgri", "product": "isgri_image", **expected}


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("disp.get_product('isgri_image', 'isgri', RA=5, product_type='Dummy')", {"RA": 5, "query_type": "Dummy"}),
        ("disp.get_product(**{'RA': 5}, instrument='isgri', product='isgri_image')", {"RA": 5}),
        ("OdaImage(disp.get_product(instrument='isgri', product='isgri_image', RA=5)).show()", {"RA": 5}),
        ("data = wrap.long_scw_list_call(['035200230010.001'], **dict(instrument='isgri', product='isgri_image', RA=5))", {"RA": 5, "scw_list": ["035200230010.001"]}),
        ("ra = 5\ndef ask():\n    return disp.get_product(instrument='isgri', product='isgri_image', RA=ra)", {"RA": 5}),
        ("{'instrument': 'isgri', 'product_type': 'isgri_image', 'query_type': 'Dummy', 'RA': 5}", {"RA": 5, "query_type": "Dummy"}),
        ("par = {'instrument': 'isgri', 'product': 'isgri_image', 'source': 1, 'timeout': 2}", {"parameters": {"source": 1, "timeout": 2}}),
    ],
)  # fmt: skip
def test_calls(code, expected):
    assert read_api_code(code) == {"instrument": "isgri", "product": "isgri_image", **expected}


def test_a_call_of_this_package():
    code = (
        'mosaic = Mmoda.query_image("isgri", "Crab", radius="8 deg", energy_range=(30, 80), timeout=100,\n'
        '                           time_range=("2018-03-16", "2018-03-17"))'
    )
    assert read_api_code(code) == {
        "instrument": "isgri",
        "coordinates": "Crab",
        "radius": "8 deg",
        "energy_range": (30, 80),
        "time_range": ("2018-03-16", "2018-03-17"),
    }


# ---- what is only known when the code runs


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ('par["RA"] = source.ra.deg', r"left out: RA \(source\.ra\.deg\)"),
        ('par.update({"RA": get()})', r"left out: RA \(get\(\)\)"),
        ("par.update(more)", "the effect of more is not known"),
        ("par = {**par, **more}", "the effect of more is not known"),
        ("par[key] = 5", r"the effect of par\[key\] is not known"),
        ("par.update(**more)", "the effect of more is not known"),
        ("par.clear()", r"the effect of par\.clear\(\) is not known"),
        ("del par[key]", r"the effect of par\.pop\(key\) is not known"),
        ('for e in (20, 30):\n    par["E1_keV"] = e', r"left out: E1_keV"),
        ('for e in (20, 30):\n    par["E1_keV"] = 20', r"left out: E1_keV \(only set under a condition\)"),
        ('n = 0\nwhile more():\n    n += 1\npar["max_pointings"] = n', "left out: max_pointings"),
        ('if bright:\n    par["RA"] = 5', "left out: RA"),
        ('try:\n    par["RA"] = 5\nexcept KeyError:\n    par["RA"] = 6', "left out: RA"),
        ('par["RA"] = places.get(name)\nplaces = {}\npar["RA"] = places.get(name)', "left out: RA"),
        ('if bright:\n    par["RA"] = 5\nelse:\n    par["RA"] = 6', "left out: RA"),
        ('w = []\nfor i in x: w.append("035200230010.001")\npar["scw_list"] = w', "left out: scw_list"),
        ('w = ["035200230010.001"]\nw.insert(0, x)\npar["scw_list"] = w', "left out: scw_list"),
        ("def change(d):\n    d.clear()\nchange(par)", r"the effect of change\(par\) is not known"),
        ("from settings import ra\npar['RA'] = ra", r"left out: RA \(ra\)"),
        ("ra = 5\nfrom settings import ra\npar['RA'] = ra", r"left out: RA \(ra\)"),
        ('par["radius"] = 8*u.deg', "left out: radius"),
        ('par["x"] = [1, get()]', "left out: x"),
        (f'par["x"] = "bearer {mint(hours=None)}"', "left out: x .it has a token in it"),
        ("def change():\n    par['RA'] = 5\nchange()", r"left out: RA \(only set under a condition\)"),
        ("def change():\n    global par\n    par = {}\nchange()", "the effect of global par is not known"),
        (
            "known = dict(par)\npar = {k: v for k, v in known.items()}",
            r"parameters of disp\.get_product\(\*\*par\) are not",
        ),
        ('disp.get_product(instrument="jemx", product="jemx_lc")', "2 different analyses, of which the last is read"),
    ],
)
def test_what_is_left_out_is_named(lines, says):
    code = f'par = {{"instrument": "isgri", "product": "isgri_image"}}\n{lines}\ndata = disp.get_product(**par)\n'
    with pytest.warns(InputWarning, match=says) as caught:
        found = read_api_code(code)
    assert found == {"instrument": "isgri", "product": "isgri_image"}
    assert len(caught) == 1
    assert "eyJ" not in str(caught[0].message)


PARAMETERS = {"instrument": "isgri", "product": "isgri_image", "RA": 83.6}


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ("get = lambda **k: disp.get_product(**par, **k)\nget(radius=5)", "the effect of k is not known"),
        ("data = [disp.get_product(**p) for p in [par]]", r"parameters of disp\.get_product\(\*\*p\) are not known"),
        (
            "data = list(map(lambda p: disp.get_product(**p), [par]))",
            r"parameters of disp\.get_product\(\*\*p\) are not",
        ),
        ("for p in [par]:\n    disp.get_product(**p)", r"parameters of disp\.get_product\(\*\*p\) are not known"),
        ("data = [disp.get_product(**par, max_pointings=n) for n in (3, 5)]", r"left out: max_pointings \(n\)"),
        ("data = {n: disp.get_product(**par, max_pointings=n) for n in (3, 5)}", r"left out: max_pointings \(n\)"),
        ("get = partial(disp.get_product, **par)\nget(radius=5)", r"the effect of partial\(disp\.get_product"),
        ("executor.submit(disp.get_product, **par)", r"the effect of executor\.submit.* is not known"),
        ("data = find(names, **par)", r"the effect of find\(names, \*\*par\) is not known"),
        ("data = wrap.long_scw_list_call(windows, s_max=50, **par)", r"left out: scw_list \(windows\)"),
    ],
)
def test_calls_that_are_not_followed_are_named(lines, says):
    with pytest.warns(InputWarning, match=says):
        assert read_api_code(f"par = {PARAMETERS}\n{lines}\n") == PARAMETERS


@pytest.mark.parametrize(
    "code",
    [
        f"for p in [{PARAMETERS}]:\n    print(p)",
        f"requests.get(url, params={PARAMETERS})",
        f"all = {{'first': {PARAMETERS}}}",
    ],
)
def test_dictionaries_inside_of_something_else(code):
    assert read_api_code(code) == PARAMETERS


@pytest.mark.parametrize("magic", ["%time", "%timeit -n 1 -r 1", "%prun", "    %time"])
def test_statements_behind_magics(magic):
    code = f"par = {PARAMETERS}\n{magic} data = disp.get_product(**par, max_pointings=3)"
    if magic.startswith(" "):
        code = f"if True:\n    par = {PARAMETERS}\n{magic} data = disp.get_product(**par, max_pointings=3)"
    assert read_api_code(code)["max_pointings"] == 3


@pytest.mark.parametrize("line", ['par["RA"] = 83.6 deg', "Kind regards,", "par = {'RA': 5,", "..., more = 5"])
def test_what_is_not_python_is_named(line):
    with pytest.raises(ParameterError, match=r"It is not Python .*line \d"):
        read_api_code(f"par = {PARAMETERS}\n{line}\n")


def test_many_functions_are_refused_in_time():
    code = f"par = {PARAMETERS}\n" + "\n".join(f"def f{i}():\n    par['a'] = 1\nf{i}()" for i in range(1500))
    begin = time.process_time()
    with pytest.raises(ParameterError, match="too intricate"):
        read_api_code(code)
    assert time.process_time() - begin < 40


def test_an_instrument_that_is_not_written_there():
    with pytest.raises(ParameterError, match=r"instrument in this text is only known when the code runs: name"):
        read_api_code("disp.get_product(instrument=name, product='isgri_lc')")


# ---- files


@pytest.mark.parametrize(
    "path", ["~/.oda-token", "/etc/passwd", "./x", "../x", "here.txt", "C:\\x", "\\\\host\\x", "file:///x"]
)
@pytest.mark.parametrize("name", ["dummy_file", "user_catalog_file", "scw_list", "catalog"])
def test_no_path_comes_out_of_a_snippet(path, name):
    Path("here.txt").write_text("secret", encoding="utf-8")
    with pytest.warns(InputWarning, match=f"left out: {name} .a file"):
        found = read_api_code(f"par = {{'instrument': 'empty', 'product': 'file_dummy', {name!r}: {path!r}}}")
    assert found == {"instrument": "empty", "product": "file_dummy"}


def test_a_file_that_appears_later_is_not_uploaded_either(client):
    found = read_api_code("par = {'instrument': 'empty', 'product': 'file_dummy', 'dummy_file': 'later'}")
    windows = read_api_code("par = {'instrument': 'isgri', 'product': 'isgri_image', 'scw_list': 'later'}")
    Path("later").write_text("secret", encoding="utf-8")
    with pytest.raises(ParameterError, match=r"never name files to be uploaded.*dummy_file=Path"):
        client.query_product(**found, get_query_payload=True)
    own = {**found, "dummy_file": Path("later")}
    assert (
        client.query_product(**own, time_range=(58000, 58001), get_query_payload=True)["dummy_file"]
        == "later (6 bytes)"
    )
    with pytest.raises(ParameterError, match="not a valid science window: 'later'"):
        client.query_image(**windows, get_query_payload=True)


@pytest.mark.parametrize("path", ["~/.oda-token", ".oda-token", ".ssh/id_rsa", "~root/x", "/x", "file:x", "here.txt"])
def test_no_path_comes_out_of_a_call_of_ours(path):
    Path("here.txt").write_text("secret", encoding="utf-8")
    calls = (
        f"Mmoda.submit_product('empty', product='file_dummy', parameters={{'dummy_file': {path!r}, 'p': 5}})",
        f"more = dict(p=5)\nmore['dummy_file'] = {path!r}\nMmoda.query_product('empty', product='file_dummy', parameters=more)",
    )
    for code in calls:
        with pytest.warns(InputWarning, match="left out: dummy_file .a file"):
            found = read_api_code(code)
        assert found == {"instrument": "empty", "product": "file_dummy", "parameters": {"p": 5}}


def test_nested_names_stay_texts(client):
    code = "Mmoda.query_product('empty', product='file_dummy', parameters={'dummy_file': 'later', 'token': 'x'})"
    found = read_api_code(code)
    catalog = read_api_code("Mmoda.query_image('isgri', catalog='later')")
    for name in ("later", "later.fits"):
        Path(name).write_text("secret", encoding="utf-8")
    with pytest.raises(ParameterError, match=r"never name files to be uploaded.*dummy_file=Path"):
        client.query_product(**found, get_query_payload=True)
    with pytest.raises(ParameterError, match=r"never name files to be read.*catalog=Path"):
        client.query_image(**catalog, get_query_payload=True)
    structure = {"a": ["/not/a/path", {"b": "~"}]}
    assert read_api_code(f"par = {{'instrument': 'empty', 'struct': {structure!r}}}")["struct"] == structure


# ---- hostile texts


HOSTILE = {
    "text": 'par["x"] = "a" * 10**9',
    "power": 'par["x"] = 9**9**9',
    "shift": 'par["x"] = 1 << 10**9',
    "percent": 'par["x"] = "%1000000000d" % 5',
    "star": 'par["x"] = "%*d" % (10**9, 5)',
    "format": 'par["x"] = f"{5:>1000000000}"',
    "nested format": 'par["x"] = "{:>{}}".format(1, 10**9)',
    "attribute": 'par["x"] = "{0.__class__}".format(1)',
    "list": 'par["x"] = [[[0] * 1000] * 1000] * 1000',
    "replace": 'par["x"] = "a".replace("", "b" * 100000).replace("", "b" * 100000)',
    "join": 'par["x"] = ("b" * 100000).join(["a"] * 10000)',
    "zfill": 'par["x"] = "1".zfill(10**9)',
    "doubling": "a = [0] * 10\n" + "a = [a] * 10\n" * 40 + 'par["x"] = a',
    "cycle": 'a = [1]\na.append(a)\npar["x"] = a',
    "update by itself": "par.update(x=par)",
    "in itself": 'par["x"] = [par]',
    "deep list": 'par["x"] = ' + "[" * 90 + "]" * 90,
    "digits": 'par["x"] = int("9" * 100000)',
    "sum": 'par["x"] = ' + "+".join(["1"] * 500),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_sizes_are_left_out_or_refused_at_once(name):
    begin = time.process_time()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            found = read_api_code(f'par = {{"instrument": "i", "product": "p"}}\n{HOSTILE[name]}')
        except ParameterError:
            found, caught = {}, ["refused"]
    assert found.get("x", 500) in (500, json.loads("[" * 90 + "]" * 90))
    assert ("x" in found) is not bool(caught)
    assert time.process_time() - begin < 5


@pytest.mark.parametrize(
    "text",
    [
        "a = 1\n" * 300_000,
        "par = {'instrument': 'i'}\n" + "if x:\n  par['a'] = 1\n" * 100_000,
        "[" * 100_000,
        "(" * 100 + ")" * 100,
        "par = {'instrument': " + "-" * 50_000 + "1}",
        "x" * 1_900_000,
        "'" + "\n'" * 300_000,
        "=3D\n" * 200_000,
        "&lt;" * 300_000,
        "%" * 100_000,
        '{"cells": [' * 10_000,
    ],
    ids=range(11),
)
def test_intricate_texts_are_refused_in_time(text):
    begin = time.process_time()
    with pytest.raises(ParameterError):
        read_api_code(text)
    assert time.process_time() - begin < 30


def test_other_things_than_texts():
    for wrong in (None, 5, b"par = {}", {"instrument": "isgri"}):
        with pytest.raises(ParameterError, match="A snippet is a text, not a"):
            read_api_code(wrong)
