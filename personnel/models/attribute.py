"""Custom attributes: keys that an administrator adds to every employee ("Passport", "Primary Job")."""

from __future__ import annotations

from django.db import models


class AttributeDefinition(models.Model):
    """One custom attribute; its values are kept on the employee under the definition's id."""

    class Kind(models.TextChoices):
        TEXT = "text", "Text"
        NUMBER = "number", "Number"
        DATE = "date", "Date"
        CHOICE = "choice", "Choice"

    name = models.CharField(max_length=50, unique=True, help_text="The key under which API clients see it.")
    kind = models.CharField(max_length=8, choices=Kind.choices, default=Kind.TEXT)
    choices = models.JSONField(default=list, blank=True, help_text="For a choice: the list of its values.")

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return self.name
