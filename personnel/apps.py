from django.apps import AppConfig
from django.db.models.signals import post_migrate


class PersonnelConfig(AppConfig):
    name = "personnel"
    verbose_name = "Personnel"

    def ready(self) -> None:
        from personnel.domain.seed import seed_after_migrate

        post_migrate.connect(seed_after_migrate, sender=self)
