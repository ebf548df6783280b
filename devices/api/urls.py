"""The multi-device server's paths, with and without a slash at the end."""

from django.urls import re_path

from devices.api.attendance import AllAttendanceView, AttendanceView
from devices.api.people import EnrolView, FingersView, UsersView, UserView
from devices.api.registry import DevicesView, OneDeviceView
from devices.api.units import CheckView, InfoView, PingView, SyncTimeView, TimeView

_DEVICE = r"^devices/(?P<device_id>[^/]+)"
_USER = rf"{_DEVICE}/users/(?P<user_id>[^/]+)"

urlpatterns = [
    re_path(r"^devices/?$", DevicesView.as_view(), name="devices"),
    re_path(rf"{_DEVICE}/?$", OneDeviceView.as_view(), name="device"),
    re_path(rf"{_DEVICE}/ping/?$", PingView.as_view(), name="device-ping"),
    re_path(rf"{_DEVICE}/info/?$", InfoView.as_view(), name="device-info"),
    re_path(rf"{_DEVICE}/time/?$", TimeView.as_view(), name="device-time"),
    re_path(rf"{_DEVICE}/check/?$", CheckView.as_view(), name="device-check"),
    re_path(rf"{_DEVICE}/sync-time/?$", SyncTimeView.as_view(), name="device-sync-time"),
    re_path(rf"{_DEVICE}/attendance/?$", AttendanceView.as_view(), name="device-attendance"),
    re_path(rf"{_DEVICE}/users/?$", UsersView.as_view(), name="device-users"),
    re_path(rf"{_USER}/?$", UserView.as_view(), name="device-user"),
    re_path(rf"{_USER}/enroll-finger/?$", EnrolView.as_view(), name="device-user-enrol"),
    re_path(rf"{_USER}/fingers/?$", FingersView.as_view(), name="device-user-fingers"),
    re_path(r"^attendance/all/?$", AllAttendanceView.as_view(), name="attendance-all"),
]
