from django.urls import re_path

from personnel.api.views import PhotoViewSet

urlpatterns = [
    re_path(r"^photo/(?P<name>[0-9a-f]{32})\.jpg$", PhotoViewSet.as_view({"get": "retrieve"}), name="photo"),
]
