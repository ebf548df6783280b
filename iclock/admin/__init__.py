"""The administration pages of terminals and of what they said: importing a module registers its pages."""

from iclock.admin import commands, punches, quarantine, templates, terminals

__all__ = ["commands", "punches", "quarantine", "templates", "terminals"]
