"""Run as a program at each start: creates the first administrator; its last line is "created" or "exists".

Reads ADMIN_USERNAME, ADMIN_PASSWORD and ADMIN_USERNAME_GIVEN. An existing user is never touched.
"""

from __future__ import annotations

import os
import sys

import django


def main() -> int:
    django.setup()
    from django.contrib.auth import get_user_model  # noqa: PLC0415 - only after setup
    from django.contrib.auth.password_validation import validate_password  # noqa: PLC0415
    from django.core.exceptions import ValidationError  # noqa: PLC0415

    users = get_user_model()._default_manager
    name, password = os.environ["ADMIN_USERNAME"], os.environ["ADMIN_PASSWORD"]
    wanted_by_name = os.environ["ADMIN_USERNAME_GIVEN"] == "1"
    if users.filter(username__iexact=name).exists() or (
        not wanted_by_name and users.filter(is_superuser=True, is_active=True).exists()
    ):
        print("exists")
        return 0
    try:
        validate_password(password, get_user_model()(username=name))
    except ValidationError as error:
        print(" ".join(error.messages))
        return 1
    users.create_superuser(username=name, email="", password=password)
    print("created")
    return 0


if __name__ == "__main__":
    sys.exit(main())
