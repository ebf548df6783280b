"""Where employees log in for themselves."""

from __future__ import annotations

from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import serializers

from personnel.domain.staff import log_in_for_signed_token, log_in_for_token
from zkbio.accounts.api.serializers import LoginSerializer
from zkbio.accounts.api.views import LoginView


class StaffLoginSerializer(LoginSerializer):
    """An employee's code and self-service password."""

    aliases = ("emp_code", "email")

    username = serializers.CharField(max_length=254, help_text="The employee's code; `emp_code` or `email` do as well.")


@extend_schema_view(post=extend_schema(operation_id="staff-api-token-auth"))
class StaffTokenLoginView(LoginView):
    """An employee's code and self-service password for a token that reads that employee's own record and punches."""

    serializer_class = StaffLoginSerializer

    def token_for(self, username: str, password: str, *, address: str) -> str | None:
        return log_in_for_token(username, password, address=address)


@extend_schema_view(post=extend_schema(operation_id="staff-jwt-api-token-auth"))
class SignedStaffTokenLoginView(LoginView):
    """The same for a signed token (JWT) that lives for a day."""

    serializer_class = StaffLoginSerializer

    def token_for(self, username: str, password: str, *, address: str) -> str | None:
        return log_in_for_signed_token(username, password, address=address)
