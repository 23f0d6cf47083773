# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""
The client against the released INTEGRAL plugins, with a back end of ours that writes files shaped like those of OSA.

Each product is compared with the FITS files that the back end wrote, and each catalogue as it arrived there: between
them lies code of the service that this project did not write. The fixture ``released_plugins`` is in conftest.py.

What release 1.0 of the plugins does on dispatcher 1.3.3 and today's service does otherwise:

- OSA10.2 and OSA11.0 only, and no default: ``osa_version`` has to be given.
- ``spi_acs`` divides by the length of its native bins once more than it should: rates are 20 times too large. Without
  rebinning (``time_bin`` of 0.05 s) it fails. There is no EPHS.
- JEM-X light curves have no column TIMEDEL.
- Of names of JEM-X sources only the part between the first two underscores is left in spectra, and ``+`` and ``-`` are
  blanks in light curves.

Not run: roles, limits of energies and of pointings, which came later; instrument ``osa_fake``, a placeholder;
``spectral_fit``, which needs XSPEC.
"""

from __future__ import annotations

import json
import re
import types
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import requests
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.table import Table, vstack
from astroquery.exceptions import InputWarning

from astroquery_mmoda import JobFailed, MmodaClass, Products
from tests.local_mmoda import sky

BAND = {"isgri": (30, 80) * u.keV, "jemx": (3, 20) * u.keV}
OBSERVATION = {
    "coordinates": "MAXI J1820+070",
    "radius": 5 * u.deg,
    "time_range": ("2018-03-17T00:00:00", "2018-03-19T00:00:00"),
    "max_pointings": 3,
    "osa_version": "OSA11.0",
}
NOTHING = {**OBSERVATION, "time_range": ("2001-01-01", "2001-01-02")}
WINDOWS = ["066500220010.001", "066500230010.001"]
BURST = {"time_range": ("2018-04-01T00:00:00", "2018-04-01T00:02:00")}


def run(service, instrument, product, **asked):
    """Products of one analysis, and what the back end knows of it."""
    client = MmodaClass(server=service.url)
    if "scw_list" in asked:
        observation = {"coordinates": OBSERVATION["coordinates"], "osa_version": OBSERVATION["osa_version"]}
    else:
        observation = OBSERVATION
    job = client.submit_product(instrument, product=product, energy_range=BAND[instrument], **{**observation, **asked})
    products = job.result(timeout=120)
    return types.SimpleNamespace(job=job, products=products, analysis=service.analysis(job.job_id))


def run_all(service, wanted):
    """Many at once: the plugin sleeps for two seconds whenever it is asked."""
    with ThreadPoolExecutor(8) as threads:
        started = {name: threads.submit(run, service, *which, **asked) for name, (which, asked) in wanted.items()}
        return {name: future.result() for name, future in started.items()}


@pytest.fixture(scope="module")
def client(released_plugins):
    return MmodaClass(server=released_plugins.url)


@pytest.fixture(scope="module")
def images(released_plugins):
    """Of both instruments, and of a list of windows."""
    wanted = {
        "isgri": (("isgri", "isgri_image"), {}),
        "jemx": (("jemx", "jemx_image"), {"jemx_num": 1}),
        "windows": (("isgri", "isgri_image"), {"scw_list": WINDOWS}),
    }
    return run_all(released_plugins, wanted)


@pytest.fixture(scope="module")
def catalogs(images, client):
    """By the names by which the tests below know them."""
    isgri, jemx = (images[name].products.catalog() for name in ("isgri", "jemx"))
    sources = [sky.source(name) for name in ("MAXI J1820+070", "Ser X-1")]
    places = SkyCoord([each.ra for each in sources] * u.deg, [each.dec for each in sources] * u.deg, frame="fk5")
    names = [each.name for each in sources]
    galactic = Table({"src_names": names, "l": places.galactic.l, "b": places.galactic.b}, meta={"FRAME": "galactic"})
    only_jemx = [name not in isgri["src_names"] for name in jemx["src_names"]]
    return {
        "found": isgri,
        "names": names,
        "radians": Table(
            {"name": names, "ra": places.ra.to(u.rad), "dec": places.dec.to(u.rad)}, meta={"FRAME": "FK5"}
        ),
        "galactic": galactic,
        "stacked": vstack([isgri[:2], jemx[only_jemx]], metadata_conflicts="silent"),
        "extended": client.add_sources(isgri, ["V426 Oph"]),
    }


@pytest.fixture(scope="module")
def extracted(released_plugins, images, catalogs):
    """Spectra and light curves of both instruments, with each catalogue."""
    isgri, jemx = (images[name].products.catalog() for name in ("isgri", "jemx"))
    wanted = {
        "isgri_spectrum": (("isgri", "isgri_spectrum"), {"catalog": isgri}),
        "jemx_spectrum": (("jemx", "jemx_spectrum"), {"catalog": jemx, "jemx_num": 1}),
        "isgri_lc": (("isgri", "isgri_lc"), {"catalog": isgri, "time_bin": 700 * u.s}),
        "jemx_lc": (("jemx", "jemx_lc"), {"catalog": jemx, "time_bin": 700 * u.s, "jemx_num": 1}),
    }
    for name, catalog in catalogs.items():
        short = {"catalog": catalog, "time_bin": 1000 * u.s, "max_pointings": 1}
        wanted[f"with {name}"] = (("isgri", "isgri_lc"), short)
        wanted[f"jemx with {name}"] = (("jemx", "jemx_lc"), short)
    return run_all(released_plugins, wanted)


# ---- discovery ---------------------------------------------------------------------------------------------------


def test_instruments(client):
    listed = {row["instrument"]: row["products"] for row in client.list_instruments()}
    assert set(listed) == {"isgri", "jemx", "osa_fake", "spi_acs"}
    assert "jemx_lc" in listed["jemx"]


def test_parameters(client):
    rows = {row["name"]: row for row in client.list_parameters("jemx", "jemx_lc")}
    assert rows["jemx_num"]["default"] == "2"
    assert rows["time_bin"]["default"] == "1000.0"
    assert {"E1_keV", "radius", "max_pointings", "osa_version", "scw_list"} <= set(rows)


# ---- images ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("which", "kinds", "units"),
    [
        ("isgri", ["INTENSITY", "VARIANCE", "SIGNIFICANCE", "EXPOSURE"], ["ct / s", "ct2 / s2", "", "s"]),
        (
            "jemx",
            ["RECONSTRUCTED", "VARIANCE", "SIGNIFICANCE", "EXPOSURE"],
            ["ct / (s dm2)", "ct2 / (s2 dm4)", "", "s"],
        ),
        ("windows", ["INTENSITY", "VARIANCE", "SIGNIFICANCE", "EXPOSURE"], ["ct / s", "ct2 / s2", "", "s"]),
    ],
)
def test_image(images, which, kinds, units):
    mosaic = images[which].products.image()
    with fits.open(images[which].analysis.result["skyima"]) as written:
        maps = written[2:]
        assert [hdu.header["IMATYPE"] for hdu in maps] == kinds
        seen = maps[3].data > 0
        assert 0 < seen.sum() < seen.size
        for hdu, unit in zip(maps, units, strict=True):
            name = hdu.header["IMATYPE"].replace("RECONSTRUCTED", "INTENSITY")
            ours = mosaic[name]
            assert np.array_equal(ours.data[seen], hdu.data[seen])
            # outside of the field all maps of the file are zero, which is true for the exposure only
            assert np.all(hdu.data[~seen] == 0)
            assert np.all(ours.data[~seen] == 0 if name == "EXPOSURE" else np.isnan(ours.data[~seen]))
            assert u.Unit(ours.header.get("BUNIT", "")) == u.Unit(unit)
            assert ours.header["IMATYPE"] == hdu.header["IMATYPE"]
            for key in ("TSTART", "TSTOP", "TELAPSE", "ONTIME", "E_MIN", "E_MAX", "CRVAL1", "CD2_2"):
                assert ours.header[key] == hdu.header[key]
            assert ours.header.get("MJD-OBS", hdu.header["TSTART"] + 51544) == pytest.approx(
                hdu.header["TSTART"] + 51544, abs=1e-6
            )


@pytest.mark.parametrize("which", ["isgri", "jemx"])
def test_catalog_of_the_image(images, which):
    found = images[which].products.catalog()
    with fits.open(images[which].analysis.result["srclres"]) as written:
        rows = written[1].data
        # the service leaves out what is below the threshold of detection
        rows = rows[rows["DETSIG"] > 7.0]
    assert 3 < len(rows) == len(found)
    assert list(found["src_names"]) == [name.strip() for name in rows["NAME"]]
    ra, dec = (rows["RA_FIN"], rows["DEC_FIN"]) if which == "isgri" else (rows["RA_OBJ"], rows["DEC_OBJ"])
    for column, values in (("ra", ra), ("dec", dec), ("significance", rows["DETSIG"]), ("ERR_RAD", rows["ERR_RAD"])):
        assert np.array_equal(np.asarray(found[column], dtype=np.float32), values)
    assert found["ra"].unit == found["dec"].unit == found["ERR_RAD"].unit == u.deg
    assert found.meta["FRAME"] == "fk5"
    for flag in ("FLAG", "NEW_SOURCE", "ISGRI_FLAG") if which == "isgri" else ("FLAG",):
        assert np.array_equal(found[flag], rows[flag])


def test_windows_arrive(images):
    (windows,) = (text for text in images["windows"].analysis.assume if "use_scwid_list" in text)
    assert re.findall(r"\d{12}\.\d{3}", windows) == WINDOWS
    assert images["windows"].products.image()["INTENSITY"].header["TSTART"] == pytest.approx(
        sky.window_time(WINDOWS[0]), abs=1e-9
    )


def test_request_arrives(images):
    (asked,) = (text for text in images["isgri"].analysis.assume if "use_coordinates" in text)
    source = sky.source("MAXI J1820+070")
    assert f"RA={source.ra},DEC={source.dec},radius=5.0" in asked
    assert 'T1="2018-03-17T00:00:00.000",T2="2018-03-19T00:00:00.000"' in asked
    assert "use_max_pointings=3" in asked
    assert any("use_ebins=[(30.0,80.0)]" in text for text in images["isgri"].analysis.assume)
    assert any("use_num=1" in text for text in images["jemx"].analysis.assume)


# ---- spectra -----------------------------------------------------------------------------------------------------


def same_rows(ours, theirs):
    """Whether all columns of the file are in the table, with the same values."""
    for name in theirs.columns.names:
        assert np.array_equal(np.asarray(ours.data[name]), np.asarray(theirs.data[name])), name


def spectrum_files(done):
    """Paths of spectrum, ARF and RMF of each source, in the order of the reply."""
    result = done.analysis.result
    if "extracted_sources" in result:
        return {
            name: [result[spectrum], result[arf], result[rmf]]
            for name, spectrum, rmf, arf in result["extracted_sources"]
        }
    names = sorted(name.partition("_")[2] for name in result if name.startswith("spectrum_"))
    return {name: [result[f"{kind}_{name}"] for kind in ("spectrum", "arf", "rmf")] for name in names}


@pytest.mark.parametrize(
    ("which", "ext_names"),
    [
        ("isgri", ["ISGR-EVTS-SPE", "ISGR-ARF.-RSP", "ISGR-EBDS-MOD", "ISGR-RMF.-RSP"]),
        ("jemx", ["JMX1-PHA1-SPE", "JMX1-AXIS-ARF", "JMX1-FBDS-MOD", "JMX1-RMF.-RSP"]),
    ],
)
def test_spectra(extracted, which, ext_names):
    done = extracted[f"{which}_spectrum"]
    form, files = done.products.spectrum(), spectrum_files(done)
    assert len(files) == len(form["SOURCES"].data) > 3
    for number, (name, paths) in enumerate(files.items(), start=1):
        assert form["SPECTRUM", number].header["NAME"] == name
        for kind, ext_name in zip(("SPECTRUM", "SPECRESP", "EBOUNDS", "MATRIX"), ext_names, strict=True):
            path = paths[{"SPECTRUM": 0, "SPECRESP": 1}.get(kind, 2)]
            with fits.open(path) as written:
                same_rows(form[kind, number], written[ext_name])
                for column in written[ext_name].columns:
                    unit = form[kind, number].columns[column.name].unit
                    assert (unit or None) == (column.unit or None)
        with fits.open(paths[0]) as written:
            for key in ("EXPOSURE", "TSTART", "TSTOP", "RA_OBJ", "DEC_OBJ", "DETCHANS"):
                assert form["SPECTRUM", number].header[key] == written[1].header[key]


def test_names_of_isgri_spectra(extracted, catalogs):
    form = extracted["isgri_spectrum"].products.spectrum()
    assert list(form["SOURCES"].data["SRC_NAME"]) == list(catalogs["found"]["src_names"])


def test_names_of_jemx_spectra(extracted):
    """Unnamed sources are all called NEW by the plugin: both are there, and nothing says which is which."""
    done = extracted["jemx_spectrum"]
    names = list(done.products.spectrum()["SOURCES"].data["SRC_NAME"])
    told = list(spectrum_files(done))
    assert [name for name in names if not name.startswith("NEW")] == [name for name in told if name[:4] != "NEW_"]
    assert sum(name.startswith("NEW") for name in names) == 2


@pytest.mark.parametrize("which", ["isgri", "jemx"])
def test_responses_fold(extracted, which):
    """A power law through what arrived gives the rates of the synthetic sky: the area counts once."""
    form = extracted[f"{which}_spectrum"].products.spectrum(source="Ser X-1")
    camera, source = (sky.ISGRI if which == "isgri" else sky.JEMX), sky.source("Ser X-1")
    area, matrix = form["SPECRESP"].data["SPECRESP"], form["MATRIX"].data["MATRIX"]
    photons = source.photons(form["MATRIX"].data["ENERG_LO"], form["MATRIX"].data["ENERG_HI"])
    assert np.allclose((photons * area) @ matrix, camera.channel_rates(source), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("which", ["isgri", "jemx"])
def test_files_of_spectra(extracted, which, tmp_path):
    """Written as linked OGIP files, and read again, nothing is lost."""
    products = extracted[f"{which}_spectrum"].products
    manifest = products.write(tmp_path / "files")
    assert len(manifest) >= 3 * len(products.spectrum()["SOURCES"].data)
    form, again = products.spectrum(), Products.read(tmp_path / "files").spectrum()
    assert list(again["SOURCES"].data["SRC_NAME"]) == list(form["SOURCES"].data["SRC_NAME"])
    for number in form["SOURCES"].data["EXTVER"]:
        for kind, names in (("SPECTRUM", ["RATE", "STAT_ERR"]), ("SPECRESP", ["SPECRESP"]), ("EBOUNDS", ["E_MIN"])):
            for name in names:
                assert np.array_equal(again[kind, number].data[name], form[kind, number].data[name])
    spectra = [path for path in (tmp_path / "files").glob("*_pha.fits")]
    assert len(spectra) == len(form["SOURCES"].data)
    for path in spectra:
        header = fits.getheader(path, "SPECTRUM")
        assert (path.parent / header["RESPFILE"]).is_file()
        assert (path.parent / header["ANCRFILE"]).is_file()


# ---- light curves ------------------------------------------------------------------------------------------------


def curve_files(done):
    """Path of each light curve, in the order of the reply."""
    result = done.analysis.result
    if "extracted_sources" in result:
        return [result[attribute] for _, attribute in result["extracted_sources"]]
    return [result[name] for name in sorted(result) if name.startswith("lc_")]


@pytest.mark.parametrize("which", ["isgri", "jemx"])
def test_light_curves(extracted, which):
    done = extracted[f"{which}_lc"]
    curves, paths = done.products.lightcurve(), curve_files(done)
    assert len(paths) > 3
    first = 0
    for path in paths:
        with fits.open(path) as written:
            hdu = written[-1]
            rows, header = hdu.data, hdu.header
            ours = curves[first : first + len(rows)]
            first += len(rows)
            empty = (rows["RATE"] == 0) & (rows["ERROR"] == 0)
            assert empty.sum() == 1
            assert len(set(ours["src_name"])) == 1
            assert ours["time"].scale == "tt"
            assert np.allclose(
                (ours["time"].jd1 - 2400000.5 - 51544) + ours["time"].jd2, rows["TIME"], rtol=0, atol=1e-8
            )
            width = 2.0 * rows["XAX_E"] if which == "isgri" else np.full(len(rows), header["TIMEDEL"])
            assert np.allclose(ours["time_bin"].quantity.to_value(u.d), width, rtol=1e-6)
            assert np.all(ours["e_min"].quantity.to_value(u.keV) == BAND[which][0].value)
            assert np.all(ours["e_max"].quantity.to_value(u.keV) == BAND[which][1].value)
            for name in hdu.columns.names:
                if name in ("TIME", "XAX_E", "TIMEDEL"):
                    continue
                masked = np.ma.getmaskarray(ours[name])
                assert np.array_equal(masked, empty if name in ("RATE", "ERROR") else np.zeros(len(rows), dtype=bool))
                assert np.array_equal(np.ma.getdata(ours[name])[~masked], rows[name][~masked]), name
    assert first == len(curves)


def test_names_of_isgri_light_curves(extracted, catalogs):
    curves = extracted["isgri_lc"].products.lightcurve()
    assert list(dict.fromkeys(curves["src_name"])) == list(catalogs["found"]["src_names"])


def test_names_of_jemx_light_curves(extracted, images):
    """The plugin sends blanks for ``+`` and ``-``; the names are those of the catalogue again."""
    curves = extracted["jemx_lc"].products.lightcurve()
    assert set(curves["src_name"]) == set(images["jemx"].products.catalog()["src_names"])


def test_one_source_of_jemx(extracted):
    curve = extracted["jemx_lc"].products.lightcurve(source="MAXI J1820+070")
    with fits.open(extracted["jemx_lc"].analysis.result["lc_MAXI_J1820_070"]) as written:
        assert np.array_equal(np.ma.getdata(curve["RATE"])[1:], written[-1].data["RATE"][1:])


# ---- catalogues as they arrive -----------------------------------------------------------------------------------


def check_arrived(rows, names, ra, dec, *, flags, isgri_flags):
    """Compare rows of the back end's catalogue."""
    assert [row["NAME"] for row in rows] == list(names)
    # positions of images are in single precision
    assert np.allclose([row["RA"] for row in rows], ra, rtol=0, atol=2e-5)
    assert np.allclose([row["DEC"] for row in rows], dec, rtol=0, atol=2e-5)
    assert [row["FLAG"] for row in rows] == list(flags)
    assert [row["ISGRI_FLAG"] for row in rows] == list(isgri_flags)


@pytest.mark.parametrize("instrument", ["isgri", "jemx"])
@pytest.mark.parametrize("which", ["names", "radians", "galactic"])
def test_catalog_of_other_origin(extracted, instrument, which):
    """In degrees, with the flags that make OSA use it."""
    done = extracted[f"{instrument} with {which}".removeprefix("isgri ")]
    sources = [sky.source("MAXI J1820+070"), sky.source("Ser X-1")]
    check_arrived(
        done.analysis.catalog,
        [each.name for each in sources],
        [each.ra for each in sources],
        [each.dec for each in sources],
        flags=[1, 1],
        isgri_flags=[2, 2],
    )
    assert len(curve_files(done)) == 2


@pytest.mark.parametrize("instrument", ["isgri", "jemx"])
def test_catalog_of_an_image(extracted, instrument, catalogs):
    """As it was found: what is there is kept."""
    found, done = catalogs["found"], extracted[f"{instrument} with found".removeprefix("isgri ")]
    flags = {"flags": found["FLAG"], "isgri_flags": [1] * len(found)}
    check_arrived(done.analysis.catalog, found["src_names"], found["ra"], found["dec"], **flags)
    assert {1, 0} == set(found["FLAG"])


@pytest.mark.parametrize("instrument", ["isgri", "jemx"])
def test_stacked_catalogs(extracted, instrument, catalogs):
    """Rows of JEM-X have no ISGRI_FLAG, and get one; none arrives as zero or kills the job."""
    stacked, done = catalogs["stacked"], extracted[f"{instrument} with stacked".removeprefix("isgri ")]
    assert 2 < len(stacked)
    flags = {"flags": stacked["FLAG"], "isgri_flags": [1, 1] + [2] * (len(stacked) - 2)}
    check_arrived(done.analysis.catalog, stacked["src_names"], stacked["ra"], stacked["dec"], **flags)
    assert len(curve_files(done)) == len(stacked)


@pytest.mark.parametrize("instrument", ["isgri", "jemx"])
def test_added_source(extracted, instrument, catalogs):
    """It has to be extracted, known or not."""
    found, done = catalogs["found"], extracted[f"{instrument} with extended".removeprefix("isgri ")]
    added = sky.source("V426 Oph")
    check_arrived(
        done.analysis.catalog,
        [*found["src_names"], added.name],
        [*found["ra"], added.ra],
        [*found["dec"], added.dec],
        flags=[*found["FLAG"], 1],
        isgri_flags=[1] * len(found) + [2],
    )
    assert added.name in done.products.lightcurve()["src_name"]


def test_no_catalog(images):
    assert images["isgri"].analysis.catalog is None


def test_rows_that_osa_leaves_out(client, released_plugins, catalogs):
    """A flag of the user's is kept, with a warning, and the analysis goes without that source."""
    catalog = catalogs["found"].copy()
    catalog["ISGRI_FLAG"][1] = 0
    with pytest.warns(InputWarning, match="Ser X-1"):
        job = client.submit_lightcurve(
            "isgri", **OBSERVATION, energy_range=BAND["isgri"], time_bin=2000 * u.s, catalog=catalog
        )
    curves = job.result(timeout=120).lightcurve()
    assert [row["ISGRI_FLAG"] for row in released_plugins.analysis(job.job_id).catalog][:3] == [1, 0, 1]
    assert set(curves["src_name"]) == set(catalog["src_names"]) - {"Ser X-1"}


# What the client mends: these show that the tests above can fail, and that what is known of the service is so.

RADIANS = {
    "cat_frame": "fk5",
    "cat_coord_units": "rad",
    "cat_column_list": [
        [0, 1],
        ["MAXI J1820+070", "Ser X-1"],
        [9.0, 8.0],
        [4.80, 4.89],
        [0.125, 0.088],
        [1, 1],
        [2, 2],
    ],
    "cat_column_names": ["meta_ID", "src_names", "significance", "ra", "dec", "FLAG", "ISGRI_FLAG"],
    "cat_lon_name": "ra",
    "cat_lat_name": "dec",
}


def send(service, client, catalog, **asked):
    """First reply to a form with this text of a catalogue, sent as it is."""
    form = client.query_lightcurve(
        "isgri", **{**OBSERVATION, **asked}, energy_range=BAND["isgri"], time_bin=900 * u.s, get_query_payload=True
    )
    data = {**form, "selected_catalog": json.dumps(catalog), "query_status": "new"}
    return requests.post(service.url + "/run_analysis", data=data, timeout=60).json()


def test_the_service_takes_radians_for_degrees(released_plugins, client):
    reply = send(released_plugins, client, RADIANS)
    assert reply["query_status"] == "submitted"
    rows = released_plugins.analysis(reply["job_monitor"]["job_id"]).catalog
    assert [row["RA"] for row in rows] == pytest.approx([4.80, 4.89])
    assert {(row["FLAG"], row["ISGRI_FLAG"]) for row in rows} == {(1, 2)}


def test_the_service_fills_missing_flags_with_zeros(released_plugins, client):
    names, columns = RADIANS["cat_column_names"][:5], RADIANS["cat_column_list"][:5]
    reply = send(released_plugins, client, {**RADIANS, "cat_column_names": names, "cat_column_list": columns})
    rows = released_plugins.analysis(reply["job_monitor"]["job_id"]).catalog
    assert {(row["FLAG"], row["ISGRI_FLAG"]) for row in rows} == {(0, 0)}


@pytest.mark.parametrize("column", [5, 6])
def test_the_service_fails_on_a_null_flag(released_plugins, client, column):
    columns = [list(values) for values in RADIANS["cat_column_list"]]
    columns[column][1] = None
    reply = send(released_plugins, client, {**RADIANS, "cat_column_list": columns})
    assert reply["query_status"] == "failed"
    assert "TypeError" in reply["exit_status"]["error_message"]


def test_the_service_knows_frames_in_lower_case_only(released_plugins, client):
    reply = send(released_plugins, client, {**RADIANS, "cat_frame": "FK5"})
    assert 'frame name "FK5" is not a known' in reply["error_message"]


# ---- failures ----------------------------------------------------------------------------------------------------


def test_no_pointings(client):
    """First by the back end's report, then, asked again, at once."""
    for _ in range(2):
        with pytest.raises(JobFailed, match="NoValidScW"):
            client.query_image("isgri", **NOTHING, energy_range=BAND["isgri"], progress=False)


# ---- SPI-ACS -----------------------------------------------------------------------------------------------------


NATIVE = 0.05


def test_shield(client, released_plugins):
    """Every bin against the counts that the archive sent; edges are those of its bins."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        curve = client.query_lightcurve("spi_acs", **BURST, time_bin=0.25 * u.s, progress=False)
    days, _, counts, _ = np.loadtxt(released_plugins.shield_texts[-1].splitlines(), unpack=True)
    widths = np.rint(curve["time_bin"].quantity.to_value(u.s) / NATIVE).astype(int)
    assert widths.sum() == len(counts) == 2400
    assert np.allclose(curve["time_bin"].quantity.to_value(u.s), widths * NATIVE, rtol=1e-6)
    sums = np.add.reduceat(counts, np.concatenate([[0], np.cumsum(widths)[:-1]]))
    # release 1.0 divides by the native bin twice
    assert np.allclose(curve["RATE"].value, sums / (widths * NATIVE) / NATIVE, rtol=1e-9)
    assert np.allclose(curve["ERROR"].value, np.sqrt(curve["RATE"].value / (widths * NATIVE)), rtol=1e-9)
    seconds = ((curve["time"].jd1 - 2400000.5 - 51544 - days[0]) + curve["time"].jd2) * 86400
    starts = seconds - widths * NATIVE / 2
    assert np.allclose(starts, np.concatenate([[0], np.cumsum(widths)[:-1]]) * NATIVE, rtol=0, atol=1e-3)
    assert curve["time"].scale == "tt"
    assert (curve["time"][0].utc.isot[:19], len(widths)) == ("2018-04-01T00:00:00", 480)


def test_width_that_the_service_rounds_down(client):
    with pytest.warns(InputWarning, match=r"0\.25"):
        curve = client.query_lightcurve("spi_acs", **BURST, time_bin=0.3 * u.s, progress=False)
    assert np.median(curve["time_bin"].quantity.to_value(u.s)) == pytest.approx(0.25)


def test_no_shield_data(client):
    with pytest.raises(JobFailed, match="ZeroData"):
        client.query_lightcurve("spi_acs", time_range=("2001-01-01", "2001-01-01T00:02:00"), time_bin=1 * u.s)
