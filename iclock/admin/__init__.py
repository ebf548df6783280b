"""The administration pages of terminals and of what they said: importing a module registers its pages."""

from iclock.admin import alarms, commands, enrolments, people, punches, push_records, quarantine, templates, terminals

__all__ = [
    "alarms",
    "commands",
    "enrolments",
    "people",
    "punches",
    "push_records",
    "quarantine",
    "templates",
    "terminals",
]
