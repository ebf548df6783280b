"""The product, and beside it what its units post to when that only parses: ``gunicorn bench.push_wsgi:application``."""

from __future__ import annotations

import os
from collections.abc import Callable

import django
from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseBase

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "zkbio.settings")
django.setup(set_prefix=False)


class ParsingMiddleware:
    """What a post of punches costs before anybody asks whose it is, and keeps it."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if request.path_info != PARSING:
            return self.get_response(request)
        asked = read_request(request, verb="cdata", secret="")
        told = answers.acknowledged(codec.read_attlog(asked.body).count)
        return HttpResponse(told, content_type="text/plain", headers={"Content-Length": str(len(told))})


from bench.push_load import PARSING  # noqa: E402 - behind what the settings need
from iclock.push import answers, codec  # noqa: E402
from iclock.push.request import read_request  # noqa: E402

settings.MIDDLEWARE.insert(0, "bench.push_wsgi.ParsingMiddleware")

from zkbio.wsgi import application  # noqa: E402

__all__ = ["application"]
