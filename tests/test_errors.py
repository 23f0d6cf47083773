"""The error tree: what users already catch, and what survives a pickle."""

import builtins
import pickle

import pytest
from astroquery import exceptions as aq

from astroquery_mmoda import errors


@pytest.mark.parametrize(
    ("kind", "parents"),
    [
        (errors.ParameterError, [aq.InvalidQueryError]),
        (errors.AuthenticationError, [aq.LoginError]),
        (errors.ServiceError, [aq.RemoteServiceError]),
        (errors.JobFailed, [errors.ServiceError]),
        (errors.JobLost, [errors.ServiceError]),
        (errors.JobTimeout, [aq.TimeoutError, builtins.TimeoutError]),
        (errors.DecodingError, []),
    ],
)
def test_every_error_is_what_people_catch(kind, parents):
    for parent in [errors.MmodaError, *parents]:
        assert issubclass(kind, parent)


@pytest.mark.parametrize(
    "kind", [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.MmodaError)]
)
def test_errors_pickle_with_what_they_carry(kind):
    error = kind("what was wrong", job="a job", products="some products")
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert str(again) == "what was wrong"
    assert (again.job, again.products) == ("a job", "some products")


def test_errors_need_no_extras():
    assert errors.JobTimeout("late").job is None
    assert str(errors.MmodaError()) == ""
