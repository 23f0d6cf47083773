"""What recorded replies say of failures, and that no token stays in them."""

import json
from pathlib import Path

import pytest

from astroquery_mmoda import errors
from astroquery_mmoda.service.replies import error_from_body, failure, reports, without_tokens

RESPONSES = Path(__file__).parent / "data" / "responses"
ERROR_BODIES = [
    path.stem
    for path in sorted(RESPONSES.glob("*.json"))
    if isinstance(body := json.loads(path.read_text()).get("json"), dict)
    and "error_message" in body
    and "query_status" not in body
]


@pytest.mark.parametrize(
    ("name", "kind", "says"),
    [
        ("error_400_allowed_values", errors.ParameterError, "string_select_par wrong value foo: not in allowed"),
        ("error_400_missing_query_status", errors.ParameterError, "request: 'query_status'"),
        ("error_400_token_empty", errors.AuthenticationError, "Not enough segments.*Get a token"),
        ("error_403_token_expired", errors.AuthenticationError, "expired.*Get a token"),
        ("error_403_token_bad_signature", errors.AuthenticationError, "not valid"),
        ("error_403_restricted_instrument", errors.AuthenticationError, "priviledges are not sufficient"),
        ("error_lost_job", errors.JobLost, "74bdd0be3895978b.*Submit it again"),
        ("error_400_unknown_instrument", errors.ParameterError, 'instrument: "nope", known:'),
        ("error_500_run_asynch", errors.ServiceError, "run_asynch can be True or False"),
        ("error_get_revnum_500", errors.ServiceError, "timesystem"),
        ("error_refresh_too_long", errors.AuthenticationError, "exceeds the maximum"),
        ("error_update_token_bad", errors.ParameterError, "Unknown field"),
    ],
)
def test_error_bodies(recorded, name, kind, says):
    error = error_from_body(recorded(name))
    assert type(error) is kind
    with pytest.raises(kind, match=says):
        raise error


@pytest.mark.parametrize("name", ERROR_BODIES)
def test_no_error_shows_the_configuration_of_the_server(recorded, name):
    text = str(error_from_body(recorded(name)))
    assert len(text) < 2000
    assert "secret" not in text
    assert "filepath" not in text
    assert "InstrumentQueryBackEnd" not in text


def test_the_status_decides_where_the_class_does_not():
    body = {"error_message": "something"}
    assert type(error_from_body(body, status=400)) is errors.ParameterError
    assert type(error_from_body(body, status=403)) is errors.AuthenticationError
    assert type(error_from_body(body, status=500)) is errors.ServiceError
    assert type(error_from_body(body)) is errors.ServiceError


@pytest.mark.parametrize(
    ("name", "kind", "says"),
    [
        ("empty_async_3_failed", errors.JobFailed, "c675ecfddcceecb7.*last report: it broke"),
        ("failed_workflow_async", errors.JobFailed, "RuntimeError: this workflow fails on purpose"),
        ("failed_isgri_analysis", errors.JobFailed, "Error when getting query products - DDAException"),
        ("failed_spi_acs_no_data", errors.JobFailed, "NoData|ZeroData"),
        (
            "error_403_isgri_max_pointings",
            errors.AuthenticationError,
            "unige-hpc-full: it is needed to request > 50 ScW",
        ),
        ("error_403_poll_foreign_job", errors.AuthenticationError, "Request not authorized.*Log in as the user"),
    ],
)
def test_failures(recorded, name, kind, says):
    error = failure(recorded(name))
    assert type(error) is kind
    with pytest.raises(kind, match=f"(?s){says}"):
        raise error
    assert "support team" not in str(error)


def test_a_failure_without_any_reason_says_so():
    with pytest.raises(errors.JobFailed, match="gave no reason"):
        raise failure({"query_status": "failed"})


def test_reports(recorded):
    assert [report["message"] for report in reports(recorded("isgri_image_3_progress"))] == [
        "main starting",
        "restored from cache",
        "main done",
        "main done",
    ]
    assert len(reports(recorded("nb_slow_2_progress"))) == 1
    assert reports(recorded("isgri_image_1_submitted")) == []


@pytest.mark.parametrize("path", sorted(RESPONSES.glob("*.json")), ids=lambda path: path.stem)
def test_no_token_stays_in_a_reply(path):
    record = json.loads(path.read_text())
    cleaned = without_tokens(record.get("json", record.get("text")))
    assert "eyJ" not in json.dumps(cleaned)
