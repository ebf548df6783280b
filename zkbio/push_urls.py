"""What terminals that dial ask for, and nothing else."""

from iclock.push.urls import urlpatterns as urlpatterns
from zkbio.web_urls import handler400 as handler400
from zkbio.web_urls import handler404 as handler404
from zkbio.web_urls import handler500 as handler500
