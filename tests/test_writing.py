"""Files of products: safe names, where they are from, and no token in any of them."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from astropy import units as u
from astropy.io import fits
from astropy.table import Table

from astroquery_mmoda import DecodingError, Products, read_lightcurve, write_lightcurve, write_spectra
from astroquery_mmoda.products.cards import primary_hdu
from astroquery_mmoda.products.kinds import Entry
from astroquery_mmoda.products.product import Product
from tests.tokens import mint

SERVICE = "https://someone:secret@mmoda.example:8443/mmoda/dispatch-data?token=abc#top"
ADDRESS = "https://mmoda.example:8443/mmoda/dispatch-data"
VERSION = re.compile(r"astroquery_mmoda \d+\.\d+")


def _as_it_is(raw, what, allowance):
    return raw


def made(*things, **options):
    """Products of (name, kind, source, data)."""
    entries = [(Entry(name, kind, data, _as_it_is), source) for name, kind, source, data in things]
    return Products([Product(entry, entry.name, source) for entry, source in entries], job_id="0123", **options)


def names(manifest):
    return [Path(path).name for path in manifest["path"]]


def check_fits(path):
    """As fitscheck does it: the standard, and the sums."""
    with fits.open(path, checksum=True) as hdulist:
        hdulist.verify("exception")
        assert all("CHECKSUM" in hdu.header for hdu in hdulist)
        return hdulist[0].header.copy()


# ---- where it is from


def check_origin(header, reply):
    told = reply["products"]["analysis_parameters"]
    assert header["ORIGIN"] == "MMODA"
    assert header["SERVICE"] == ADDRESS
    assert header["INSTRUM"] == told["instrument"]
    assert header["PRODUCT"] == told["product_type"]
    assert header["JOB_ID"] == reply["job_monitor"]["job_id"]
    assert VERSION.match(header["CREATOR"])
    assert "secret" not in str(header)


@pytest.mark.parametrize(
    "name",
    [
        "isgri_image_dummy",
        "isgri_spectrum_real",
        "isgri_lc_real",
        "spi_acs_lc_real",
        "nb_everything_4_done",
        "empty_echo",
    ],
)
def test_every_file_tells_where_it_is_from(recorded, tmp_path, name):
    reply = recorded(name)
    products = Products.from_response(reply, service=SERVICE)
    products.write(tmp_path / "out")
    told = {key: value for key, value in products.parameters.items() if value is not None}
    for path in (tmp_path / "out").glob("*.fits"):
        header = check_fits(path)
        check_origin(header, reply)
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", header["DATE"])
        history = "".join(str(line) for line in header["HISTORY"])
        assert "MMODA parameter query_type = " + told["query_type"] in history
        for parameter in ("E1_keV", "time_bin", "scw_list"):
            if parameter in told:
                text = told[parameter] if isinstance(told[parameter], str) else json.dumps(told[parameter])
                assert f"MMODA parameter {parameter} = {text}" in history
        assert products.parameters["session_id"] not in str(header)
    for path in (tmp_path / "out").glob("*.ecsv"):
        meta = Table.read(path, format="ascii.ecsv").meta["MMODA"]
        assert (meta["service"], meta["job_id"]) == (ADDRESS, products.job_id)
        assert VERSION.match(meta["creator"])
        assert meta["parameters"]["T1"] == told["T1"]
    (index,) = (tmp_path / "out").glob("mmoda-*.json")
    assert index.name == f"mmoda-{products.job_id}.json"
    provenance = json.loads(index.read_text())["provenance"]
    assert (provenance["service"], provenance["product"]) == (ADDRESS, told["product_type"])
    listed = {file["name"] for each in json.loads(index.read_text())["products"] for file in each["files"]}
    assert listed == {path.name for path in (tmp_path / "out").iterdir()} - {index.name}


def test_forms_tell_it_too(recorded, tmp_path):
    for name, form in (("isgri_image_dummy", "image"), ("isgri_spectrum_real", "spectrum")):
        hdulist = getattr(Products.from_response(recorded(name), service=SERVICE), form)()
        check_origin(hdulist[0].header, recorded(name))
        assert "MMODA parameter E1_keV = 28.0" in list(hdulist[0].header["HISTORY"])
        assert "DATE" not in hdulist[0].header  # two looks at one analysis are the same
    write_spectra(hdulist, tmp_path)
    check_origin(check_fits(tmp_path / "Crab_rmf.fits"), recorded("isgri_spectrum_real"))


def test_light_curves_tell_it_in_their_meta(recorded, tmp_path):
    reply = recorded("isgri_lc_real")
    reply["products"]["analysis_parameters"]["note"] = "it's 5 & 6 of βeta" + "'" * 200
    table = Products.from_response(reply, service=SERVICE).lightcurve()
    check_origin(table.meta, reply)
    assert json.loads(table.meta["PARAMS"])["E1_keV"] == "28.0"
    table.write(tmp_path / "curve.ecsv")
    assert dict(Table.read(tmp_path / "curve.ecsv").meta) == dict(table.meta)
    assert dict(read_lightcurve(write_lightcurve(table, tmp_path / "curve.fits")).meta) == dict(table.meta)
    header = check_fits(tmp_path / "curve.fits")
    check_origin(header, reply)
    assert "MMODA parameter E2_keV = 40.0" in list(header["HISTORY"])


def test_the_version_of_the_service_where_it_tells_one(recorded, tmp_path):
    reply = recorded("isgri_lc_real")
    assert "SERVVERS" not in primary_hdu(Products.from_response(reply)).header
    reply["cdci_data_analysis_version"] = "1.3.6"
    assert primary_hdu(Products.from_response(reply)).header["SERVVERS"] == "1.3.6"


def test_what_is_too_long_for_a_header_is_in_the_index(tmp_path):
    catalog = json.dumps({"cat_column_list": [list(range(50_000))]})
    products = made(("a", "text", "", "x"), parameters={"selected_catalog": catalog, "cfg": ["y" * 3000], "none": None})
    header = primary_hdu(products).header
    history = "".join(str(line) for line in header["HISTORY"])
    assert re.search(rf"selected_catalog = \({len(catalog)} characters\)", history)
    assert "cfg = (3004 characters" in history
    assert "none" not in history
    products.write(tmp_path)
    assert Products.read(tmp_path).parameters["selected_catalog"] == catalog


def test_headers_are_ascii(tmp_path):
    products = made(
        ("β", "array", "Mira β", fits.HDUList([fits.PrimaryHDU(np.zeros(3))])),
        parameters={"src_name": "Mira β\x1b[31m\n", "instrument": "\u202eisgri", "größe": "5\N{DEGREE SIGN}"},
        service="https://münchen.example/\u202e",
    )
    assert names(products.write(tmp_path)) == ["beta.fits"]
    header = check_fits(tmp_path / "beta.fits")
    assert header["OBJECT"].startswith("Mira beta")
    assert all(character.isascii() and character.isprintable() for character in str(header).replace("\n", ""))


# ---- tokens


def with_tokens(reply, token):
    """Put a token wherever the service, or a workflow, could put one."""
    products = reply["products"]
    products["analysis_parameters"].update(token=token, note=f"my {token}", deep={"a": [token]})
    reply["exit_status"]["comment"] = f"done with {token}"
    products["echo"] = {"token": token, "url": f"https://x.example/?token={token}"}
    products["extra_metadata"] = {"a": {"label": token}}
    for key, value in products.items():
        if key == "catalog":
            value["cat_column_list"][value["cat_column_names"].index("src_names")][0] = f"NEW {token}"
        for element in value if key.endswith("_product_list") else ():
            element["name"] = f"{element.get('name')} {token}"
            for unit in element.get("data_unit_list", ()):
                unit["header"]["REMARK"] = f"see {token}"
            if element.get("ascii"):
                element["ascii"] = element["ascii"].replace("Crab", token)
            if key == "text_product_list":
                element["value"] = f"text {token}"


@pytest.mark.parametrize(
    "name",
    ["isgri_image_dummy", "isgri_spectrum_real", "isgri_lc_real", "nb_everything_4_done", "nb_lightcurve_4_done"],
)
def test_no_token_in_any_byte(recorded, tmp_path, name):
    reply, token = recorded(name), mint()
    with_tokens(reply, token)
    products = Products.from_response(reply, service=f"https://mmoda.example/?token={token}", requested={"x": token})
    manifest = products.write(tmp_path / "out")
    Products.read(tmp_path / "out").write(tmp_path / "again")
    pieces = [piece.encode() for piece in token.split(".")]
    for path in [*(tmp_path / "out").iterdir(), *(tmp_path / "again").iterdir()]:
        assert not any(piece in path.read_bytes() for piece in pieces), path.name
        assert "eyJ" not in path.name
        if path.suffix == ".fits":
            check_fits(path)
    assert not any(piece.decode() in str(list(manifest["source"])) for piece in pieces)
    for product in products:
        whole = [hdu.header for hdu in product.data] if isinstance(product.data, fits.HDUList) else [product.data]
        assert not any(piece.decode() in str(part) for piece in pieces for part in whole)


# ---- names


def test_names_are_readable_and_safe(tmp_path):
    things = [
        ("Cyg X-1", "text", "Cyg X-1", "a"),
        ("cyg x-1", "text", "Cyg X-1", "b"),
        ("../../etc/passwd", "text", "", "c"),
        ("β Cas", "other", "β Cas", {"d": 1}),
        ("result.fits", "binary", "", b"e"),
        ("run.py", "binary", "", b"f"),
        ("table.csv.txt", "text", "", "g"),
        ("mmoda-0123", "other", "", {"format": "astroquery_mmoda products"}),
        ("", "other", "", []),
    ]
    products = made(*things)
    manifest = products.write(tmp_path / "out")
    assert names(manifest) == [
        "Cyg_X-1.txt",
        "cyg_x-1_2.txt",
        "etc_passwd.txt",
        "beta_Cas.json",
        "result.fits",
        "run.py.bin",
        "table.csv.txt",
        "product_mmoda-0123.json",
        "other.json",
    ]
    assert list(manifest["source"][:4]) == ["Cyg X-1", "Cyg X-1", "", "β Cas"]
    assert sorted(path.name for path in tmp_path.iterdir() if path.name != "home") == ["out"]
    assert [each.name for each in Products.read(tmp_path / "out")] == [name for name, *_ in things]


def test_a_job_id_chooses_no_path(tmp_path):
    products = Products([], job_id="../../evil")
    assert len(products.write(tmp_path / "deep" / "out")) == 0
    assert [path.name for path in (tmp_path / "deep" / "out").iterdir()] == ["mmoda-evil.json"]
    assert Products.read(tmp_path / "deep" / "out", job_id="../../evil").job_id == "../../evil"
    assert list(tmp_path.rglob("*.json")) == [tmp_path / "deep" / "out" / "mmoda-evil.json"]


def test_nothing_is_overwritten_unless_asked(tmp_path):
    made(("a", "text", "", "old")).write(tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.glob("*.*")}
    with pytest.raises(FileExistsError, match=r"a\.txt"):
        made(("b", "text", "", "new"), ("a", "text", "", "new")).write(tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.glob("*.*")} == before
    made(("a", "text", "", "new")).write(tmp_path, overwrite=True)
    assert Products.read(tmp_path)[0].data == "new"


def test_a_damaged_product_does_not_stop_the_others(recorded, tmp_path):
    reply = recorded("isgri_lc_real")
    reply["products"]["numpy_data_product_list"][1]["data_unit_list"][-1]["binarys"] = "AAAA"
    products = Products.from_response(reply)
    with pytest.raises(DecodingError, match="isgri_lc") as caught:
        products.write(tmp_path / "out")
    manifest = caught.value.manifest
    failed = [row for row in manifest if row["error"]]
    assert len(failed) == 1
    assert "isgri_lc" in failed[0]["error"]
    written = {Path(row["path"]).name for row in manifest if not row["error"]}
    assert written == {path.name for path in (tmp_path / "out").iterdir() if not path.name.startswith("mmoda-")}
    assert len(written) == len(products) - 1
    assert len(Products.read(tmp_path / "out")) == len(products) - 1


# ---- what is in the files


def test_a_light_curve_for_other_tools_and_as_it_came(recorded, tmp_path):
    products = Products.from_response(recorded("isgri_lc_real"))
    assert names(products.write(tmp_path)) == ["isgri_lc_Crab.fits", "isgri_lc_3C_111.fits"]
    check_fits(tmp_path / "isgri_lc_Crab.fits")
    with fits.open(tmp_path / "isgri_lc_Crab.fits") as hdulist:
        assert [hdu.name for hdu in hdulist][:3] == ["PRIMARY", "RATE", "GTI"]
        assert {hdu.name for hdu in hdulist[3:]} == {"SERVICE"}
        assert hdulist["RATE"].header["TIMESYS"] == "TT"
        own = products[0].data[-1]
        assert hdulist[-1].header["ORIGNAME"] == own.name
        np.testing.assert_array_equal(hdulist[-1].data["TIME"], own.data["TIME"])
    table = read_lightcurve(tmp_path / "isgri_lc_Crab.fits")
    form = products.lightcurve("Crab")
    assert abs((table["time"] - form["time"]).to_value(u.s)).max() < 1e-6
    np.testing.assert_array_equal(table["RATE"].mask, form["RATE"].mask)


def test_what_is_called_a_light_curve_but_is_none(tmp_path):
    table = fits.BinTableHDU.from_columns([fits.Column("PHASE", "D", array=[0.1, 0.2])], name="FOLDED")
    products = made(("folded", "lightcurve", "Crab", fits.HDUList([fits.PrimaryHDU(), table])))
    assert names(products.write(tmp_path)) == ["folded_Crab.fits"]
    with fits.open(tmp_path / "folded_Crab.fits") as hdulist:
        assert [hdu.name for hdu in hdulist] == ["PRIMARY", "FOLDED"]
        assert hdulist[0].header["JOB_ID"] == "0123"


def test_images_of_several_products_have_files_of_their_own(recorded, tmp_path):
    reply = recorded("isgri_image_dummy")
    reply["products"]["numpy_data_product_list"] *= 2
    products = Products.from_response(reply)
    manifest = products.write(tmp_path)
    assert names(manifest) == ["mosaic_image.fits", "mosaic_image_2.fits", "catalog.ecsv"]
    for name in names(manifest)[:2]:
        with fits.open(tmp_path / name) as hdulist:
            assert [hdu.name for hdu in hdulist][-1] == "CATALOG"
            assert "SIGNIFICANCE" in hdulist
    assert [hdu.ver for hdu in Products.read(tmp_path).image()] == [hdu.ver for hdu in products.image()]


def spectral(columns, *, kind="spectrum", name="S", source="Crab"):
    table = fits.BinTableHDU.from_columns([fits.Column(each, "E", array=[1.0, 2.0]) for each in columns], name=name)
    return f"{kind} {source}", kind, source, fits.HDUList([fits.PrimaryHDU(), table])


def test_spectra_that_are_not_of_the_ogip_kind_stay_as_they_are(tmp_path):
    things = [
        spectral(["ENERGY", "FLUX"]),
        spectral(["CHANNEL"], name="SPECTRUM", source="no values"),
        spectral(["ENERG_LO", "SPECRESP"], kind="arf", name="SPECRESP"),
    ]
    manifest = made(*things).write(tmp_path)
    assert names(manifest) == ["spectrum_Crab.fits", "spectrum_no_values.fits", "arf_Crab.fits"]
    with fits.open(tmp_path / "spectrum_Crab.fits") as hdulist:
        assert hdulist["S"].columns.names == ["ENERGY", "FLUX"]
    assert [each.data[1].columns.names for each in Products.read(tmp_path)][0] == ["ENERGY", "FLUX"]


@pytest.mark.filterwarnings("ignore:.*no EXPOSURE")
def test_two_spectra_of_one_source(tmp_path):
    things = [spectral(["CHANNEL", "RATE", column], name="SPECTRUM") for column in ("STAT_ERR", "SYS_ERR")]
    things += [spectral(["CHANNEL", "COUNTS"], name="SPECTRUM", source="")]
    manifest = made(*things).write(tmp_path)
    assert names(manifest) == ["Crab_pha.fits", "Crab_2_pha.fits", "spectrum_pha.fits"]
    assert list(manifest["kind"]) == ["spectrum"] * 3
    again = Products.read(tmp_path)
    assert [each.data["SPECTRUM"].columns.names[2:] for each in again] == [["STAT_ERR"], ["SYS_ERR"], []]


@pytest.mark.parametrize("ending", [".py", ".sh", ".exe", ".html", ".js", ".pth", ".bat", ".PY"])
def test_endings_are_those_of_data(tmp_path, ending):
    assert names(made((f"run{ending}", "binary", "", b"a")).write(tmp_path)) == [f"run{ending}.bin"]
