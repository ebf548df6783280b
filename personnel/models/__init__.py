from personnel.models.attribute import AttributeDefinition
from personnel.models.employee import Employee
from personnel.models.organisation import Area, Department, Position

__all__ = ["Area", "AttributeDefinition", "Department", "Employee", "Position"]
