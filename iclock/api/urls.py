from iclock.api.views import AlarmViewSet, BiodataViewSet, CommandViewSet, TerminalViewSet, TransactionViewSet
from zkbio.api.viewsets import ZKRouter

router = ZKRouter()
router.register("terminals", TerminalViewSet)
router.register("commands", CommandViewSet)
router.register("alarms", AlarmViewSet)
router.register("biodatas", BiodataViewSet)
router.register("transactions", TransactionViewSet)

urlpatterns = router.urls
