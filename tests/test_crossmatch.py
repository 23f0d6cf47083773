"""Source lists go into astropy's and astroquery's cross-matching as they come, and after a stay in a file."""

import csv
import io
import json
import re

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.table import Table, vstack
from astroquery.exceptions import InputWarning

from astroquery_mmoda import Products, spectrum_table, write_spectra
from astroquery_mmoda.catalog import table_of
from astroquery_mmoda.errors import ParameterError
from astroquery_mmoda.products.sources import Spellings, match_source, same_source
from astroquery_mmoda.request.source_list import to_catalog_text, to_service

NAMES = ["Crab", "3C 111", "IGR J05270+2119"]


def from_ecsv(products, path):
    products.catalog().write(path / "t.ecsv")
    return Table.read(path / "t.ecsv")


def from_fits(products, path):
    products.catalog().write(path / "t.fits")
    return Table.read(path / "t.fits")


def from_image(products, path):
    products.image().writeto(path / "mosaic.fits")
    with fits.open(path / "mosaic.fits") as mosaic:
        return Table.read(mosaic["CATALOG"])


def filtered_and_stacked(products, path):
    whole = products.catalog()
    bright = whole[whole["significance"] > 10]
    rest = whole[[name not in bright["src_names"] for name in whole["src_names"]]]
    stacked = vstack([bright, rest])
    return stacked[[stacked["src_names"].tolist().index(name) for name in NAMES]]


WAYS = {
    "as it comes": lambda products, path: products.catalog(),
    "ECSV": from_ecsv,
    "FITS": from_fits,
    "image": from_image,
    "filtered and stacked": filtered_and_stacked,
    "some columns": lambda products, path: products.catalog()["src_names", "ra", "dec", "ERR_RAD"],
}


@pytest.fixture(params=WAYS)
def sources(request, recorded, tmp_path):
    return WAYS[request.param](Products.from_response(recorded("isgri_image_6_done")), tmp_path)


@pytest.fixture
def other():
    """A list of somebody else: two of the sources, a little off, and one elsewhere."""
    places = SkyCoord([83.6330, 10.0, 64.5890] * u.deg, [22.0145, -5.0, 38.0266] * u.deg)
    return Table({"main_id": ["M 1", "nothing", "3C 111"], "RAJ2000": places.ra, "DEJ2000": places.dec})


def test_plain_names_need_no_second_column(sources):
    assert "SRCNAME8" not in sources.colnames


def test_positions_are_guessed(sources):
    places = SkyCoord.guess_from_table(sources)
    assert places.frame.name == "icrs"
    assert sources["src_names"].tolist() == NAMES
    np.testing.assert_allclose(places.ra.deg, sources["ra"])
    np.testing.assert_allclose(places.dec.deg, sources["dec"])
    assert places[0].separation(SkyCoord(83.6324, 22.0174, unit="deg")) < 5 * u.arcsec


def test_the_error_radius_has_a_unit(sources):
    assert sources["ERR_RAD"].unit == u.deg
    assert u.Quantity(sources["ERR_RAD"]).to_value(u.arcsec) == pytest.approx([0.85, 1.01, 48.96], abs=0.01)


def test_matched_by_astropy(sources, other):
    theirs = SkyCoord(other["RAJ2000"], other["DEJ2000"])
    index, distance, _ = SkyCoord.guess_from_table(sources).match_to_catalog_sky(theirs)
    assert other["main_id"][index[:2]].tolist() == ["M 1", "3C 111"]
    within = distance < np.maximum(u.Quantity(sources["ERR_RAD"]), 10 * u.arcsec)
    assert within.tolist() == [True, True, False]


def test_taken_by_xmatch(sources, other):
    """Without asking the service: the rows of both tables are in what would be sent."""
    from astroquery.xmatch import XMatch

    form, files = XMatch.query(
        cat1=sources,
        cat2=other,
        max_distance=60 * u.arcsec,
        colRA1="ra",
        colDec1="dec",
        colRA2="RAJ2000",
        colDec2="DEJ2000",
        get_query_payload=True,
    )
    assert (form["colRA1"], form["colDec1"]) == ("ra", "dec")
    ours, theirs = (list(csv.DictReader(io.StringIO(files["files"][name][1]))) for name in ("cat1", "cat2"))
    assert [row["src_names"] for row in ours] == NAMES
    assert [float(row["ra"]) for row in ours] == pytest.approx(list(sources["ra"]))
    assert [float(row["ERR_RAD"]) for row in ours] == pytest.approx(list(sources["ERR_RAD"]))
    assert [row["main_id"] for row in theirs] == ["M 1", "nothing", "3C 111"]


def test_positions_are_taken_by_vizier(sources):
    from astroquery.vizier import Vizier

    places = SkyCoord.guess_from_table(sources)
    form = str(Vizier.query_region(places, radius=1 * u.arcmin, catalog="I/239/hip_main", get_query_payload=True))
    sent = [float(number) for pair in re.findall(r"^([\d.]+)([-+][\d.]+)$", form, re.M) for number in pair]
    asked = SkyCoord(sent[::2], sent[1::2], unit="deg", frame="fk5")
    assert asked.separation(places).to_value(u.mas).tolist() == pytest.approx([0] * 3, abs=1)
    assert "c.rm=1.0" in form


# ---- names with letters that FITS does not have


FOREIGN = ["η Car", "Étoile Ψ", "日本"]


@pytest.fixture
def foreign(recorded):
    reply = recorded("isgri_image_6_done")
    reply["products"]["catalog"]["cat_column_list"][1] = list(FOREIGN)
    return Products.from_response(reply)


def test_foreign_names_in_tables_and_ecsv(foreign, tmp_path):
    assert foreign.catalog()["src_names"].tolist() == FOREIGN
    assert from_ecsv(foreign, tmp_path)["src_names"].tolist() == FOREIGN
    assert vstack([foreign.catalog()[:1], foreign.catalog()[1:]])["src_names"].tolist() == FOREIGN


def test_foreign_names_in_fits_are_spelled_and_kept(foreign, tmp_path):
    table = from_image(foreign, tmp_path)
    assert table["src_names"].tolist() == ["eta Car", "Etoile Psi", "??"]
    assert [bytes.fromhex(digits).decode() for digits in table["SRCNAME8"]] == FOREIGN


def test_foreign_names_come_back(foreign, tmp_path):
    foreign.image().writeto(tmp_path / "mosaic.fits")
    with fits.open(tmp_path / "mosaic.fits") as mosaic:
        table = table_of(mosaic)
        assert table["src_names"].tolist() == FOREIGN
        assert "SRCNAME8" not in table.colnames
        assert table.meta["FRAME"] == "fk5"
        edited = Table.read(mosaic["CATALOG"])
    edited["src_names"] = ["Eta Carinae", "Etoile Psi", ""]
    assert table_of(edited)["src_names"].tolist() == ["Eta Carinae", "Étoile Ψ", ""]
    edited["SRCNAME8"] = ["xyz", "ff", "c3"]
    assert table_of(edited)["src_names"].tolist() == ["Eta Carinae", "Etoile Psi", ""]


def test_foreign_names_are_sent_as_the_service_can_take_them(foreign):
    mosaic, known = foreign.image(), foreign.catalog()[:2]
    mosaic["CATALOG"].data = mosaic["CATALOG"].data[:2]
    for given in (mosaic, known, to_service(known), Table.read(mosaic["CATALOG"])):
        with pytest.warns(InputWarning, match="'η Car' is sent as 'eta Car'"):
            sent = json.loads(to_catalog_text(given))
        assert sent["cat_column_list"][1] == ["eta Car", "Etoile Psi"]
        assert "SRCNAME8" not in sent["cat_column_names"]
    assert known["src_names"].tolist() == FOREIGN[:2]


@pytest.mark.parametrize("names", [["日本", "a", "b"], ["é", "e", "b"]], ids=["no spelling", "another's name"])
def test_names_that_can_not_be_told_apart_are_not_sent(foreign, names):
    table = foreign.catalog()
    table["src_names"] = names
    with pytest.raises(ParameterError, match="not plain ASCII"):
        to_catalog_text(table)


def test_spectra_of_sources_with_foreign_names(recorded, tmp_path):
    reply = recorded("isgri_spectrum_real")
    plain = Products.from_response(reply).sources
    text = json.dumps(reply).replace(plain[0], "\\u03b7 Car").replace(plain[1], "\\u65e5")
    products = Products.from_response(text)
    assert products.sources[:2] == ["η Car", "日"]
    spectra = products.spectrum()
    assert spectra["SPECTRUM", 1].header["SRC_NAME"] == "eta Car"
    assert bytes.fromhex(spectra["SPECTRUM", 1].header["SRCNAME8"]).decode() == "η Car"
    assert spectra["SOURCES"].data["SRC_NAME"].tolist()[:2] == ["eta Car", "?"]
    spectra.writeto(tmp_path / "spectra.fits", checksum=True)
    with fits.open(tmp_path / "spectra.fits", checksum=True) as again:
        for name in ("η Car", "eta_car"):
            table = spectrum_table(again, name)
            assert table.meta["SRC_NAME"] == "η Car"
        assert spectrum_table(again, "日").meta["SRC_NAME"] == "日"
        with pytest.raises(ParameterError, match="no source '月'"):
            spectrum_table(again, "月")
        del again["SOURCES"]
        assert spectrum_table(again, "η Car").meta["SRC_NAME"] == "η Car"
        manifest = write_spectra(again, tmp_path / "files")
    assert manifest["source"][0] == "η Car"
    assert [path.rpartition("/")[2] for path in manifest["path"][:1]] == ["eta_Car_pha.fits"]
    for name in ("η Car", "eta Car"):
        assert products.spectrum(source=name)["SOURCES"].data["SRC_NAME"].tolist() == ["eta Car"]
        assert {product.source for product in products.select(source=name)} == {"η Car"}


def test_a_source_is_found_by_its_name_and_its_spelling():
    assert match_source(["Crab", "eta_Car"], "η Car") == "eta_Car"
    assert match_source(["η Car", "eta Car"], "η Car") == "η Car"
    assert same_source("Étoile", "etoile")
    assert not same_source("日", "月")
    assert not same_source("日", "?")


@pytest.mark.parametrize(
    ("sent", "meant"),
    [
        ("SerX-1", "Ser X-1"),
        ("Ser X 1", "Ser X-1"),
        ("MAXI J1820 070", "MAXI J1820+070"),
        ("4U 1823 00", "4U 1823 00"),  # either of two
        ("4U1823+00", "4U 1823+00"),
        ("MAXI J1820-070", "MAXI J1820-070"),  # another sign is another source
        ("NEW 2", "NEW_2"),
    ],
)
def test_names_of_the_catalog_that_was_sent(sent, meant):
    names = ["Ser X-1", "MAXI J1820+070", "4U 1823-00", "4U 1823+00", "NEW_1", "NEW_2"]
    assert Spellings(names).of(sent) == meant
