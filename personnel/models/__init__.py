from personnel.models.attribute import AttributeDefinition
from personnel.models.employee import Employee
from personnel.models.organisation import Area, Department, Position
from personnel.models.staff_token import StaffToken

__all__ = ["Area", "AttributeDefinition", "Department", "Employee", "Position", "StaffToken"]
