from django.apps import AppConfig
from django.db.models.signals import pre_delete

from iclock.signals import terminals_called


class DevicesConfig(AppConfig):
    name = "devices"
    verbose_name = "Devices to dial"

    def ready(self) -> None:
        from devices.domain.registry import end_polling_of_terminal  # noqa: PLC0415 - these need the models
        from devices.domain.schedule import call_devices  # noqa: PLC0415
        from iclock.models import Terminal  # noqa: PLC0415

        terminals_called.connect(call_devices)
        pre_delete.connect(end_polling_of_terminal, sender=Terminal)
