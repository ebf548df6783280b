"""Every URL of the platform."""

from iclock.push.urls import urlpatterns as _push
from zkbio import web_urls
from zkbio.web_urls import handler400 as handler400
from zkbio.web_urls import handler404 as handler404
from zkbio.web_urls import handler500 as handler500

urlpatterns = [*_push, *web_urls.urlpatterns]
