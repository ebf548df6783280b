"""Concurrent first logins: one token for all of them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from django.db import connection

from zkbio.accounts.domain.tokens import issue_token
from zkbio.accounts.models import ApiToken, User

THREADS = 8


@pytest.mark.django_db(transaction=True)
def test_concurrent_first_logins_give_one_token() -> None:
    user = User.objects.create_user("hr")
    together = Barrier(THREADS)

    def first_login() -> str:
        try:
            connection.ensure_connection()
            together.wait(timeout=20)
            return issue_token(user)
        finally:
            connection.close()

    with ThreadPoolExecutor(THREADS) as pool:
        tokens = {future.result(timeout=30) for future in [pool.submit(first_login) for _ in range(THREADS)]}

    assert (len(tokens), ApiToken.objects.count()) == (1, 1)
