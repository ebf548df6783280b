from iclock.api.views import CommandViewSet, TerminalViewSet, TransactionViewSet
from zkbio.api.viewsets import ZKRouter

router = ZKRouter()
router.register("terminals", TerminalViewSet)
router.register("commands", CommandViewSet)
router.register("transactions", TransactionViewSet)

urlpatterns = router.urls
