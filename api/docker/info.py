"""The document of /info in the shape and order of Docker 26; fields that hawse lacks have empty values."""

from __future__ import annotations

from api.docker.messages import Json

_DOCKER: Json = {
    "ID": "", "Containers": 0, "ContainersRunning": 0, "ContainersPaused": 0, "ContainersStopped": 0, "Images": 0,
    "Driver": "", "DriverStatus": [], "Plugins": {}, "MemoryLimit": False, "SwapLimit": False, "CpuCfsPeriod": False,
    "CpuCfsQuota": False, "CPUShares": False, "CPUSet": False, "PidsLimit": False, "IPv4Forwarding": False,
    "BridgeNfIptables": False, "BridgeNfIp6tables": False, "Debug": False, "NFd": 0, "OomKillDisable": False,
    "NGoroutines": 0, "SystemTime": "", "LoggingDriver": "", "CgroupDriver": "", "CgroupVersion": "",
    "NEventsListener": 0, "KernelVersion": "", "OperatingSystem": "", "OSVersion": "", "OSType": "linux",
    "Architecture": "", "IndexServerAddress": "https://index.docker.io/v1/", "RegistryConfig": {}, "NCPU": 0,
    "MemTotal": 0, "GenericResources": None, "DockerRootDir": "", "HttpProxy": "", "HttpsProxy": "", "NoProxy": "",
    "Name": "", "Labels": [], "ExperimentalBuild": False, "ServerVersion": "", "Runtimes": {}, "DefaultRuntime": "",
    "Swarm": {}, "LiveRestoreEnabled": False, "Isolation": "", "InitBinary": "",
    "ContainerdCommit": {"ID": "", "Expected": ""}, "RuncCommit": {"ID": "", "Expected": ""},
    "InitCommit": {"ID": "", "Expected": ""}, "SecurityOptions": [], "CDISpecDirs": [], "Warnings": None,
}  # fmt: skip
_REGISTRY: Json = {
    "AllowNondistributableArtifactsCIDRs": None, "AllowNondistributableArtifactsHostnames": None,
    "InsecureRegistryCIDRs": [], "IndexConfigs": {}, "Mirrors": None,
}  # fmt: skip


def complete(document: Json) -> Json:
    """Return the engine's document with Docker's fields in Docker's order, then the fields that only hawse has."""
    known = {**_DOCKER, **document}
    known["RegistryConfig"] = {**_REGISTRY, **known["RegistryConfig"]}
    # As in Docker, Nodes and Managers are omitted if they are 0. They are 0 on a worker node, and if there is no swarm.
    known["Swarm"] = {key: value for key, value in known["Swarm"].items() if value or key not in ("Nodes", "Managers")}
    known["Plugins"] = {"Volume": [], "Network": [], "Authorization": None, "Log": [], **known["Plugins"]}
    return known
