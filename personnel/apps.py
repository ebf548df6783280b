from django.apps import AppConfig
from django.db.models.signals import post_migrate

from personnel.domain.seed import seed_after_migrate


class PersonnelConfig(AppConfig):
    name = "personnel"
    verbose_name = "Personnel"

    def ready(self) -> None:
        post_migrate.connect(seed_after_migrate, sender=self)
