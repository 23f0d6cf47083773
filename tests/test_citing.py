"""References for a paper, as BibTeX that BibTeX understands."""

import re

import pytest

from astroquery_mmoda import Products

DOI = re.compile(r"10\.1051/0004-6361[:/]20\d{6,7}")


def parse(text):
    """Entries by key: type and fields. Strict: anything else than entries between blank lines is an error."""
    entries, position = {}, 0
    while position < len(text):
        head = re.compile(r"@(\w+)\{([^\s,{}]+),\n").match(text, position)
        assert head, text[position : position + 60]
        depth, end = 1, head.end()
        while depth:
            depth += {"{": 1, "}": -1}.get(text[end], 0) if text[end - 1] != "\\" else 0
            end += 1
        body = text[head.end() : end - 1]
        fields = re.findall(r"^  (\w+) = \{(.*)\},$", body, flags=re.MULTILINE)
        assert len(fields) == body.count("\n")
        for _, value in fields:
            assert value.count("{") == value.count("}")
            assert not re.search(r"(?<!\\)[#$%&_]", re.sub(r"\\url\{.*?\}|^10\..*", "", value)), value
        assert head[2] not in entries
        entries[head[2]] = (head[1], dict(fields))
        position = re.compile(r"\s*").match(text, end).end()
    return entries


def cited(**parameters):
    return parse(Products([], parameters=parameters, job_id="01_23", service="https://mmoda.example/a_b?x=1").cite())


@pytest.mark.parametrize(
    ("instrument", "keys"),
    [
        ("isgri", ["Winkler2003", "Ubertini2003", "Lebrun2003"]),
        ("jemx", ["Winkler2003", "Lund2003"]),
        ("spi_acs", ["Winkler2003", "Vedrenne2003", "vonKienlin2003"]),
        ("spi", ["Winkler2003", "Vedrenne2003"]),
    ],
)
def test_instruments_of_integral(instrument, keys):
    entries = cited(instrument=instrument)
    assert list(entries) == ["Neronov2021", *keys]
    assert len({fields["doi"] for _, fields in entries.values()}) == len(entries)
    for kind, fields in entries.values():
        assert kind == "article"
        assert {"author", "title", "journal", "year", "volume", "pages", "doi"} == set(fields)
        assert DOI.fullmatch(fields["doi"])
        assert fields["journal"] == r"Astronomy \& Astrophysics"


def test_the_service_itself():
    kind, fields = cited()["Neronov2021"]
    assert (fields["volume"], fields["pages"], fields["year"]) == ("651", "A97", "2021")
    assert fields["doi"] == "10.1051/0004-6361/202037850"
    assert list(cited()) == ["Neronov2021"]


def test_a_workflow_is_named_and_nothing_is_made_up():
    entries = cited(instrument="legacy_survey", product_type="sky_image")
    assert list(entries) == ["Neronov2021", "MMODA-legacy-survey"]
    kind, fields = entries["MMODA-legacy-survey"]
    assert kind == "misc"
    assert fields["title"] == r"{legacy\_survey}, an analysis workflow on {MMODA}"
    assert fields["howpublished"] == r"\url{https://mmoda.example/a_b}"
    assert fields["note"] == r"product sky\_image, job 01\_23"
    assert "author" not in fields


@pytest.mark.parametrize("name", ["}}@article{x,", "a\\b{c", "$&%#_^~", "βeta\u202e\n", "\\\\{", "名"])
def test_names_of_a_service_do_not_break_it(name):
    entries = cited(instrument=name, product_type=name)
    assert len(entries) == 2
    assert [kind for kind, _ in entries.values()] == ["article", "misc"]


@pytest.mark.parametrize("service", ["", "nonsense", "http://[", "https://u:p@x.example/a}{\\\n%?token=1"])
def test_addresses_of_a_service_do_not_break_it(service):
    text = Products([], parameters={"instrument": "x"}, service=service).cite()
    fields = parse(text)["MMODA-x"][1]
    assert fields["howpublished"] in (r"\url{https://x.example/a}", r"\url{}")
    assert "token" not in text


def test_what_was_recorded(recorded):
    text = Products.from_response(recorded("isgri_lc_real")).cite()
    assert "Lebrun" in text
    assert text.endswith("}\n")
