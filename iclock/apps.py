from django.apps import AppConfig
from django.db.models.signals import post_delete, post_migrate

from personnel.signals import people_changed, templates_withdrawn


class IclockConfig(AppConfig):
    name = "iclock"
    verbose_name = "Terminals and punches"

    def ready(self) -> None:
        from iclock.domain.attlog import read_kept_line  # noqa: PLC0415 - these need the models
        from iclock.domain.biodata import withdraw_after_signal  # noqa: PLC0415
        from iclock.domain.groups import share_after_migrate  # noqa: PLC0415
        from iclock.domain.marks import mark_after_people_changed  # noqa: PLC0415
        from iclock.domain.push_photos import remove_file  # noqa: PLC0415
        from iclock.domain.quarantine import register_decoder  # noqa: PLC0415
        from iclock.models import TerminalPhoto  # noqa: PLC0415
        from iclock.punch import Source  # noqa: PLC0415
        from iclock.push import codec  # noqa: PLC0415

        register_decoder(Source.IMPORT, read_kept_line)
        register_decoder(Source.PUSH, codec.read_kept_line)
        post_delete.connect(remove_file, sender=TerminalPhoto)
        post_migrate.connect(share_after_migrate, sender=self)
        people_changed.connect(mark_after_people_changed)
        templates_withdrawn.connect(withdraw_after_signal)
