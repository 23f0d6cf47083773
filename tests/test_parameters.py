"""What an instrument offers, read from recorded meta-data and from that of older servers."""

import json

import pytest

from astroquery_mmoda.errors import ParameterError, ServiceError
from astroquery_mmoda.products.kinds import KINDS
from astroquery_mmoda.request.metadata import kind_from_name, read_metadata
from astroquery_mmoda.text import nearest

INSTRUMENTS = ["isgri", "jemx", "spi_acs", "example", "empty", "empty_async"]


@pytest.fixture(params=["nested lists (1.3.6)", "JSON texts (1.3.3)"])
def schema_of(request, recorded):
    def read(instrument):
        reply = recorded(f"meta_data_{instrument}")
        if "1.3.3" in request.param:
            reply = [[json.dumps(row) if isinstance(row, list) else row for row in reply[0]]]
        return read_metadata(reply, instrument)

    return read


@pytest.mark.parametrize("instrument", INSTRUMENTS)
def test_every_recorded_instrument_is_read(schema_of, instrument):
    schema = schema_of(instrument)
    assert schema.products
    for product, parameters in schema.products.items():
        assert schema.kind(product) in KINDS
        assert None not in parameters
        assert all(name == parameter.name for name, parameter in parameters.items())


def test_isgri(schema_of):
    schema = schema_of("isgri")
    kinds = {product: schema.kind(product) for product in schema.products}
    assert kinds == {
        "isgri_image": "image",
        "isgri_spectrum": "spectrum",
        "isgri_lc": "lightcurve",
        "spectral_fit": "other",
    }
    lc = schema.products["isgri_lc"]
    types = {
        name: lc[name].type for name in ("T1", "RA", "radius", "E1_keV", "time_bin", "max_pointings", "osa_version")
    }
    assert types == {
        "T1": "time",
        "RA": "angle",
        "radius": "angle",
        "E1_keV": "energy",
        "time_bin": "duration",
        "max_pointings": "integer",
        "osa_version": "string",
    }
    assert lc["scw_list"].type == "list"
    assert lc["selected_catalog"].type == "catalog"
    assert "detection_threshold" not in lc
    assert schema.products["isgri_image"]["detection_threshold"].type == "float"


def test_choices_are_enforced_only_if_the_default_is_one(schema_of):
    parameters = schema_of("isgri").products["isgri_image"]
    assert parameters["osa_version"].choices
    assert parameters["osa_version"].enforced_choices == ()
    assert parameters["integral_data_rights"].enforced_choices == ("public", "all-private")


def test_limits_and_types_of_a_workflow(schema_of):
    example = schema_of("example").products
    assert (example["lightcurve"]["nbins"].minimum, example["lightcurve"]["nbins"].maximum) == (2, 1000)
    assert "how many bins" in example["lightcurve"]["nbins"].description
    types = {name: example["everything"][name].type for name in ("flag", "cfg", "scale", "opt", "when")}
    assert types == {"flag": "boolean", "cfg": "structured", "scale": "float", "opt": "float", "when": "time"}
    assert schema_of("empty").products["file_dummy"]["dummy_file"].type == "file"


def test_types_without_ontology(recorded):
    """Dispatcher 1.3.3 tells units and defaults only."""
    reply = recorded("meta_data_isgri")
    for row in reply[0][2:]:
        for parameter in row:
            parameter.pop("owl_uri", None)
    lc = read_metadata(reply, "isgri").products["isgri_lc"]
    names = ("T1", "RA", "E1_keV", "time_bin", "max_pointings", "scw_list", "osa_version")
    assert [lc[name].type for name in names] == ["time", "angle", "energy", "duration", "integer", "list", "string"]


@pytest.mark.parametrize("reply", [None, [], [[]], {"a": 1}, [[{"instrumet": "x"}]], "text", [["not json"]], [[1, 2]]])
def test_other_replies_are_refused(reply):
    with pytest.raises(ServiceError, match="description of instrument 'isgri'"):
        read_metadata(reply, "isgri")


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("isgri_lc", "lightcurve"),
        ("LightCurve", "lightcurve"),
        ("light_curve_1", "lightcurve"),
        ("mosaic", "image"),
        ("PhotonSpectrum", "spectrum"),
        ("spectra", "spectrum"),
        ("Spectrogram", "spectrogram"),
        ("isgri_arf", "arf"),
        ("sky_map", "skymap"),
        ("collection", "other"),
        ("velocity", "other"),
        ("", "other"),
        (None, "other"),
    ],
)
def test_kind_from_name(name, kind):
    assert kind_from_name(name) == kind


def test_choosing_a_product(schema_of):
    isgri = schema_of("isgri")
    assert isgri.choose("image", None) == "isgri_image"
    assert isgri.choose("image", "spectral_fit") == "spectral_fit"
    with pytest.raises(ParameterError, match=r"4 products.*product=.*isgri_image \(image\)"):
        isgri.choose("product", None)
    with pytest.raises(ParameterError, match=r"Unknown product 'isgri_img'.*did you mean 'isgri_image'"):
        isgri.choose("image", "isgri_img")
    with pytest.raises(ParameterError, match=r"no image product.*spi_acs_lc \(lightcurve\)"):
        schema_of("spi_acs").choose("image", None)
    assert schema_of("spi_acs").choose("product", None) == "spi_acs_lc"


def test_table_of_parameters(schema_of):
    table = schema_of("isgri").list_parameters("isgri_lc")
    assert table.colnames[:5] == ["product", "name", "default", "unit", "type"]
    assert not {"token", "user_catalog", "selected_catalog", "T_format", "time_bin_format"} & set(table["name"])
    row = table[list(table["name"]).index("time_bin")]
    assert (row["default"], row["unit"], row["type"]) == ("1000.0", "sec", "duration")
    assert table["min"].mask.all()
    limits = schema_of("example").list_parameters("lightcurve")
    row = limits[list(limits["name"]).index("nbins")]
    assert (row["min"], row["max"], row["optional"]) == (2, 1000, False)


def test_nearest():
    assert nearest("radus", ["radius", "RA"]) == " (did you mean 'radius'?)"
    assert nearest("e1_kev", ["E1_keV", "E2_keV"]) == " (did you mean 'E1_keV'?)"
    assert nearest("zork", ["radius"]) == ""
