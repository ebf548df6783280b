"""Employees who log in for themselves: their code, their self-service password, their tokens.

A token of theirs reads their own record and their own punches, and stops at the next request when it is revoked, when
their self-service password changes (personnel/migrations/0002: a trigger revokes it), and while they have resigned.
A signed token is bound to the live plain one, and ends with it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar, Final
from uuid import UUID

from django.contrib.auth.hashers import check_password
from django.db import transaction
from django.utils import timezone

from personnel.models import Employee, StaffToken
from zkbio import crypto
from zkbio.accounts.domain.logins import guard_login
from zkbio.accounts.domain.signing import Claims, Signer, is_whole
from zkbio.accounts.domain.tokens import is_token, live_token, note_use, read_token

_SIGNER: Final = Signer("staff")
_MAY: Final = frozenset({"personnel.view_employee", "iclock.view_transaction"})


@dataclass(frozen=True, slots=True)
class StaffUser:
    """The caller behind an employee's token: no account, with nothing but their own person to read."""

    employee_id: int
    emp_code: str

    pk: ClassVar[None] = None
    is_authenticated: ClassVar[bool] = True
    is_anonymous: ClassVar[bool] = False
    is_active: ClassVar[bool] = True
    is_staff: ClassVar[bool] = False
    is_superuser: ClassVar[bool] = False

    def __str__(self) -> str:
        return f"employee {self.emp_code}"

    @property
    def username(self) -> str:
        return self.emp_code

    def has_perm(self, permission: str, obj: object = None) -> bool:
        return permission in _MAY

    def has_perms(self, permissions: Iterable[str], obj: object = None) -> bool:
        return all(self.has_perm(permission) for permission in permissions)


def log_in_for_token(emp_code: str, password: str, *, address: str) -> str | None:
    """The employee's token, the same at every login; None for a wrong pair. Raises LoginThrottledError, Unavailable."""
    token = _log_in(emp_code, password, address=address)
    return None if token is None else read_token(token)


def log_in_for_signed_token(emp_code: str, password: str, *, address: str) -> str | None:
    """As :func:`log_in_for_token`, signed and for a day."""
    token = _log_in(emp_code, password, address=address)
    return None if token is None else _SIGNER.sign(_claims(token))


def verify_staff_token(token: str) -> StaffUser | None:
    return _use(digest=crypto.fingerprint(token)) if is_token(token) else None


def verify_signed_staff_token(token: str) -> StaffUser | None:
    """Raises TokenExpiredError."""
    claims = _SIGNER.read(token)
    return None if claims is None else _owner(claims)


def refresh_signed_staff_token(token: str) -> str | None:
    """Another token for a live one, None where it isn't live. Raises TokenExpiredError and LoginTooOldError."""
    claims = _SIGNER.read(token)
    return None if claims is None or _owner(claims) is None else _SIGNER.renew(claims)


def revoke_staff_tokens(employees: Iterable[int]) -> int:
    """End the tokens of these employees, signed ones too; the next login issues others. Gives how many."""
    return StaffToken.objects.filter(employee__in=employees, revoked_at=None).update(revoked_at=timezone.now())


def _log_in(emp_code: str, password: str, *, address: str) -> StaffToken | None:
    def find(code: str) -> Employee | None:
        employee = Employee.objects.filter(emp_code=code, resignation=None).first()
        # Without a stored hash Django makes one of something else: the answer takes as long.
        right = check_password(password, employee.self_password if employee else "")
        return employee if right else None

    employee = guard_login(find, emp_code, address=address, realm="staff")
    return None if employee is None else _issue(employee)


@transaction.atomic
def _issue(employee: Employee) -> StaffToken | None:
    """The live token; None if the password that was just checked is another one by now."""
    unchanged = Employee.objects.select_for_update(no_key=True).filter(
        pk=employee.pk, self_password=employee.self_password
    )
    return live_token(StaffToken, employee=employee) if unchanged.exists() else None


def _claims(token: StaffToken) -> Claims:
    employee = token.employee
    return {"employee_id": employee.pk, "username": employee.emp_code, "staff_token": token.uuid.hex}


def _owner(claims: Claims) -> StaffUser | None:
    employee, token = claims.get("employee_id"), _uuid(claims.get("staff_token"))
    return _use(employee=employee, uuid=token) if token is not None and is_whole(employee) else None


def _uuid(claim: Any) -> UUID | None:
    try:
        return UUID(hex=claim) if isinstance(claim, str) else None
    except ValueError:
        return None


def _use(**which: Any) -> StaffUser | None:
    """The employee behind a live token."""
    live = StaffToken.objects.filter(revoked_at=None, employee__resignation=None, **which)
    token = live.select_related("employee").only("last_used_at", "employee__emp_code").first()
    if token is None:
        return None
    note_use(StaffToken, token.pk, token.last_used_at)
    return StaffUser(employee_id=token.employee_id, emp_code=token.employee.emp_code)
