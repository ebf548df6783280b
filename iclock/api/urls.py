from rest_framework.routers import SimpleRouter

from iclock.api.views import TerminalViewSet, TransactionViewSet

router = SimpleRouter()
router.register("terminals", TerminalViewSet)
router.register("transactions", TransactionViewSet)

urlpatterns = router.urls
