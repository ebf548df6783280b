from django.urls import re_path

from personnel.api.staff import SignedStaffTokenLoginView, StaffTokenLoginView

urlpatterns = [
    re_path(r"^staff-api-token-auth/?$", StaffTokenLoginView.as_view(), name="staff-api-token-auth"),
    re_path(r"^staff-jwt-api-token-auth/?$", SignedStaffTokenLoginView.as_view(), name="staff-jwt-api-token-auth"),
]
