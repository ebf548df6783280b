from django.apps import AppConfig
from django.db.models.signals import post_migrate


class AccountsConfig(AppConfig):
    name = "zkbio.accounts"
    label = "accounts"
    verbose_name = "Accounts"

    def ready(self) -> None:
        from zkbio.accounts.domain.groups import create_groups_after_migrate  # noqa: PLC0415 - needs the models

        post_migrate.connect(create_groups_after_migrate, sender=self)
