"""What terminals that dial ask for, and nothing else."""

from iclock.push import urls
from zkbio import web_urls

urlpatterns = urls.urlpatterns
handler400, handler404, handler500 = web_urls.handler400, web_urls.handler404, web_urls.handler500
