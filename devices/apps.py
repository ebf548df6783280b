from django.apps import AppConfig
from django.db.models.signals import post_delete, post_migrate, post_save, pre_delete

from devices.signals import devices_changed
from iclock.signals import terminals_called, terminals_marked


class DevicesConfig(AppConfig):
    name = "devices"
    verbose_name = "Devices to dial"

    def ready(self) -> None:
        from devices.domain.groups import share_after_migrate  # noqa: PLC0415 - these need the models
        from devices.domain.identity import judge_remaining_twins  # noqa: PLC0415
        from devices.domain.quarantine import read_kept_row  # noqa: PLC0415
        from devices.domain.registry import announce_change, end_polling_of_terminal, wait_no_more  # noqa: PLC0415
        from devices.domain.registry_file import write_after_change  # noqa: PLC0415
        from devices.domain.schedule import call_devices, call_marked_devices  # noqa: PLC0415
        from devices.models import Device  # noqa: PLC0415
        from iclock.domain.quarantine import register_decoder  # noqa: PLC0415
        from iclock.models import Terminal  # noqa: PLC0415
        from iclock.punch import Source  # noqa: PLC0415

        register_decoder(Source.PULL, read_kept_row)
        terminals_called.connect(call_devices)
        terminals_marked.connect(call_marked_devices)
        devices_changed.connect(write_after_change)
        pre_delete.connect(end_polling_of_terminal, sender=Terminal)
        post_save.connect(announce_change, sender=Device)
        post_delete.connect(announce_change, sender=Device)
        post_delete.connect(wait_no_more, sender=Device)
        post_delete.connect(judge_remaining_twins, sender=Device)
        post_migrate.connect(share_after_migrate, sender=self)
