from iclock.api.views import TerminalViewSet, TransactionViewSet
from zkbio.api.viewsets import ZKRouter

router = ZKRouter()
router.register("terminals", TerminalViewSet)
router.register("transactions", TransactionViewSet)

urlpatterns = router.urls
