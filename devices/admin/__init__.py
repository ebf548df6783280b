"""The administration pages of devices and of visits to them: importing a module registers its pages."""

from devices.admin import devices, runs

__all__ = ["devices", "runs"]
