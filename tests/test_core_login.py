# Licensed under a 3-clause BSD style license - see LICENSE.rst
"""
Who asks: tokens, roles and users, with a real dispatcher behind.

Routes that the released dispatcher lacks are supplements of the local one (tests/local_mmoda/serve.py); tests that need
them have "supplement" in their names.
"""

from __future__ import annotations

import re
import time
from functools import partial
from pathlib import Path

import jwt
import numpy as np
import pytest
from astropy import units as u
from astropy.config.paths import get_config_dir
from astropy.time import Time
from astroquery.exceptions import AuthenticationWarning

from astroquery_mmoda import AuthenticationError, JobFailed, MmodaClass, Token
from tests.local_mmoda.server import LocalMmoda
from tests.tokens import KEY, mint

TIMES = {"time_range": ("2018-04-01T00:00:00", "2018-04-01T02:00:00")}
QUICK = {"instrument": "twins", "product": "first_lc", "coordinates": "Crab", **TIMES}
IMAGE = {"instrument": "isgri", "product": "isgri_image", "coordinates": "Crab", "radius": 5 * u.deg, **TIMES}


@pytest.fixture
def client(local_mmoda):
    return MmodaClass(server=local_mmoda.url)


@pytest.fixture
def token(local_mmoda):
    """Function that mints tokens which the server accepts."""
    return partial(mint, key=local_mmoda.secret_key)


@pytest.fixture(scope="module")
def slow(local_mmoda):
    """A dispatcher whose jobs take one and a half second, and which sends mail."""
    with LocalMmoda(local_mmoda.python, step=0.4, mail=True) as service:
        yield service


# ---- tokens that are accepted, and those that are not ------------------------------------------------------------


def test_a_login_counts(client, token):
    anonymous = client.submit_product(**QUICK)
    client.login(token(sub="login@example.org"))
    mine = client.submit_product(**QUICK)
    assert mine.job_id != anonymous.job_id
    assert mine.result()["first_lc"] is not None
    assert client.session_info()["email"] == "login@example.org"
    client.logout()
    assert client.submit_product(**QUICK).job_id == anonymous.job_id


def test_an_expired_token_is_not_even_sent(client, token):
    with pytest.raises(AuthenticationError, match=r"expired .*Get a token"):
        client.login(token(hours=-1))
    # the clock of this machine may be wrong, so the server's word is what counts
    client.login(token())
    client._account.token(client.URL).claims["exp"] = time.time() - 10  # noqa: SLF001 - the token held gets old
    with pytest.raises(AuthenticationError, match="expired"):
        client.query_product(**QUICK)


def test_the_server_finds_a_token_expired(client, token, monkeypatch):
    """Like a clock that is behind."""
    expired = token(hours=-1)
    monkeypatch.setattr(Token, "expires", Time.now() + 5 * u.hour)
    monkeypatch.setattr(Token, "expired", False)
    client.login(expired)
    with pytest.raises(AuthenticationError, match=r"refused the token: .*expired.*Get a token") as caught:
        client.query_product(**QUICK)
    assert expired not in str(caught.value)


def test_a_bad_signature(client):
    client.login(mint(key=KEY + "-of-somebody-else"))
    with pytest.raises(AuthenticationError, match=r"refused the token: .*not valid.*Get a token"):
        client.query_product(**QUICK)


def test_a_bad_signature_at_a_supplement(client):
    client.login(mint(key=KEY + "-of-somebody-else"))
    with pytest.raises(AuthenticationError, match="not valid"):
        client.list_instruments()


@pytest.mark.parametrize("roles", ["", []])
def test_a_token_with_no_roles(client, token, roles):
    client.login(token(roles=roles, sub="noroles@example.org"))
    assert client.session_info()["roles"] == []
    assert len(client.query_product(**QUICK)) == 1
    with pytest.raises(AuthenticationError, match="lack"):
        client.query_product(**IMAGE, max_pointings=51)


def test_a_token_that_does_not_tell_roles(client, local_mmoda):
    """This server fails on it; the reason has to be seen."""
    client.login(jwt.encode({"sub": "roleless@example.org"}, local_mmoda.secret_key))
    with pytest.raises(JobFailed, match="roles"):
        client.query_product(**QUICK)


# ---- rights ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("question", "lacking"),
    [
        ({**IMAGE, "max_pointings": 51}, ["unige-hpc-full"]),
        ({**IMAGE, "max_pointings": 501}, ["unige-hpc-full", "unige-hpc-extreme"]),
        ({**IMAGE, "integral_data_rights": "all-private"}, ["integral-private-qla"]),
        ({"instrument": "spi_acs", "coordinates": "Crab", **TIMES, "data_level": "realtime"}, ["integral-realtime"]),
    ],
)
def test_lacking_roles_are_listed(client, token, question, lacking):
    client.login(token(roles="general"))
    with pytest.raises(AuthenticationError) as caught:
        client.query_product(**question)
    for role in lacking:
        assert re.search(rf"^ - {role}: \w+", str(caught.value), re.MULTILINE)
    assert "['general']" in str(caught.value)
    assert "Job" not in str(caught.value)


def test_enough_roles(client, token):
    client.login(token(roles="general, unige-hpc-full, integral-private-qla"))
    empty = {**IMAGE, "coordinates": "200 -60"}
    job = client.submit_product(**empty, max_pointings=51, integral_data_rights="all-private")
    assert len(job.result().image()) > 1


def test_a_restricted_instrument_of_the_supplement(client, token):
    question = {"instrument": "restricted", "coordinates": "Crab", **TIMES}
    assert "restricted" not in client.list_instruments()["instrument"]
    with pytest.raises(AuthenticationError, match="not sufficient to make the request for this instrument"):
        client.query_lightcurve(**question)
    client.login(token(roles="general, oda workflow developer"))
    table = client.list_instruments()
    assert table["products"][list(table["instrument"]).index("restricted")] == "restricted_lc"
    assert len(client.query_lightcurve(**question)) == 50
    # nothing of it stays behind
    client.logout()
    with pytest.raises(AuthenticationError, match="not sufficient"):
        client.query_lightcurve(**question)


# ---- keeping and renewing ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("store", [True, np.True_, 1, "keyring", ["keyring"]])
def test_a_token_is_stored_once_the_server_took_it(client, token, ring, store):
    text = token()
    assert client.login(text, store_token=store)
    assert ring.kept == {("astroquery:127.0.0.1", "mmoda-token"): text}
    other = MmodaClass(server=client.URL)
    assert other.login()
    assert other.session_info()["location"] == "keyring"
    assert other.submit_product(**QUICK).job_id == client.submit_product(**QUICK).job_id


def test_a_bad_signature_is_not_stored(client, ring):
    with pytest.raises(AuthenticationError, match="not valid"):
        client.login(mint(key=KEY + "-of-somebody-else"), store_token=True)
    assert ring.kept == {}
    assert not client.authenticated()


def test_refreshing_at_a_supplement(client, token):
    client.login(token(hours=1))
    before = client.session_info()["expires"]
    info = client.refresh_token()
    assert (info["expires"] - before).to_value(u.s) == pytest.approx(604800)
    assert info["roles"] == ["general", "refresh-tokens"]
    assert client.query_product(**QUICK)


def test_refreshing_needs_a_role_at_a_supplement(client, token):
    client.login(token(roles="general"))
    before = client.session_info()
    with pytest.raises(AuthenticationError, match=r"roles are missing: refresh-tokens"):
        client.refresh_token()
    assert client.session_info() == before


def test_email_options_come_back_in_the_token(client, token, tmp_path):
    client.login(token())
    info = client.set_email_notifications(False, done=True, min_duration=2 * u.min, store_token="home")
    expected = {"submitted": False, "done": True, "failed": False, "timed_out": False, "min_duration": 120.0}
    assert info["email_options"] == expected
    # the same token, signed by the server
    kept = Token((tmp_path / "home" / ".oda-token").read_text())
    assert kept.email_options == expected
    assert client.query_product(**QUICK)
    assert (info["roles"], info["email"]) == (["general", "refresh-tokens"], "astronomer@example.org")


# ---- jobs and their users ----------------------------------------------------------------------------------------


def test_a_job_of_another_user(client, token):
    client.login(token(sub="owner@example.org"))
    job = client.submit_product(**IMAGE, max_pointings=2)
    other = MmodaClass(server=client.URL)
    other.login(token(sub="thief@example.org"))
    # in the name of the thief, as somebody would who got hold of the id
    stolen = type(job).from_dict({**job.to_dict(), "email": "thief@example.org"}, client=other)
    with pytest.raises(AuthenticationError, match="not authorized") as caught:
        stolen.refresh()
    assert caught.value.job is stolen
    next(Path(get_config_dir(), "astroquery_mmoda", "jobs").glob(f"{job.job_id}-*")).unlink()
    with pytest.raises(AuthenticationError, match=r"not authorized.*Log in as its owner"):
        other.get_job(job.job_id, session_id=job.session_id)
    # and the honest way to be wrong: the client does not ask in another's name
    client.login(token(sub="thief@example.org"))
    with pytest.raises(AuthenticationError, match=r"in the name of owner@example.org.*Log in again"):
        job.refresh()
    client.login(token(sub="owner@example.org", name="with a new token"))
    assert len(job.result().image()) > 1


def test_a_token_that_expires_after_the_analysis(slow):
    """The back end is done, its products are not fetched yet."""
    client = MmodaClass(server=slow.url)
    brief = partial(mint, key=slow.secret_key, sub="late@example.org", hours=None)
    client.login(brief(exp=int(time.time()) + 4))
    with pytest.warns(AuthenticationWarning, match="continued after a new login"):
        job = client.submit_product(**IMAGE, max_pointings=2)
    time.sleep(max(0.0, Token.expires.fget(client._account.token(client.URL)).unix - time.time() + 0.1))  # noqa: SLF001 - the token held gets old
    with pytest.raises(AuthenticationError, match=r"expired .*Get a token") as caught:
        job.result()
    assert caught.value.job is job
    before = job.job_id
    client.login(brief())
    assert len(job.result(timeout=20).image()) > 1
    assert job.job_id == before
    assert slow.jobs[before] == 1


@pytest.mark.parametrize("later", [False, True])
def test_a_token_that_expires_during_the_analysis(slow, later):
    """From then on the server does not even take in the reports of its own back end."""
    client = MmodaClass(server=slow.url)
    brief = partial(mint, key=slow.secret_key, sub=f"during-{later}@example.org", hours=None)
    client.login(brief(exp=int(time.time()) + 2))
    with pytest.warns(AuthenticationWarning, match="continued after a new login"):
        job = client.submit_product(**IMAGE, max_pointings=3, detection_threshold=8 + later)
    with pytest.raises(AuthenticationError, match="expired") as caught:
        job.result()
    assert caught.value.job is job
    client.login(brief())
    # another process knows nothing of the error
    again = client.get_job(job.job_id) if later else job
    assert len(again.result(timeout=6).image()) > 1
    assert again.job_id == job.job_id


# ---- mail --------------------------------------------------------------------------------------------------------


def test_mail_for_those_who_want_it(slow):
    client = MmodaClass(server=slow.url)
    client.login(mint(key=slow.secret_key, sub="mail@example.org"))
    before = client.submit_product(**IMAGE, max_pointings=4)
    client.set_email_notifications(True, min_duration=0 * u.s, submit_interval=0 * u.s)
    job = client.submit_product(**IMAGE, max_pointings=5)
    client.set_email_notifications(False)
    after = client.submit_product(**IMAGE, max_pointings=6)
    for each in (before, job, after):
        each.result()

    def received():
        return [mail["Subject"] for mail in slow.mails if mail["To"] == "mail@example.org"]

    limit = time.monotonic() + 10
    while len(received()) < 2 and time.monotonic() < limit:
        time.sleep(0.05)
    assert [re.match(r"\[ODA\]\[(\w+)\] isgri_image", subject)[1] for subject in received()] == ["submitted", "done"]
    assert all(job.job_id[:8] in subject for subject in received())


# ---- the wire ----------------------------------------------------------------------------------------------------


def test_the_server_never_sees_the_token_in_the_address_of_an_analysis(client, token, local_mmoda):
    begin = local_mmoda.log_path.stat().st_size
    text = token(sub="wire@example.org")
    client.login(text)
    client.query_product(**QUICK)
    client.query_product(**IMAGE, max_pointings=9)
    client.set_email_notifications(True, store_token=False)
    with local_mmoda.log_path.open(encoding="utf-8", errors="replace") as log:
        log.seek(begin)
        lines = [line for line in log if re.search(r'"(GET|POST) /\S* HTTP/1', line)]
    asked = [line for line in lines if "/run_analysis" in line or "/update_token_email_options" in line]
    assert len(asked) > 3
    assert all(re.search(r'"POST /\w+ HTTP/1', line) for line in asked)
    # that it is logged where it may stand in an address: this test can see it
    client.login(text)
    client.list_instruments()
    # each instrument was asked for its products
    assert text in local_mmoda.log_tail(20_000)
