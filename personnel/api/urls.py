from personnel.api.views import (
    AreaViewSet,
    DepartmentViewSet,
    EmployeeViewSet,
    PositionViewSet,
    ResignationViewSet,
)
from zkbio.api.viewsets import ZKRouter

router = ZKRouter()
router.register("departments", DepartmentViewSet)
router.register("areas", AreaViewSet)
router.register("positions", PositionViewSet)
router.register("employees", EmployeeViewSet)
router.register("resigns", ResignationViewSet)

urlpatterns = router.urls
