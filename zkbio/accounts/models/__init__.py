from zkbio.accounts.models.token import ApiToken
from zkbio.accounts.models.user import User

__all__ = ["ApiToken", "User"]
