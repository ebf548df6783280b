from personnel.models.attribute import AttributeDefinition
from personnel.models.employee import Employee
from personnel.models.organisation import Area, Department, Position
from personnel.models.resignation import Resignation
from personnel.models.scope import AreaLimit, DepartmentLimit
from personnel.models.staff_token import StaffToken

__all__ = [
    "Area",
    "AreaLimit",
    "AttributeDefinition",
    "Department",
    "DepartmentLimit",
    "Employee",
    "Position",
    "Resignation",
    "StaffToken",
]
