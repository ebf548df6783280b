from zkbio.accounts.models.login_failure import LoginFailure
from zkbio.accounts.models.token import ApiToken
from zkbio.accounts.models.user import User

__all__ = ["ApiToken", "LoginFailure", "User"]
