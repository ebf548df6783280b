from django.apps import AppConfig
from django.db.models.signals import post_migrate

from personnel.domain.seed import seed_after_migrate


class PersonnelConfig(AppConfig):
    name = "personnel"
    verbose_name = "Personnel"

    def ready(self) -> None:
        from personnel.domain.groups import share_after_migrate  # noqa: PLC0415 - needs the models

        post_migrate.connect(seed_after_migrate, sender=self)
        post_migrate.connect(share_after_migrate, sender=self)
