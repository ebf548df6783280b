from zkbio.accounts.models.audit_entry import AuditEntry
from zkbio.accounts.models.given_permission import GivenPermission
from zkbio.accounts.models.login_failure import LoginFailure
from zkbio.accounts.models.token import ApiToken, Token
from zkbio.accounts.models.user import User

__all__ = ["ApiToken", "AuditEntry", "GivenPermission", "LoginFailure", "Token", "User"]
