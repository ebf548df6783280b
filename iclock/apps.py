from django.apps import AppConfig


class IclockConfig(AppConfig):
    name = "iclock"
    verbose_name = "Terminals and punches"
