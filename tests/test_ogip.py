# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""Spectra as OGIP files and as tables."""

import io

import numpy as np
import pytest
from astropy import units as u
from astropy.io import fits
from astropy.io.fits.scripts import fitscheck
from astroquery.exceptions import CorruptDataWarning, InputWarning

from astroquery_mmoda import spectrum_table, write_spectra
from astroquery_mmoda.errors import DecodingError, ParameterError
from astroquery_mmoda.products.sources import match_source
from astroquery_mmoda.products.storage.spectrumtable import pick_sources

CHANNELS, ENERGIES = 12, 6
EDGES = np.geomspace(20, 400, CHANNELS + 1)


@pytest.fixture
def folder(tmp_path):
    """A directory with nothing in it; `tmp_path` may hold the configuration of the session."""
    path = tmp_path / "folder"
    path.mkdir()
    return path


def make_spectra(names=("Crab", "Cyg X-1"), *, counts=False, variable=False):
    """The form of query_spectrum, as if it had been read from a file."""
    parts = [fits.PrimaryHDU()]
    parts[0].header["JOB_ID"] = "4002d08dc2591990"
    parts[0].header["OBS_ID"] = "06650022"
    for number, name in enumerate(names, start=1):
        for hdu in (_spectrum(number, counts), _area(), _bounds(), _matrix(variable)):
            hdu.ver = number
            hdu.header["SRC_NAME"] = name
            parts.append(hdu)
    parts.append(_sources(names))
    buffer = io.BytesIO()
    fits.HDUList(parts).writeto(buffer)
    buffer.seek(0)
    return fits.open(buffer, lazy_load_hdus=False)


def _spectrum(number, counts):
    header = fits.Header()
    header.update(
        TELESCOP="INTEGRAL", INSTRUME="IBIS", DETNAM="ISGRI", HDUCLASS="OGIP", HDUCLAS1="SPECTRUM", HDUCLAS2="TOTAL",
        HDUVERS="1.1.0", CHANTYPE="PI", DETCHANS=CHANNELS, TLMIN1=0, TLMAX1=CHANNELS - 1, EXPOSURE=500.0, BACKSCAL=1,
        BACKFILE="NONE", RESPFILE="NONE", TSTART=6274.5, ORIGNAME="ISGR-PHA1-SPE",
    )  # fmt: skip
    rate = np.linspace(12, 1, CHANNELS) / number
    if counts:
        values = [fits.Column("COUNTS", "J", "count", array=np.rint(rate * 500))]
    else:
        values = [
            fits.Column("RATE", "E", "count/s", array=rate),
            fits.Column("STAT_ERR", "E", "count/s", array=np.full(CHANNELS, 0.5)),
        ]
    quality = np.zeros(CHANNELS)
    quality[0] = 1
    columns = [
        fits.Column("CHANNEL", "I", array=np.arange(CHANNELS)),
        *values,
        fits.Column("SYS_ERR", "E", array=np.zeros(CHANNELS)),
        fits.Column("QUALITY", "I", array=quality),
        fits.Column("GROUPING", "I", array=np.ones(CHANNELS)),
    ]
    return fits.BinTableHDU.from_columns(columns, header=header, name="SPECTRUM")


def _area():
    columns = [
        fits.Column("ENERG_LO", "E", "keV", array=np.arange(1, ENERGIES + 1)),
        fits.Column("ENERG_HI", "E", "keV", array=np.arange(2, ENERGIES + 2)),
        fits.Column("SPECRESP", "E", "cm**2", array=np.full(ENERGIES, 800)),
    ]
    return fits.BinTableHDU.from_columns(columns, name="SPECRESP")


def _bounds():
    columns = [
        fits.Column("CHANNEL", "I", array=np.arange(CHANNELS)),
        fits.Column("E_MIN", "E", "keV", array=EDGES[:-1]),
        fits.Column("E_MAX", "E", "keV", array=EDGES[1:]),
    ]
    return fits.BinTableHDU.from_columns(columns, name="EBOUNDS")


def _matrix(variable):
    if variable:
        rows = np.empty(ENERGIES, dtype=object)
        rows[:] = [np.arange(length, dtype="f4") for length in range(1, ENERGIES + 1)]
        matrix = fits.Column("MATRIX", f"PE({ENERGIES})", array=rows)
    else:
        matrix = fits.Column("MATRIX", f"{CHANNELS}E", array=np.arange(ENERGIES * CHANNELS).reshape(ENERGIES, CHANNELS))
    columns = [
        fits.Column("ENERG_LO", "E", "MeV", array=np.arange(1, ENERGIES + 1) / 1000),
        fits.Column("ENERG_HI", "E", "MeV", array=np.arange(2, ENERGIES + 2) / 1000),
        fits.Column("N_GRP", "I", array=np.ones(ENERGIES)),
        fits.Column("F_CHAN", "J", array=np.zeros(ENERGIES)),
        fits.Column("N_CHAN", "J", array=np.arange(1, ENERGIES + 1) if variable else np.full(ENERGIES, CHANNELS)),
        matrix,
    ]
    return fits.BinTableHDU.from_columns(columns, name="MATRIX")


def _sources(names):
    columns = [
        fits.Column("EXTVER", "J", array=np.arange(1, len(names) + 1)),
        fits.Column("SRC_NAME", "30A", array=list(names)),
    ]
    return fits.BinTableHDU.from_columns(columns, name="SOURCES")


def _without(spectra, name, number):
    return fits.HDUList([hdu for hdu in spectra if (hdu.name, hdu.ver) != (name, number)])


def _header(row_path):
    return fits.getheader(row_path, "SPECTRUM")


# ---- names ----


@pytest.mark.parametrize("source", ["Cyg X-1", "cygx-1", "CYG_X-1", " Cyg  X-1 "])
def test_match_source(source):
    assert match_source(["Crab", "Cyg X-1"], source) == "Cyg X-1"


def test_match_source_tells_what_there_is():
    with pytest.raises(ParameterError, match=r"no source 'Vela'; sources present: 'Crab', 'Cyg X-1'"):
        match_source(["Crab", "Cyg X-1"], "Vela")
    with pytest.raises(ParameterError, match="several sources could be meant by 'CRAB'"):
        match_source(["Crab", "crab"], "CRAB")
    assert match_source(["Crab", "crab"], "crab") == "crab"


def test_pick_sources():
    spectra = make_spectra()
    assert pick_sources(spectra) == [(1, "Crab"), (2, "Cyg X-1")]
    assert pick_sources(spectra, "cyg x-1") == [(2, "Cyg X-1")]
    assert pick_sources(spectra[:-1]) == [(1, "Crab"), (2, "Cyg X-1")]
    assert pick_sources(fits.HDUList([fits.PrimaryHDU()])) == []


# ---- tables ----


def test_spectrum_table():
    table = spectrum_table(make_spectra(), "cygx-1")
    width = np.diff(EDGES)
    np.testing.assert_allclose(table["e_min"], EDGES[:-1], rtol=1e-6)
    np.testing.assert_allclose(table["rate"] * width, np.linspace(12, 1, CHANNELS) / 2, rtol=1e-5)
    np.testing.assert_allclose(table["error"] * width, 0.5, rtol=1e-5)
    assert table.colnames == ["e_min", "e_max", "rate", "error", "quality"]
    assert table["e_max"].unit == u.keV
    assert table["rate"].unit == table["error"].unit == u.ct / u.s / u.keV
    assert list(table["quality"][:2]) == [1, 0]
    assert table.meta["SRC_NAME"] == "Cyg X-1"
    assert table.meta["EXPOSURE"] == 500
    assert table.meta["TELESCOP"] == "INTEGRAL"


def test_spectrum_table_of_counts():
    table = spectrum_table(make_spectra(["Crab"], counts=True))
    counts = np.rint(np.linspace(12, 1, CHANNELS) * 500)
    np.testing.assert_allclose(table["rate"] * np.diff(EDGES), counts / 500, rtol=1e-5)
    np.testing.assert_allclose(table["error"] * np.diff(EDGES), np.sqrt(counts) / 500, rtol=1e-5)


def test_spectrum_table_matches_channels_and_units():
    spectra = make_spectra(["Crab"])
    bounds = spectra["EBOUNDS", 1]
    bounds.data = bounds.data[::-1].copy()
    for name in ("E_MIN", "E_MAX"):
        bounds.data[name] /= 1000
        bounds.columns[name].unit = "MeV"
    table = spectrum_table(spectra)
    np.testing.assert_allclose(table["e_min"], EDGES[:-1], rtol=1e-5)
    np.testing.assert_allclose(table["e_max"], EDGES[1:], rtol=1e-5)


def test_spectrum_table_refuses():
    spectra = make_spectra()
    with pytest.raises(ParameterError, match=r"named by source=; there are: Crab, Cyg X-1"):
        spectrum_table(spectra)
    with pytest.raises(DecodingError, match="EBOUNDS"):
        spectrum_table(_without(spectra, "EBOUNDS", 2), "Cyg X-1")
    spectra["EBOUNDS", 1].data = spectra["EBOUNDS", 1].data[3:]
    with pytest.raises(DecodingError, match="channels that are missing"):
        spectrum_table(spectra, "Crab")
    counts = make_spectra(["Crab"], counts=True)
    del counts["SPECTRUM", 1].header["EXPOSURE"]
    with pytest.raises(DecodingError, match="EXPOSURE"):
        spectrum_table(counts)


# ---- files ----


def test_files_and_links(folder):
    manifest = write_spectra(make_spectra(), folder / "new")
    names = [f"{name}_{kind}.fits" for name in ("Crab", "Cyg_X-1") for kind in ("pha", "arf", "rmf")]
    assert [path.rsplit("/")[-1].rsplit("\\")[-1] for path in manifest["path"]] == names
    assert list(manifest["kind"]) == ["spectrum", "arf", "rmf"] * 2
    assert list(manifest["source"]) == ["Crab"] * 3 + ["Cyg X-1"] * 3
    assert sorted(path.name for path in (folder / "new").iterdir()) == sorted(names)
    for path, size in manifest.iterrows("path", "size"):
        with fits.open(path, checksum=True) as file:
            file.verify("exception")
            assert file[0].header["JOB_ID"] == "4002d08dc2591990"
            assert size % 2880 == 0
    assert fitscheck.main(list(manifest["path"])) == 0
    header = _header(manifest["path"][3])
    assert (header["RESPFILE"], header["ANCRFILE"]) == ("Cyg_X-1_rmf.fits", "Cyg_X-1_arf.fits")


def test_spectrum_header(folder):
    header = _header(write_spectra(make_spectra(), folder)["path"][3])
    expected = {
        "HDUCLASS": "OGIP", "HDUCLAS1": "SPECTRUM", "HDUCLAS2": "NET", "HDUCLAS3": "RATE", "HDUCLAS4": "TYPE:I",
        "HDUVERS": "1.1.0", "TELESCOP": "INTEGRAL", "INSTRUME": "IBIS", "FILTER": "none", "CHANTYPE": "PI",
        "DETCHANS": CHANNELS, "TLMIN1": 0, "TLMAX1": CHANNELS - 1, "EXPOSURE": 500.0, "POISSERR": False,
        "AREASCAL": 1.0, "BACKSCAL": 1.0, "CORRSCAL": 0.0, "BACKFILE": "none", "CORRFILE": "none",
        "OBS_ID": "06650022", "OBJECT": "Cyg X-1", "TSTART": 6274.5, "ORIGNAME": "ISGR-PHA1-SPE", "EXTVER": 1,
    }  # fmt: skip
    assert {key: header[key] for key in expected} == expected
    # these are columns
    assert not {"SYS_ERR", "QUALITY", "GROUPING"} & set(header)


def test_counts_have_poisson_errors(folder):
    header = _header(write_spectra(make_spectra(counts=True), folder)["path"][0])
    assert header["POISSERR"] is True
    assert header["HDUCLAS3"] == "COUNT"


def test_keywords_stand_in_for_columns(folder):
    spectra = make_spectra(["Crab"])
    hdu = spectra["SPECTRUM", 1]
    spectra[1] = fits.BinTableHDU.from_columns(hdu.columns[:3], header=hdu.header, name="SPECTRUM", ver=1)
    path = write_spectra(spectra, folder)["path"][0]
    header = _header(path)
    assert [header[key] for key in ("SYS_ERR", "QUALITY", "GROUPING")] == [0, 0, 0]
    path = write_spectra(spectra, folder, systematic=0.02, group=40.0, overwrite=True)["path"][0]
    assert not {"SYS_ERR", "QUALITY", "GROUPING"} & set(_header(path))
    np.testing.assert_allclose(fits.getdata(path, "SPECTRUM")["SYS_ERR"], 0.02, rtol=1e-6)


@pytest.mark.parametrize("variable", [False, True])
def test_responses(folder, variable):
    spectra = make_spectra(variable=variable)
    manifest = write_spectra(spectra, folder)
    with fits.open(manifest["path"][1]) as arf, fits.open(manifest["path"][2]) as rmf:
        assert [hdu.name for hdu in arf] == ["PRIMARY", "SPECRESP"]
        assert [hdu.name for hdu in rmf] == ["PRIMARY", "EBOUNDS", "SPECRESP MATRIX"]
        assert arf[1].columns["SPECRESP"].unit == "cm**2"
        assert (arf[1].header["HDUCLAS1"], arf[1].header["HDUCLAS2"]) == ("RESPONSE", "SPECRESP")
        header = rmf["SPECRESP MATRIX"].header
        assert (header["HDUCLAS2"], header["HDUCLAS3"]) == ("RSP_MATRIX", "FULL")
        assert (header["CHANTYPE"], header["DETCHANS"]) == ("PI", CHANNELS)
        assert (header["TLMIN4"], header["TLMAX4"]) == (0, CHANNELS - 1)
        assert rmf["EBOUNDS"].header["TLMIN1"] == 0
        # from the MeV of the reply
        assert rmf["SPECRESP MATRIX"].columns["ENERG_LO"].unit == "keV"
        np.testing.assert_allclose(rmf["SPECRESP MATRIX"].data["ENERG_LO"], np.arange(1, ENERGIES + 1), rtol=1e-6)
        for mine, theirs in zip(
            rmf["SPECRESP MATRIX"].data["MATRIX"], spectra["MATRIX", 1].data["MATRIX"], strict=True
        ):
            np.testing.assert_array_equal(mine, theirs)
        # vectors, though of one number
        for name in ("F_CHAN", "N_CHAN"):
            assert rmf["SPECRESP MATRIX"].columns[name].format in ("J", "1J")
            np.testing.assert_array_equal(
                rmf["SPECRESP MATRIX"].data[name], spectra["MATRIX", 1].data[name][:, np.newaxis]
            )


def test_several_groups_of_channels_stay(folder):
    spectra = make_spectra(["Crab"])
    hdu = spectra["MATRIX", 1]
    firsts = np.column_stack([np.zeros(ENERGIES), np.full(ENERGIES, 6)])
    columns = [column for column in hdu.columns if column.name not in ("F_CHAN", "N_CHAN")]
    columns[3:3] = [
        fits.Column("F_CHAN", "2J", array=firsts),
        fits.Column("N_CHAN", "PJ(2)", array=[[6, 6]] * ENERGIES),
    ]
    hdu.data["N_GRP"] = 2
    spectra[4] = fits.BinTableHDU.from_columns(columns, header=hdu.header, name="MATRIX", ver=1)
    with fits.open(write_spectra(spectra, folder)["path"][2]) as rmf:
        assert [rmf["SPECRESP MATRIX"].columns[name].format for name in ("F_CHAN", "N_CHAN")] == ["2J", "PJ(2)"]
        np.testing.assert_array_equal(rmf["SPECRESP MATRIX"].data["F_CHAN"], firsts)
        assert rmf["SPECRESP MATRIX"].data["N_CHAN"][0].tolist() == [6, 6]


def test_responses_are_of_the_same_instrument(folder):
    manifest = write_spectra(make_spectra(["Crab"]), folder)
    for path, names in (manifest["path"][1], ["SPECRESP"]), (manifest["path"][2], ["EBOUNDS", "SPECRESP MATRIX"]):
        for name in names:
            header = fits.getheader(path, name)
            assert [header[key] for key in ("TELESCOP", "INSTRUME", "FILTER")] == ["INTEGRAL", "IBIS", "none"]


@pytest.mark.parametrize(("counts", "unit"), [(True, "count"), (False, "count/s")])
def test_units_that_are_missing(folder, counts, unit):
    spectra = make_spectra(["Crab"], counts=counts)
    for column in spectra["SPECTRUM", 1].columns:
        column.unit = None
    columns = fits.getdata(write_spectra(spectra, folder)["path"][0], "SPECTRUM").columns
    assert columns["COUNTS" if counts else "RATE"].unit == unit
    assert columns["CHANNEL"].unit is None


@pytest.mark.parametrize(("cards", "expected"), [({"JOB_ID": "4002d08d"}, "4002d08d"), ({}, "UNKNOWN")])
def test_the_job_stands_in_for_an_observation(folder, cards, expected):
    spectra = make_spectra(["Crab"])
    spectra[0].header = fits.Header(cards)
    assert _header(write_spectra(spectra, folder)["path"][0])["OBS_ID"] == expected


def test_a_missing_response_is_no_link(folder):
    spectra = _without(_without(make_spectra(), "SPECRESP", 1), "MATRIX", 2)
    manifest = write_spectra(spectra, folder)
    assert list(manifest["kind"]) == ["spectrum", "rmf", "spectrum", "arf"]
    first, second = _header(manifest["path"][0]), _header(manifest["path"][2])
    assert (first["ANCRFILE"], first["RESPFILE"]) == ("none", "Crab_rmf.fits")
    assert (second["ANCRFILE"], second["RESPFILE"]) == ("Cyg_X-1_arf.fits", "none")


@pytest.mark.parametrize("counts", [False, True])
def test_the_input_stays_as_it_was(folder, counts):
    spectra = make_spectra(counts=counts)
    headers = [hdu.header.tostring() for hdu in spectra]
    columns = [hdu.columns.names for hdu in spectra[1:]]
    data = [hdu.data.tobytes() for hdu in spectra[1:]]
    write_spectra(spectra, folder, group=10 if counts else 5.0, systematic=0.01)
    assert [hdu.header.tostring() for hdu in spectra] == headers
    assert [hdu.columns.names for hdu in spectra[1:]] == columns
    assert [hdu.data.tobytes() for hdu in spectra[1:]] == data


def test_names_of_sources_are_made_safe(folder):
    manifest = write_spectra(make_spectra(("../../x", "Crab", "CRAB", "?")), folder / "in")
    spectra = [path for path, kind in manifest.iterrows("path", "kind") if kind == "spectrum"]
    assert [path[len(str(folder / "in")) + 1 :] for path in spectra] == [
        "x_pha.fits", "Crab_pha.fits", "CRAB_2_pha.fits", "source_4_pha.fits",
    ]  # fmt: skip
    assert _header(spectra[2])["RESPFILE"] == "CRAB_2_rmf.fits"
    assert [entry.name for entry in folder.iterdir()] == ["in"]


def test_overwriting_has_to_be_asked_for(folder):
    write_spectra(make_spectra(["Crab"]), folder)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(FileExistsError, match="overwrite=True"):
        write_spectra(make_spectra(["Abc", "Crab"]), folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    write_spectra(make_spectra(["Crab"]), folder, systematic=0.5, overwrite=True)
    assert fits.getdata(folder / "Crab_pha.fits", 1)["SYS_ERR"][0] == 0.5


def test_an_empty_result_gives_an_empty_manifest(folder):
    manifest = write_spectra(fits.HDUList([fits.PrimaryHDU()]), folder)
    assert len(manifest) == 0
    assert manifest.colnames == ["path", "source", "kind", "size", "error"]
    with pytest.warns(InputWarning, match="no spectrum in this HDUList"):
        assert not write_spectra(fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(name="INTENSITY")]), folder)


def test_missing_exposure_is_told(folder):
    spectra = make_spectra(["Crab"])
    del spectra["SPECTRUM", 1].header["EXPOSURE"]
    with pytest.warns(CorruptDataWarning, match="no EXPOSURE"):
        path = write_spectra(spectra, folder)["path"][0]
    assert _header(path)["EXPOSURE"] == 1


def test_channels_without_a_value_are_bad(folder):
    spectra = make_spectra(["Crab"])
    spectra["SPECTRUM", 1].data["RATE"][4] = np.nan
    quality = fits.getdata(write_spectra(spectra, folder)["path"][0], 1)["QUALITY"]
    assert list(np.flatnonzero(quality)) == [0, 4]
    assert list(spectrum_table(spectra)["quality"]) == list(quality)


# ---- grouping ----


def _grouped(folder, spectra, group):
    data = fits.getdata(write_spectra(spectra, folder, group=group, overwrite=True)["path"][0], "SPECTRUM")
    return data["GROUPING"].tolist(), data["QUALITY"].tolist()


def _with_values(values, quality, *, counts):
    spectra = make_spectra(["Crab"], counts=counts)
    data = spectra["SPECTRUM", 1].data
    data["COUNTS" if counts else "RATE"] = values
    data["QUALITY"] = quality
    return spectra


def test_group_by_counts(folder):
    spectra = _with_values([25, 10, 10, 5, 30, 1, 1, 1, 99, 30, 19, 0], [0] * 8 + [5] + [0] * 3, counts=True)
    grouping, quality = _grouped(folder, spectra, 20)
    assert grouping == [1, 1, -1, 1, -1, 1, -1, -1, 1, 1, 1, -1]
    # a remainder in front of the bad channel, and one at the end
    assert quality == [0, 0, 0, 0, 0, 2, 2, 2, 5, 0, 2, 2]


def test_group_by_signal_to_noise(folder):
    # errors are 0.5: one channel of 3 has 6 sigma, four of 1 have 4, their sum falls with a negative one
    spectra = _with_values([9, 3, 1, 1, 1, 1, -1, 3, 3, 3, 0, 0], [1] + [0] * 11, counts=False)
    grouping, quality = _grouped(folder, spectra, 4.0)
    assert grouping == [1, 1, 1, -1, -1, -1, 1, -1, -1, 1, 1, -1]
    assert quality == [1] + [0] * 9 + [2, 2]


def test_whole_groups_leave_no_remainder(folder):
    grouping, quality = _grouped(folder, _with_values([20] * 12, [0] * 12, counts=True), np.int64(40))
    assert grouping == [1, -1] * 6
    assert quality == [0] * 12


def test_least_counts_need_counts(folder):
    with pytest.raises(ParameterError, match=r"count rates; give .* group=25\.0"):
        write_spectra(make_spectra(), folder / "new", group=25)
    assert not (folder / "new").exists()


@pytest.mark.parametrize("group", [True, 0, -3, 0.0, np.nan, np.inf, "20", np.True_])
def test_groups_without_meaning(folder, group):
    with pytest.raises(ParameterError, match="group="):
        write_spectra(make_spectra(), folder, group=group)


@pytest.mark.parametrize("systematic", [True, -0.1, 1.5, np.nan, "0.1"])
def test_systematics_without_meaning(folder, systematic):
    with pytest.raises(ParameterError, match="systematic="):
        write_spectra(make_spectra(), folder, systematic=systematic)
