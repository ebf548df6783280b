"""Every URL of the platform."""

from iclock.push import urls
from zkbio import web_urls

urlpatterns = [*urls.urlpatterns, *web_urls.urlpatterns]
handler400, handler404, handler500 = web_urls.handler400, web_urls.handler404, web_urls.handler500
