from devices.models.device import Device
from devices.models.run import SyncRun

__all__ = ["Device", "SyncRun"]
