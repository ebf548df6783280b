from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "zkbio.accounts"
    label = "accounts"
    verbose_name = "Accounts"
