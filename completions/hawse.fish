# fish completion for hawse. `hawse completion fish` writes it.

# For each command: the flags that take a value, with its source, and the aliases of its commands.
set -g __hawse_paths 'attach' 'container attach' 'completion' 'container' 'container create' 'create' 'container exec' 'exec' 'container inspect' 'container kill' 'kill' 'container logs' 'logs' 'container ls' 'container port' 'port' 'container prune' 'container publish' 'publish' 'container rename' 'rename' 'container restart' 'restart' 'container rm' 'rm' 'container run' 'run' 'container start' 'start' 'container stats' 'stats' 'container stop' 'stop' 'container top' 'top' 'container unpublish' 'unpublish' 'container wait' 'wait' 'context' 'context inspect' 'context ls' 'context show' 'context use' 'doctor' 'events' 'system events' 'image' 'image import' 'import' 'image inspect' 'image load' 'load' 'image ls' 'image prune' 'image pull' 'pull' 'image rm' 'image save' 'save' 'image tag' 'tag' 'images' 'info' 'system info' 'inspect' 'network' 'network connect' 'network create' 'network disconnect' 'network inspect' 'network ls' 'network map' 'network prune' 'network rm' 'network verify' 'node' 'node inspect' 'node ls' 'node rm' 'ps' 'rmi' 'swarm' 'swarm init' 'swarm join' 'swarm join-token' 'swarm leave' 'system' 'system boot' 'system check' 'system df' 'system install' 'system prune' 'system service' 'system shutdown' 'system uninstall' 'trace' 'version'
set -g __hawse_strict 'container create' 'create' 'container exec' 'exec' 'container run' 'run' 'container top' 'top'

function __hawse_valued
    switch "$argv[1]"
        case ''
            printf '%s\n' --config=directories --context=context -c=context --host=none -H=none --log-level=log-level -l=log-level
        case 'attach' 'container attach'
            printf '%s\n' --detach-keys=detach-keys
        case 'container create' 'create'
            printf '%s\n' --add-host=extra-host --annotation=none --attach=stream -a=stream --blkio-weight=none --blkio-weight-device=none --cap-add=capability --cap-drop=capability --cgroup-parent=none --cgroupns=host-private --cidfile=files --cpu-period=none --cpu-quota=none --cpu-rt-period=none --cpu-rt-runtime=none --cpu-shares=none -c=none --cpus=none --cpuset-cpus=none --cpuset-mems=none --device=none --device-cgroup-rule=none --device-read-bps=none --device-read-iops=none --device-write-bps=none --device-write-iops=none --dns=none --dns-opt=resolver-option --dns-option=resolver-option --dns-search=none --domainname=none --entrypoint=none --env=environment -e=environment --env-file=files --expose=none --gpus=none --group-add=none --health-cmd=none --health-interval=none --health-retries=none --health-start-interval=none --health-start-period=none --health-timeout=none --hostname=none -h=none --ip=none --ip6=none --ipc=none --isolation=none --kernel-memory=none --label=none -l=none --label-file=files --link=running --link-local-ip=none --log-driver=log-driver --log-opt=log-option --mac-address=none --memory=none -m=none --memory-reservation=none --memory-swap=none --memory-swappiness=none --mount=mount --name=none --net=network-mode --net-alias=none --network=network-mode --network-alias=none --oom-score-adj=none --pid=host-mode --pids-limit=none --platform=none --publish=none -p=none --pull=pull --restart=restart --runtime=none --security-opt=security --shm-size=none --stop-signal=signal --stop-timeout=none --storage-opt=none --sysctl=sysctl --tmpfs=none --ulimit=ulimit --user=none -u=none --userns=host-mode --uts=none --volume=files -v=files --volume-driver=none --volumes-from=none --workdir=none -w=none
        case 'container exec' 'exec'
            printf '%s\n' --detach-keys=detach-keys --env=environment -e=environment --env-file=files --user=none -u=none --workdir=none -w=none
        case 'container inspect'
            printf '%s\n' --format=container-document-format -f=container-document-format
        case 'container kill' 'kill'
            printf '%s\n' --signal=signal -s=signal
        case 'container logs' 'logs'
            printf '%s\n' --since=none --tail=tail -n=tail --until=none
        case 'container ls'
            printf '%s\n' --filter=container-filter -f=container-filter --format=container-format --last=none -n=none
        case 'container prune'
            printf '%s\n' --filter=container-prune-filter
        case 'container publish' 'publish'
            printf '%s\n' --publish=none -p=none
        case 'container restart' 'restart'
            printf '%s\n' --signal=signal -s=signal --time=none -t=none
        case 'container run' 'run'
            printf '%s\n' --add-host=extra-host --annotation=none --attach=stream -a=stream --blkio-weight=none --blkio-weight-device=none --cap-add=capability --cap-drop=capability --cgroup-parent=none --cgroupns=host-private --cidfile=files --cpu-period=none --cpu-quota=none --cpu-rt-period=none --cpu-rt-runtime=none --cpu-shares=none -c=none --cpus=none --cpuset-cpus=none --cpuset-mems=none --detach-keys=detach-keys --device=none --device-cgroup-rule=none --device-read-bps=none --device-read-iops=none --device-write-bps=none --device-write-iops=none --dns=none --dns-opt=resolver-option --dns-option=resolver-option --dns-search=none --domainname=none --entrypoint=none --env=environment -e=environment --env-file=files --expose=none --gpus=none --group-add=none --health-cmd=none --health-interval=none --health-retries=none --health-start-interval=none --health-start-period=none --health-timeout=none --hostname=none -h=none --ip=none --ip6=none --ipc=none --isolation=none --kernel-memory=none --label=none -l=none --label-file=files --link=running --link-local-ip=none --log-driver=log-driver --log-opt=log-option --mac-address=none --memory=none -m=none --memory-reservation=none --memory-swap=none --memory-swappiness=none --mount=mount --name=none --net=network-mode --net-alias=none --network=network-mode --network-alias=none --oom-score-adj=none --pid=host-mode --pids-limit=none --platform=none --publish=none -p=none --pull=pull --restart=restart --runtime=none --security-opt=security --shm-size=none --stop-signal=signal --stop-timeout=none --storage-opt=none --sysctl=sysctl --tmpfs=none --ulimit=ulimit --user=none -u=none --userns=host-mode --uts=none --volume=files -v=files --volume-driver=none --volumes-from=none --workdir=none -w=none
        case 'container start' 'start'
            printf '%s\n' --detach-keys=detach-keys
        case 'container stats' 'stats'
            printf '%s\n' --format=stats-format
        case 'container stop' 'stop'
            printf '%s\n' --signal=signal -s=signal --time=none -t=none
        case 'container unpublish' 'unpublish'
            printf '%s\n' --publish=none -p=none
        case 'context inspect'
            printf '%s\n' --format=none -f=none
        case 'context ls'
            printf '%s\n' --format=none
        case 'doctor'
            printf '%s\n' --format=doctor-format
        case 'events' 'system events'
            printf '%s\n' --filter=event-filter -f=event-filter --format=event-format --since=recent --until=none
        case 'image import' 'import'
            printf '%s\n' --change=none -c=none --message=none -m=none --platform=none
        case 'image inspect'
            printf '%s\n' --format=document-format -f=document-format
        case 'image load' 'load'
            printf '%s\n' --input=none -i=none
        case 'image ls'
            printf '%s\n' --filter=image-filter -f=image-filter --format=image-format
        case 'image prune'
            printf '%s\n' --filter=image-prune-filter
        case 'image pull' 'pull'
            printf '%s\n' --platform=none
        case 'image save' 'save'
            printf '%s\n' --output=none -o=none
        case 'images'
            printf '%s\n' --filter=image-filter -f=image-filter --format=image-format
        case 'info' 'system info'
            printf '%s\n' --format=system-format -f=system-format
        case 'inspect'
            printf '%s\n' --format=container-document-format -f=container-document-format --type=object-type
        case 'network connect'
            printf '%s\n' --alias=none --default-route=default-route --driver-opt=endpoint-option --gw-priority=none --ip=none --ip6=none --link=containers --link-local-ip=none --name=none --publish=none -p=none --restart=namespace-restart
        case 'network create'
            printf '%s\n' --aux-address=none --config-from=config-networks --driver=driver -d=driver --gateway=none --ip-range=none --ipam-driver=ipam-driver --ipam-opt=none --label=none --opt=driver-option -o=driver-option --scope=scope --subnet=none
        case 'network inspect'
            printf '%s\n' --format=network-document-format -f=network-document-format
        case 'network ls'
            printf '%s\n' --filter=network-filter -f=network-filter --format=network-format
        case 'network map'
            printf '%s\n' --format=map-format
        case 'network prune'
            printf '%s\n' --filter=network-prune-filter
        case 'node inspect'
            printf '%s\n' --format=none -f=none
        case 'node ls'
            printf '%s\n' --filter=none -f=none --format=none
        case 'ps'
            printf '%s\n' --filter=container-filter -f=container-filter --format=container-format --last=none -n=none
        case 'swarm init'
            printf '%s\n' --advertise-addr=none --cacert=files --cert=files --data-path-addr=none --default-addr-pool=none --default-addr-pool-mask-length=none --key=files --store=none
        case 'swarm join'
            printf '%s\n' --advertise-addr=none --data-path-addr=none --token=none
        case 'system boot'
            printf '%s\n' --timeout=none
        case 'system df'
            printf '%s\n' --format=none
        case 'system install'
            printf '%s\n' --root=none
        case 'system prune'
            printf '%s\n' --filter=none
        case 'system service'
            printf '%s\n' --group=none --host=none --socket=none --tlscacert=none --tlscert=none --tlskey=none
        case 'system uninstall'
            printf '%s\n' --root=none
        case 'trace'
            printf '%s\n' --format=text-json
        case 'version'
            printf '%s\n' --format=system-format -f=system-format
    end
end

function __hawse_alias
    switch "$argv[1] $argv[2]"
        case 'container list'
            echo ls
        case 'container ps'
            echo ls
        case 'container remove'
            echo rm
        case 'context list'
            echo ls
        case 'image list'
            echo ls
        case 'image remove'
            echo rm
        case 'network list'
            echo ls
        case 'network remove'
            echo rm
        case 'node list'
            echo ls
        case 'node remove'
            echo rm
        case '*'
            echo -- $argv[2]
    end
end

function __hawse_source
    switch $argv[1]
        case networks
            __hawse_names networks
        case more-networks
            __hawse_names networks+
        case removable-networks
            __hawse_names custom-networks+
        case connectable-networks
            __hawse_names connectable-networks
        case used-networks
            __hawse_names used-networks
        case config-networks
            __hawse_names config-networks
        case driver
            __hawse_words 'bridge'\t'Networks on this host, behind NAT' 'ipvlan'\t'Share a parent interface and its MAC address' 'macvlan'\t'Share a parent interface, each with a MAC address' 'overlay'\t'Networks across hosts (VXLAN)'
        case any-driver
            __hawse_words 'bridge'\t'Networks on this host, behind NAT' 'ipvlan'\t'Share a parent interface and its MAC address' 'macvlan'\t'Share a parent interface, each with a MAC address' 'overlay'\t'Networks across hosts (VXLAN)' 'host'\t'The host\'s network' 'null'\t'No network'
        case driver-option
            switch (__hawse_value --driver -d)
                case ''
                    __hawse_source bridge-option
                case 'bridge'
                    __hawse_source bridge-option
                case 'ipvlan'
                    __hawse_source ipvlan-option
                case 'macvlan'
                    __hawse_source macvlan-option
                case 'overlay'
                    __hawse_source overlay-option
            end
        case bridge-option
            __hawse_keys 'com.docker.network.bridge.enable_icc=' 'bool' 'Let containers reach each other' 'com.docker.network.bridge.enable_ip_masquerade=' 'bool' 'Masquerade packets to the outside' 'com.docker.network.bridge.inhibit_ipv4=' 'bool' 'Leave the bridge without an IPv4 address' 'com.docker.network.bridge.gateway_mode_ipv4=' 'gateway-mode' 'Ports that IPv4 packets from outside can reach' 'com.docker.network.bridge.gateway_mode_ipv6=' 'gateway-mode' 'Ports that IPv6 packets from outside can reach' 'com.docker.network.bridge.host_binding_ipv4=' 'host-binding' 'Default address of published ports' 'com.docker.network.bridge.name=' 'none' 'Name of the bridge' 'com.docker.network.bridge.trusted_host_interfaces=' 'interfaces' 'Interfaces whose neighbours may reach containers directly' 'com.docker.network.driver.mtu=' 'mtu' 'MTU of the endpoints, in bytes' 'hawse.heal=' 'bool' 'Let the agent repair links that other programs change' 'com.docker.network.host_ipv4=' 'none' 'Source address of IPv4 packets to the outside' 'com.docker.network.host_ipv6=' 'none' 'Source address of IPv6 packets to the outside' 'com.hawse.bridge.spoof_guard=' 'bool' 'Drop packets with source addresses that are not the container\'s'
        case ipvlan-option
            __hawse_keys 'parent=' 'interfaces' 'Parent interface of the endpoints, on the host' 'ipvlan_mode=' 'ipvlan-mode' 'Layer at which the parent forwards packets' 'ipvlan_flag=' 'ipvlan-flag' 'How endpoints of one parent reach each other' 'com.docker.network.driver.mtu=' 'mtu' 'MTU of the endpoints, in bytes' 'hawse.heal=' 'bool' 'Let the agent repair links that other programs change'
        case macvlan-option
            __hawse_keys 'parent=' 'interfaces' 'Parent interface of the endpoints, on the host' 'macvlan_mode=' 'macvlan-mode' 'How endpoints of one parent reach each other' 'com.docker.network.driver.mtu=' 'mtu' 'MTU of the endpoints, in bytes' 'hawse.heal=' 'bool' 'Let the agent repair links that other programs change'
        case overlay-option
            __hawse_words 'encrypted'\t'Encrypt packets between hosts'
            __hawse_keys 'com.docker.network.driver.overlay.vxlanid_list=' 'none' 'VXLAN ids, one per subnet, separated by commas' 'com.docker.network.driver.mtu=' 'mtu' 'MTU of the network between the hosts, in bytes; endpoints get 50 to 150 bytes less' 'hawse.heal=' 'bool' 'Let the agent repair links that other programs change'
        case gateway-mode
            __hawse_words 'nat'\t'Masqueraded, only published ports open' 'nat-unprotected'\t'Masqueraded, every port open' 'routed'\t'Not masqueraded, only published ports open' 'isolated'\t'No address on the bridge (internal networks)'
        case host-binding
            __hawse_words '127.0.0.1'\t'Ports open to this host only' '0.0.0.0'\t'Ports open on every address'
        case mtu
            __hawse_words '1280' '1400' '1450' '1500' '9000'
        case ipvlan-mode
            __hawse_words 'l2' 'l3' 'l3s'
        case ipvlan-flag
            __hawse_words 'bridge' 'private' 'vepa'
        case macvlan-mode
            __hawse_words 'bridge' 'private' 'vepa' 'passthru'
        case interfaces
            __hawse_names interfaces
        case ipam-driver
            __hawse_words 'default' 'null'
        case scope
            __hawse_words 'local' 'swarm' 'global'
        case network-type
            __hawse_words 'builtin'\t'bridge, host and none' 'custom'\t'All other networks'
        case network-filter
            __hawse_keys 'dangling=' 'bool' '' 'driver=' 'any-driver' '' 'id=' 'none' '' 'label=' 'network-labels' '' 'name=' 'networks' '' 'scope=' 'scope' '' 'type=' 'network-type' ''
        case network-labels
            __hawse_names network-labels
        case network-prune-filter
            __hawse_keys 'label=' 'network-labels' '' 'label!=' 'network-labels' '' 'until=' 'age' ''
        case network-format
            __hawse_words 'table'\t'A table with headers' 'json'\t'One JSON object per line' 'raw'\t'One field per line' '{{.ID}}'\t'NETWORK ID' '{{.Name}}'\t'NAME' '{{.Driver}}'\t'DRIVER' '{{.Scope}}'\t'SCOPE' '{{.IPv4}}'\t'IPV4' '{{.IPv6}}'\t'IPV6' '{{.Internal}}'\t'INTERNAL' '{{.Labels}}'\t'LABELS' '{{.CreatedAt}}'\t'CREATED AT' '{{json .}}'
        case endpoint-option
            __hawse_keys 'com.docker.network.endpoint.sysctls=' 'none' ''
        case default-route
            __hawse_words 'auto'\t'Only if the namespace has no default route' 'yes'\t'It takes precedence over existing default routes' 'no'\t'Never'
        case network-mode
            __hawse_behind_comma
            __hawse_words 'host'\t'The host\'s network' 'none'\t'No network' 'bridge'\t'The default bridge'
            __hawse_keys 'container:' 'running' 'The network of another container' 'name=' 'networks' 'A network, with options after a comma' 'alias=' 'none' 'Another name in the network\'s DNS' 'ip=' 'none' 'IPv4 address' 'ip6=' 'none' 'IPv6 address' 'mac-address=' 'none' 'MAC address' 'driver-opt=' 'none' 'Option of the network\'s driver'
            __hawse_names joinable-networks
        case containers
            __hawse_names containers
        case running
            __hawse_names running
        case more-containers
            __hawse_names containers+
        case more-running
            __hawse_names running+
        case more-stopped
            __hawse_names stopped+
        case members
            __hawse_names members
        case strangers
            __hawse_keys 'netns:' 'namespaces' 'A namespace of ip netns' 'pid:' 'processes' 'The namespace of a process'
            __hawse_names strangers
        case trace-source
            __hawse_words 'host'\t'This host' 'outside'\t'A machine outside of this host'
            __hawse_keys 'netns:' 'namespaces' 'A namespace of ip netns' 'outside:' 'interfaces' 'A machine outside, at an interface of this host' 'pid:' 'processes' 'The namespace of a process'
            __hawse_names running
        case trace-target
            __hawse_keys 'published:' 'published-ports' 'A published port of this host'
            __hawse_names running
        case published-ports
            __hawse_names published-ports
        case namespaces
            __hawse_names namespaces
        case processes
            __hawse_names processes
        case anything
            __hawse_names containers+,networks+,images+
        case ports
            __hawse_names ports
        case more-ports
            __hawse_names ports+
        case object-type
            __hawse_words 'container' 'image' 'network'
        case status
            __hawse_words 'created' 'dead' 'exited' 'paused' 'removing' 'restarting' 'running'
        case health
            __hawse_words 'healthy' 'none' 'starting' 'unhealthy'
        case container-labels
            __hawse_names container-labels
        case container-filter
            __hawse_keys 'ancestor=' 'images' '' 'before=' 'containers' '' 'exited=' 'none' '' 'expose=' 'none' '' 'health=' 'health' '' 'id=' 'none' '' 'is-task=' 'bool' '' 'isolation=' 'none' '' 'label=' 'container-labels' '' 'name=' 'containers' '' 'network=' 'networks' '' 'publish=' 'none' '' 'since=' 'containers' '' 'status=' 'status' '' 'volume=' 'none' ''
        case container-prune-filter
            __hawse_keys 'label=' 'container-labels' '' 'label!=' 'container-labels' '' 'until=' 'age' ''
        case stats-format
            __hawse_words 'table'\t'A table with headers' 'json'\t'One JSON object per line' 'raw'\t'One field per line' '{{.BlockIO}}'\t'BLOCK I/O' '{{.CPUPerc}}'\t'CPU %' '{{.Container}}'\t'CONTAINER' '{{.ID}}'\t'CONTAINER ID' '{{.MemPerc}}'\t'MEM %' '{{.MemUsage}}'\t'MEM USAGE / LIMIT' '{{.Name}}'\t'NAME' '{{.NetIO}}'\t'NET I/O' '{{.PIDs}}'\t'PIDS' '{{json .}}'
        case container-format
            __hawse_words 'table'\t'A table with headers' 'json'\t'One JSON object per line' 'raw'\t'One field per line' '{{.ID}}'\t'CONTAINER ID' '{{.Names}}'\t'NAMES' '{{.Image}}'\t'IMAGE' '{{.Command}}'\t'COMMAND' '{{.CreatedAt}}'\t'CREATED AT' '{{.RunningFor}}'\t'CREATED' '{{.Ports}}'\t'PORTS' '{{.State}}'\t'STATE' '{{.Status}}'\t'STATUS' '{{.Size}}'\t'SIZE' '{{.Labels}}'\t'LABELS' '{{.Mounts}}'\t'MOUNTS' '{{.LocalVolumes}}'\t'LOCAL VOLUMES' '{{.Networks}}'\t'NETWORKS' '{{json .}}'
        case restart
            __hawse_words 'no'\t'Never' 'always'\t'Each time it ends' 'unless-stopped'\t'Each time it ends, unless it was stopped' 'on-failure'\t'If its exit code is not 0'
            __hawse_keys 'on-failure:' 'none' ''
        case namespace-restart
            __hawse_words 'no' 'unless-stopped'
        case pull
            __hawse_words 'always'\t'Pull the image each time' 'missing'\t'Pull the image if it is missing' 'never'
        case stream
            __hawse_words 'stdin' 'stdout' 'stderr'
        case signal
            __hawse_words 'SIGHUP' 'SIGINT' 'SIGQUIT' 'SIGKILL' 'SIGUSR1' 'SIGUSR2' 'SIGTERM' 'SIGCONT' 'SIGSTOP' 'SIGWINCH'
        case capability
            __hawse_words 'ALL' 'CHOWN' 'DAC_OVERRIDE' 'DAC_READ_SEARCH' 'FOWNER' 'FSETID' 'KILL' 'SETGID' 'SETUID' 'SETPCAP' 'LINUX_IMMUTABLE' 'NET_BIND_SERVICE' 'NET_BROADCAST' 'NET_ADMIN' 'NET_RAW' 'IPC_LOCK' 'IPC_OWNER' 'SYS_MODULE' 'SYS_RAWIO' 'SYS_CHROOT' 'SYS_PTRACE' 'SYS_PACCT' 'SYS_ADMIN' 'SYS_BOOT' 'SYS_NICE' 'SYS_RESOURCE' 'SYS_TIME' 'SYS_TTY_CONFIG' 'MKNOD' 'LEASE' 'AUDIT_WRITE' 'AUDIT_CONTROL' 'SETFCAP' 'MAC_OVERRIDE' 'MAC_ADMIN' 'SYSLOG' 'WAKE_ALARM' 'BLOCK_SUSPEND' 'AUDIT_READ' 'PERFMON' 'BPF' 'CHECKPOINT_RESTORE'
        case log-driver
            __hawse_words 'json-file' 'local' 'none'
        case log-option
            __hawse_keys 'compress=' 'none' '' 'max-file=' 'none' '' 'max-size=' 'none' ''
        case tail
            __hawse_words 'all' '10' '100'
        case ulimit
            __hawse_keys 'core=' 'none' '' 'cpu=' 'none' '' 'data=' 'none' '' 'fsize=' 'none' '' 'locks=' 'none' '' 'memlock=' 'none' '' 'msgqueue=' 'none' '' 'nice=' 'none' '' 'nofile=' 'none' '' 'nproc=' 'none' '' 'rss=' 'none' '' 'rtprio=' 'none' '' 'rttime=' 'none' '' 'sigpending=' 'none' '' 'stack=' 'none' ''
        case sysctl
            __hawse_keys 'net.core.somaxconn=' 'none' '' 'net.ipv4.ip_forward=' 'zero-one' '' 'net.ipv4.ip_local_port_range=' 'none' '' 'net.ipv4.ip_unprivileged_port_start=' 'none' '' 'net.ipv4.ping_group_range=' 'none' '' 'net.ipv6.conf.all.disable_ipv6=' 'zero-one' '' 'net.ipv6.conf.all.forwarding=' 'zero-one' ''
        case zero-one
            __hawse_words '0' '1'
        case security
            __hawse_words 'apparmor=unconfined' 'label=disable' 'no-new-privileges' 'seccomp=unconfined' 'systempaths=unconfined'
        case mount
            __hawse_behind_comma
            __hawse_words 'readonly'
            __hawse_keys 'type=' 'mount-type' 'Only bind' 'source=' 'files' 'Path on this host' 'src=' 'files' 'Path on this host' 'target=' 'none' 'Path in the container' 'dst=' 'none' 'Path in the container'
        case mount-type
            __hawse_words 'bind'
        case extra-host
            __hawse_words 'host.docker.internal:host-gateway'
        case resolver-option
            __hawse_words 'edns0' 'rotate' 'use-vc'
            __hawse_keys 'attempts:' 'none' '' 'ndots:' 'none' '' 'timeout:' 'none' ''
        case host-mode
            __hawse_words 'host'\t'Share the host\'s namespace'
        case host-private
            __hawse_words 'host'\t'Share the host\'s namespace' 'private'\t'A new namespace'
        case text-json
            __hawse_words 'text'\t'A tree for users' 'json'\t'For programs'
        case detach-keys
            __hawse_words 'ctrl-p,ctrl-q'
        case environment
            __hawse_names environment
        case bool
            __hawse_words 'true' 'false'
        case files
            __hawse_files
        case directories
            __hawse_directories
        case context
            __hawse_words 'default'\t'This host'
        case command
            __hawse_program
        case age
            __hawse_words '10m'\t'Older than 10 minutes' '24h'\t'Older than a day' '168h'\t'Older than a week'
        case recent
            __hawse_words '10m'\t'The last 10 minutes' '24h'\t'The last day' '168h'\t'The last week'
        case log-level
            __hawse_words 'debug' 'info' 'warn' 'error' 'fatal'
        case rootfs
            __hawse_words 'hostfs'\t'The files of the host'
            __hawse_names images
            __hawse_directories
        case images
            __hawse_names images
        case more-images
            __hawse_names images+
        case archive
            __hawse_words '-'\t'Standard input'
            __hawse_files
        case image-prune-filter
            __hawse_keys 'label=' 'none' '' 'label!=' 'none' '' 'until=' 'age' ''
        case image-filter
            __hawse_keys 'before=' 'images' '' 'dangling=' 'bool' '' 'label=' 'none' '' 'reference=' 'images' '' 'since=' 'images' ''
        case image-format
            __hawse_words 'table'\t'A table with headers' 'json'\t'One JSON object per line' 'raw'\t'One field per line' '{{.ID}}'\t'IMAGE ID' '{{.Repository}}'\t'REPOSITORY' '{{.Tag}}'\t'TAG' '{{.Digest}}'\t'DIGEST' '{{.CreatedSince}}'\t'CREATED' '{{.CreatedAt}}'\t'CREATED AT' '{{.Size}}'\t'SIZE' '{{.Containers}}'\t'CONTAINERS' '{{.VirtualSize}}'\t'SIZE' '{{.SharedSize}}'\t'SHARED SIZE' '{{.UniqueSize}}'\t'UNIQUE SIZE' '{{json .}}'
        case document-format
            __hawse_words 'json'\t'One line of JSON' '{{json .}}' '{{.Id}}' '{{.Name}}'
        case container-document-format
            __hawse_words 'json'\t'One line of JSON' '{{json .}}' '{{.State.Pid}}' '{{.State.Status}}' '{{json .NetworkSettings.Networks}}' '{{json .NetworkSettings.Ports}}' '{{range .NetworkSettings.Networks}}{{.IPAddress}} {{end}}'
        case network-document-format
            __hawse_words 'json'\t'One line of JSON' '{{json .}}' '{{json .Containers}}' '{{json .IPAM.Config}}' '{{range .Containers}}{{.Name}} {{end}}' '{{range .IPAM.Config}}{{.Subnet}} {{end}}'
        case map-format
            __hawse_words 'tree'\t'A tree, as without the flag' 'mermaid'\t'A flowchart, which GitHub shows' 'dot'\t'A graph for Graphviz' 'svg'\t'A picture' 'json'\t'For programs'
        case doctor-format
            __hawse_words 'table'\t'One line per check' 'json'\t'For programs'
        case event-filter
            __hawse_keys 'container=' 'containers' '' 'daemon=' 'none' '' 'event=' 'event' '' 'image=' 'images' '' 'label=' 'container-labels' '' 'network=' 'networks' '' 'node=' 'none' '' 'scope=' 'scope' '' 'type=' 'event-type' ''
        case event
            __hawse_words 'attach' 'connect' 'create' 'delete' 'destroy' 'die' 'disconnect' 'exec_create' 'exec_detach' 'exec_die' 'exec_start' 'import' 'kill' 'load' 'oom' 'prune' 'publish' 'rename' 'repair' 'restart' 'start' 'stop' 'tag' 'top' 'unpublish' 'untag' 'update'
        case event-type
            __hawse_words 'container' 'daemon' 'image' 'network' 'node'
        case event-format
            __hawse_words 'json'\t'One JSON object per line' '{{json .}}' '{{.Type}}' '{{.Action}}' '{{.Actor.ID}}' '{{.Actor.Attributes.name}}'
        case system-format
            __hawse_words 'json'\t'One line of JSON' '{{json .}}'
        case role
            __hawse_words 'manager' 'worker'
        case shell
            __hawse_words 'bash' 'fish' 'zsh'
    end
end

complete -c hawse -f
complete -c hawse -n __hawse_awaits -a '(__hawse_offer_awaited)'

complete -c hawse -n '__hawse_argument_of 0 \'\'' -a attach -d 'Attach local standard input, output, and error streams to a running container'
complete -c hawse -n '__hawse_argument_of 0 \'\'' -a completion -d 'Print the tab completion script of a shell'
complete -c hawse -n '__hawse_argument_of 0 \'\'' -a container -d 'Manage containers'
complete -c hawse -n '__hawse_argument_of 0 \'\'' -a context -d 'Manage contexts'
complete -c hawse -n '__hawse_argument_of 0 \'\'' -a create -d 'Create a new container'
complete -c hawse -n '__hawse_argument_of 0 \'\'' -a doctor -d 'Check everything on this host that hawse\'s networks need'
complete -c hawse -n '__hawse_argument_of 0 \'\'' -a events -d 'Get real time events from the server'
complete -c hawse -n '__hawse_argument_of 0 \'\'' -a exec -d 'Execute a command in a running container'
complete -c hawse -n '__hawse_argument_of 0 \'\'' -a image -d 'Manage images'
complete -c hawse -n '__hawse_argument_of 0 \'\'' -a images -d 'List images'
complete -c hawse -n '__hawse_argument_of 0 \'\'' -a import -d 'Import the contents from a tarball to create a filesystem image'
complete -c hawse -n '__hawse_argument_of 0 \'\'' -a info -d 'Display system-wide information'
complete -c hawse -n '__hawse_argument_of 0 \'\'' -a inspect -d 'Return low-level information on Docker objects'
complete -c hawse -n '__hawse_argument_of 0 \'\'' -a kill -d 'Kill one or more running containers'
complete -c hawse -n '__hawse_argument_of 0 \'\'' -a load -d 'Load an image from a tar archive or STDIN'
complete -c hawse -n '__hawse_argument_of 0 \'\'' -a logs -d 'Fetch the logs of a container'
complete -c hawse -n '__hawse_argument_of 0 \'\'' -a network -d 'Manage networks'
complete -c hawse -n '__hawse_argument_of 0 \'\'' -a node -d 'Manage Swarm nodes'
complete -c hawse -n '__hawse_argument_of 0 \'\'' -a port -d 'List port mappings or a specific mapping for the container'
complete -c hawse -n '__hawse_argument_of 0 \'\'' -a ps -d 'List containers'
complete -c hawse -n '__hawse_argument_of 0 \'\'' -a publish -d 'Publish ports of an existing container'
complete -c hawse -n '__hawse_argument_of 0 \'\'' -a pull -d 'Download an image from a registry'
complete -c hawse -n '__hawse_argument_of 0 \'\'' -a rename -d 'Rename a container'
complete -c hawse -n '__hawse_argument_of 0 \'\'' -a restart -d 'Restart one or more containers'
complete -c hawse -n '__hawse_argument_of 0 \'\'' -a rm -d 'Remove one or more containers'
complete -c hawse -n '__hawse_argument_of 0 \'\'' -a rmi -d 'Remove one or more images'
complete -c hawse -n '__hawse_argument_of 0 \'\'' -a run -d 'Create and run a new container from an image'
complete -c hawse -n '__hawse_argument_of 0 \'\'' -a save -d 'Save one or more images to a tar archive (streamed to STDOUT by default)'
complete -c hawse -n '__hawse_argument_of 0 \'\'' -a start -d 'Start one or more stopped containers'
complete -c hawse -n '__hawse_argument_of 0 \'\'' -a stats -d 'Display a live stream of container(s) resource usage statistics'
complete -c hawse -n '__hawse_argument_of 0 \'\'' -a stop -d 'Stop one or more running containers'
complete -c hawse -n '__hawse_argument_of 0 \'\'' -a swarm -d 'Manage Swarm'
complete -c hawse -n '__hawse_argument_of 0 \'\'' -a system -d 'Manage hawse'
complete -c hawse -n '__hawse_argument_of 0 \'\'' -a tag -d 'Create a tag TARGET_IMAGE that refers to SOURCE_IMAGE'
complete -c hawse -n '__hawse_argument_of 0 \'\'' -a top -d 'Display the running processes of a container'
complete -c hawse -n '__hawse_argument_of 0 \'\'' -a trace -d 'Say why SOURCE can or cannot reach TARGET'
complete -c hawse -n '__hawse_argument_of 0 \'\'' -a unpublish -d 'Unpublish ports of a container'
complete -c hawse -n '__hawse_argument_of 0 \'\'' -a version -d 'Show the hawse version information'
complete -c hawse -n '__hawse_argument_of 0 \'\'' -a wait -d 'Block until one or more containers stop, then print their exit codes'
complete -c hawse -n '__hawse_flags_of \'\'' -l config -x -a '(__hawse_offer directories)' -d 'Location of client config files; hawse has none'
complete -c hawse -n '__hawse_flags_of \'\'' -s c -l context -x -a '(__hawse_offer context)' -d 'Only "default", which is this host'
complete -c hawse -n '__hawse_flags_of \'\'' -s D -l debug -d 'Enable debug mode: show the traceback of an unexpected error'
complete -c hawse -n '__hawse_flags_of \'\'' -l dry-run -d 'Change nothing; show the commands that --explain would show'
complete -c hawse -n '__hawse_flags_of \'\'' -l explain -d 'Show the equivalent ip, bridge, nft and sysctl commands on stderr'
complete -c hawse -n '__hawse_flags_of \'\'' -l help -d 'Print usage'
complete -c hawse -n '__hawse_flags_of \'\'' -s H -l host -x -a '(__hawse_offer none)' -d 'Only a unix socket of this host (unix://…)'
complete -c hawse -n '__hawse_flags_of \'\'' -s l -l log-level -x -a '(__hawse_offer log-level)' -d 'Set the logging level'
complete -c hawse -n '__hawse_flags_of \'\'' -l no-color -d 'Never use colour, even on a terminal'
complete -c hawse -n '__hawse_flags_of \'\'' -s v -l version -d 'Print version information and quit'

complete -c hawse -n '__hawse_flags_of \'attach\' \'container attach\'' -l detach-keys -x -a '(__hawse_offer detach-keys)' -d 'Override the key sequence for detaching a container'
complete -c hawse -n '__hawse_flags_of \'attach\' \'container attach\'' -l help -d 'Print usage'
complete -c hawse -n '__hawse_flags_of \'attach\' \'container attach\'' -l no-stdin -d 'Do not attach STDIN'
complete -c hawse -n '__hawse_flags_of \'attach\' \'container attach\'' -l sig-proxy -d 'Proxy all received signals to the process'
complete -c hawse -n '__hawse_argument_of 0 \'attach\' \'container attach\'' -a '(__hawse_offer running)'

complete -c hawse -n '__hawse_flags_of \'completion\'' -l help -d 'Print usage'
complete -c hawse -n '__hawse_argument_of 0 \'completion\'' -a '(__hawse_offer shell)'

complete -c hawse -n '__hawse_argument_of 0 \'container\'' -a attach -d 'Attach local standard input, output, and error streams to a running container'
complete -c hawse -n '__hawse_argument_of 0 \'container\'' -a create -d 'Create a new container'
complete -c hawse -n '__hawse_argument_of 0 \'container\'' -a exec -d 'Execute a command in a running container'
complete -c hawse -n '__hawse_argument_of 0 \'container\'' -a inspect -d 'Display detailed information on one or more containers'
complete -c hawse -n '__hawse_argument_of 0 \'container\'' -a kill -d 'Kill one or more running containers'
complete -c hawse -n '__hawse_argument_of 0 \'container\'' -a logs -d 'Fetch the logs of a container'
complete -c hawse -n '__hawse_argument_of 0 \'container\'' -a ls -d 'List containers'
complete -c hawse -n '__hawse_argument_of 0 \'container\'' -a port -d 'List port mappings or a specific mapping for the container'
complete -c hawse -n '__hawse_argument_of 0 \'container\'' -a prune -d 'Remove all stopped containers'
complete -c hawse -n '__hawse_argument_of 0 \'container\'' -a publish -d 'Publish ports of an existing container'
complete -c hawse -n '__hawse_argument_of 0 \'container\'' -a rename -d 'Rename a container'
complete -c hawse -n '__hawse_argument_of 0 \'container\'' -a restart -d 'Restart one or more containers'
complete -c hawse -n '__hawse_argument_of 0 \'container\'' -a rm -d 'Remove one or more containers'
complete -c hawse -n '__hawse_argument_of 0 \'container\'' -a run -d 'Create and run a new container from an image'
complete -c hawse -n '__hawse_argument_of 0 \'container\'' -a start -d 'Start one or more stopped containers'
complete -c hawse -n '__hawse_argument_of 0 \'container\'' -a stats -d 'Display a live stream of container(s) resource usage statistics'
complete -c hawse -n '__hawse_argument_of 0 \'container\'' -a stop -d 'Stop one or more running containers'
complete -c hawse -n '__hawse_argument_of 0 \'container\'' -a top -d 'Display the running processes of a container'
complete -c hawse -n '__hawse_argument_of 0 \'container\'' -a unpublish -d 'Unpublish ports of a container'
complete -c hawse -n '__hawse_argument_of 0 \'container\'' -a wait -d 'Block until one or more containers stop, then print their exit codes'
complete -c hawse -n '__hawse_argument_of 0 \'container\'; and __hawse_none_of attach create exec inspect kill logs ls port prune publish rename restart rm run start stats stop top unpublish wait' -a list -d 'same as ls'
complete -c hawse -n '__hawse_argument_of 0 \'container\'; and __hawse_none_of attach create exec inspect kill logs ls port prune publish rename restart rm run start stats stop top unpublish wait' -a ps -d 'same as ls'
complete -c hawse -n '__hawse_argument_of 0 \'container\'; and __hawse_none_of attach create exec inspect kill logs ls port prune publish rename restart rm run start stats stop top unpublish wait' -a remove -d 'same as rm'
complete -c hawse -n '__hawse_flags_of \'container\'' -l help -d 'Print usage'

complete -c hawse -n '__hawse_flags_of \'container create\' \'create\'' -l add-host -x -a '(__hawse_offer extra-host)' -d 'Add a custom host-to-IP mapping (host:ip)'
complete -c hawse -n '__hawse_flags_of \'container create\' \'create\'' -l annotation -x -a '(__hawse_offer none)' -d 'Add an annotation to the container (passed through to the OCI runtime)'
complete -c hawse -n '__hawse_flags_of \'container create\' \'create\'' -s a -l attach -x -a '(__hawse_offer stream)' -d 'Attach to STDIN, STDOUT or STDERR'
complete -c hawse -n '__hawse_flags_of \'container create\' \'create\'' -l blkio-weight -x -a '(__hawse_offer none)' -d 'Block IO (relative weight), between 10 and 1000, or 0 to disable (default 0)'
complete -c hawse -n '__hawse_flags_of \'container create\' \'create\'' -l blkio-weight-device -x -a '(__hawse_offer none)' -d 'Block IO weight (relative device weight)'
complete -c hawse -n '__hawse_flags_of \'container create\' \'create\'' -l cap-add -x -a '(__hawse_offer capability)' -d 'Add Linux capabilities'
complete -c hawse -n '__hawse_flags_of \'container create\' \'create\'' -l cap-drop -x -a '(__hawse_offer capability)' -d 'Drop Linux capabilities'
complete -c hawse -n '__hawse_flags_of \'container create\' \'create\'' -l cgroup-parent -x -a '(__hawse_offer none)' -d 'Optional parent cgroup for the container'
complete -c hawse -n '__hawse_flags_of \'container create\' \'create\'' -l cgroupns -x -a '(__hawse_offer host-private)' -d 'Cgroup namespace to use (host|private)'
complete -c hawse -n '__hawse_flags_of \'container create\' \'create\'' -l cidfile -x -a '(__hawse_offer files)' -d 'Write the container ID to the file'
complete -c hawse -n '__hawse_flags_of \'container create\' \'create\'' -l cpu-period -x -a '(__hawse_offer none)' -d 'Limit CPU CFS (Completely Fair Scheduler) period'
complete -c hawse -n '__hawse_flags_of \'container create\' \'create\'' -l cpu-quota -x -a '(__hawse_offer none)' -d 'Limit CPU CFS (Completely Fair Scheduler) quota'
complete -c hawse -n '__hawse_flags_of \'container create\' \'create\'' -l cpu-rt-period -x -a '(__hawse_offer none)' -d 'Limit CPU real-time period in microseconds'
complete -c hawse -n '__hawse_flags_of \'container create\' \'create\'' -l cpu-rt-runtime -x -a '(__hawse_offer none)' -d 'Limit CPU real-time runtime in microseconds'
complete -c hawse -n '__hawse_flags_of \'container create\' \'create\'' -s c -l cpu-shares -x -a '(__hawse_offer none)' -d 'CPU shares (relative weight)'
complete -c hawse -n '__hawse_flags_of \'container create\' \'create\'' -l cpus -x -a '(__hawse_offer none)' -d 'Number of CPUs'
complete -c hawse -n '__hawse_flags_of \'container create\' \'create\'' -l cpuset-cpus -x -a '(__hawse_offer none)' -d 'CPUs in which to allow execution (0-3, 0,1)'
complete -c hawse -n '__hawse_flags_of \'container create\' \'create\'' -l cpuset-mems -x -a '(__hawse_offer none)' -d 'MEMs in which to allow execution (0-3, 0,1)'
complete -c hawse -n '__hawse_flags_of \'container create\' \'create\'' -l device -x -a '(__hawse_offer none)' -d 'Add a host device to the container'
complete -c hawse -n '__hawse_flags_of \'container create\' \'create\'' -l device-cgroup-rule -x -a '(__hawse_offer none)' -d 'Add a rule to the cgroup allowed devices list'
complete -c hawse -n '__hawse_flags_of \'container create\' \'create\'' -l device-read-bps -x -a '(__hawse_offer none)' -d 'Limit read rate (bytes per second) from a device'
complete -c hawse -n '__hawse_flags_of \'container create\' \'create\'' -l device-read-iops -x -a '(__hawse_offer none)' -d 'Limit read rate (IO per second) from a device'
complete -c hawse -n '__hawse_flags_of \'container create\' \'create\'' -l device-write-bps -x -a '(__hawse_offer none)' -d 'Limit write rate (bytes per second) to a device'
complete -c hawse -n '__hawse_flags_of \'container create\' \'create\'' -l device-write-iops -x -a '(__hawse_offer none)' -d 'Limit write rate (IO per second) to a device'
complete -c hawse -n '__hawse_flags_of \'container create\' \'create\'' -l disable-content-trust -d 'Skip image verification'
complete -c hawse -n '__hawse_flags_of \'container create\' \'create\'' -l dns -x -a '(__hawse_offer none)' -d 'Set custom DNS servers'
complete -c hawse -n '__hawse_flags_of \'container create\' \'create\'' -l dns-option -x -a '(__hawse_offer resolver-option)' -d 'Set DNS options'
complete -c hawse -n '__hawse_flags_of \'container create\' \'create\'' -l dns-search -x -a '(__hawse_offer none)' -d 'Set custom DNS search domains'
complete -c hawse -n '__hawse_flags_of \'container create\' \'create\'' -l domainname -x -a '(__hawse_offer none)' -d 'Container NIS domain name'
complete -c hawse -n '__hawse_flags_of \'container create\' \'create\'' -l entrypoint -x -a '(__hawse_offer none)' -d 'Overwrite the default ENTRYPOINT of the image'
complete -c hawse -n '__hawse_flags_of \'container create\' \'create\'' -s e -l env -x -a '(__hawse_offer environment)' -d 'Set environment variables'
complete -c hawse -n '__hawse_flags_of \'container create\' \'create\'' -l env-file -x -a '(__hawse_offer files)' -d 'Read in a file of environment variables'
complete -c hawse -n '__hawse_flags_of \'container create\' \'create\'' -l expose -x -a '(__hawse_offer none)' -d 'Expose a port or a range of ports'
complete -c hawse -n '__hawse_flags_of \'container create\' \'create\'' -l gpus -x -a '(__hawse_offer none)' -d 'GPU devices to add to the container (\'all\' to pass all GPUs)'
complete -c hawse -n '__hawse_flags_of \'container create\' \'create\'' -l group-add -x -a '(__hawse_offer none)' -d 'Add additional groups to join'
complete -c hawse -n '__hawse_flags_of \'container create\' \'create\'' -l health-cmd -x -a '(__hawse_offer none)' -d 'Command to run to check health'
complete -c hawse -n '__hawse_flags_of \'container create\' \'create\'' -l health-interval -x -a '(__hawse_offer none)' -d 'Time between running the check (ms|s|m|h) (default 0s)'
complete -c hawse -n '__hawse_flags_of \'container create\' \'create\'' -l health-retries -x -a '(__hawse_offer none)' -d 'Consecutive failures needed to report unhealthy'
complete -c hawse -n '__hawse_flags_of \'container create\' \'create\'' -l health-start-interval -x -a '(__hawse_offer none)' -d 'Time between running the check during the start period (ms|s|m|h) (default 0s)'
complete -c hawse -n '__hawse_flags_of \'container create\' \'create\'' -l health-start-period -x -a '(__hawse_offer none)' -d 'Start period for the container to initialize before starting health-retries countdown (ms|s|m|h) (default 0s)'
complete -c hawse -n '__hawse_flags_of \'container create\' \'create\'' -l health-timeout -x -a '(__hawse_offer none)' -d 'Maximum time to allow one check to run (ms|s|m|h) (default 0s)'
complete -c hawse -n '__hawse_flags_of \'container create\' \'create\'' -l help -d 'Print usage'
complete -c hawse -n '__hawse_flags_of \'container create\' \'create\'' -s h -l hostname -x -a '(__hawse_offer none)' -d 'Container host name'
complete -c hawse -n '__hawse_flags_of \'container create\' \'create\'' -l init -d 'Run an init inside the container that forwards signals and reaps processes'
complete -c hawse -n '__hawse_flags_of \'container create\' \'create\'' -s i -l interactive -d 'Keep STDIN open even if not attached'
complete -c hawse -n '__hawse_flags_of \'container create\' \'create\'' -l ip -x -a '(__hawse_offer none)' -d 'IPv4 address (e.g., 172.30.100.104)'
complete -c hawse -n '__hawse_flags_of \'container create\' \'create\'' -l ip6 -x -a '(__hawse_offer none)' -d 'IPv6 address (e.g., 2001:db8::33)'
complete -c hawse -n '__hawse_flags_of \'container create\' \'create\'' -l ipc -x -a '(__hawse_offer none)' -d 'IPC mode to use'
complete -c hawse -n '__hawse_flags_of \'container create\' \'create\'' -l isolation -x -a '(__hawse_offer none)' -d 'Container isolation technology'
complete -c hawse -n '__hawse_flags_of \'container create\' \'create\'' -l kernel-memory -x -a '(__hawse_offer none)' -d 'Kernel memory limit'
complete -c hawse -n '__hawse_flags_of \'container create\' \'create\'' -s l -l label -x -a '(__hawse_offer none)' -d 'Set meta data on a container'
complete -c hawse -n '__hawse_flags_of \'container create\' \'create\'' -l label-file -x -a '(__hawse_offer files)' -d 'Read in a line delimited file of labels'
complete -c hawse -n '__hawse_flags_of \'container create\' \'create\'' -l link -x -a '(__hawse_offer running)' -d 'Add link to another container'
complete -c hawse -n '__hawse_flags_of \'container create\' \'create\'' -l link-local-ip -x -a '(__hawse_offer none)' -d 'Container IPv4/IPv6 link-local addresses'
complete -c hawse -n '__hawse_flags_of \'container create\' \'create\'' -l log-driver -x -a '(__hawse_offer log-driver)' -d 'Logging driver for the container'
complete -c hawse -n '__hawse_flags_of \'container create\' \'create\'' -l log-opt -x -a '(__hawse_offer log-option)' -d 'Log driver options'
complete -c hawse -n '__hawse_flags_of \'container create\' \'create\'' -l mac-address -x -a '(__hawse_offer none)' -d 'Container MAC address (e.g., 92:d0:c6:0a:29:33)'
complete -c hawse -n '__hawse_flags_of \'container create\' \'create\'' -s m -l memory -x -a '(__hawse_offer none)' -d 'Memory limit'
complete -c hawse -n '__hawse_flags_of \'container create\' \'create\'' -l memory-reservation -x -a '(__hawse_offer none)' -d 'Memory soft limit'
complete -c hawse -n '__hawse_flags_of \'container create\' \'create\'' -l memory-swap -x -a '(__hawse_offer none)' -d 'Swap limit equal to memory plus swap: \'-1\' to enable unlimited swap'
complete -c hawse -n '__hawse_flags_of \'container create\' \'create\'' -l memory-swappiness -x -a '(__hawse_offer none)' -d 'Tune container memory swappiness (0 to 100)'
complete -c hawse -n '__hawse_flags_of \'container create\' \'create\'' -l mount -x -a '(__hawse_offer mount)' -d 'Attach a filesystem mount to the container'
complete -c hawse -n '__hawse_flags_of \'container create\' \'create\'' -l name -x -a '(__hawse_offer none)' -d 'Assign a name to the container'
complete -c hawse -n '__hawse_flags_of \'container create\' \'create\'' -l network -x -a '(__hawse_offer network-mode)' -d 'Connect a container to a network'
complete -c hawse -n '__hawse_flags_of \'container create\' \'create\'' -l network-alias -x -a '(__hawse_offer none)' -d 'Add network-scoped alias for the container'
complete -c hawse -n '__hawse_flags_of \'container create\' \'create\'' -l no-healthcheck -d 'Disable any container-specified HEALTHCHECK'
complete -c hawse -n '__hawse_flags_of \'container create\' \'create\'' -l oom-kill-disable -d 'Disable OOM Killer'
complete -c hawse -n '__hawse_flags_of \'container create\' \'create\'' -l oom-score-adj -x -a '(__hawse_offer none)' -d 'Tune host\'s OOM preferences (-1000 to 1000)'
complete -c hawse -n '__hawse_flags_of \'container create\' \'create\'' -l pid -x -a '(__hawse_offer host-mode)' -d 'PID namespace to use'
complete -c hawse -n '__hawse_flags_of \'container create\' \'create\'' -l pids-limit -x -a '(__hawse_offer none)' -d 'Tune container pids limit (set -1 for unlimited)'
complete -c hawse -n '__hawse_flags_of \'container create\' \'create\'' -l platform -x -a '(__hawse_offer none)' -d 'Set platform if server is multi-platform capable'
complete -c hawse -n '__hawse_flags_of \'container create\' \'create\'' -l privileged -d 'Give extended privileges to this container'
complete -c hawse -n '__hawse_flags_of \'container create\' \'create\'' -s p -l publish -x -a '(__hawse_offer none)' -d 'Publish a container\'s port(s) to the host'
complete -c hawse -n '__hawse_flags_of \'container create\' \'create\'' -s P -l publish-all -d 'Publish all exposed ports to random ports'
complete -c hawse -n '__hawse_flags_of \'container create\' \'create\'' -l pull -x -a '(__hawse_offer pull)' -d 'Pull image before creating ("always", "|missing", "never")'
complete -c hawse -n '__hawse_flags_of \'container create\' \'create\'' -s q -l quiet -d 'Suppress the pull output'
complete -c hawse -n '__hawse_flags_of \'container create\' \'create\'' -l read-only -d 'Mount the container\'s root filesystem as read only'
complete -c hawse -n '__hawse_flags_of \'container create\' \'create\'' -l restart -x -a '(__hawse_offer restart)' -d 'Restart policy to apply when a container exits'
complete -c hawse -n '__hawse_flags_of \'container create\' \'create\'' -l rm -d 'Automatically remove the container when it exits'
complete -c hawse -n '__hawse_flags_of \'container create\' \'create\'' -l runtime -x -a '(__hawse_offer none)' -d 'Runtime to use for this container'
complete -c hawse -n '__hawse_flags_of \'container create\' \'create\'' -l security-opt -x -a '(__hawse_offer security)' -d 'Security Options'
complete -c hawse -n '__hawse_flags_of \'container create\' \'create\'' -l shm-size -x -a '(__hawse_offer none)' -d 'Size of /dev/shm'
complete -c hawse -n '__hawse_flags_of \'container create\' \'create\'' -l stop-signal -x -a '(__hawse_offer signal)' -d 'Signal to stop the container'
complete -c hawse -n '__hawse_flags_of \'container create\' \'create\'' -l stop-timeout -x -a '(__hawse_offer none)' -d 'Timeout (in seconds) to stop a container'
complete -c hawse -n '__hawse_flags_of \'container create\' \'create\'' -l storage-opt -x -a '(__hawse_offer none)' -d 'Storage driver options for the container'
complete -c hawse -n '__hawse_flags_of \'container create\' \'create\'' -l sysctl -x -a '(__hawse_offer sysctl)' -d 'Sysctl options'
complete -c hawse -n '__hawse_flags_of \'container create\' \'create\'' -l tmpfs -x -a '(__hawse_offer none)' -d 'Mount a tmpfs directory'
complete -c hawse -n '__hawse_flags_of \'container create\' \'create\'' -s t -l tty -d 'Allocate a pseudo-TTY'
complete -c hawse -n '__hawse_flags_of \'container create\' \'create\'' -l ulimit -x -a '(__hawse_offer ulimit)' -d 'Ulimit options'
complete -c hawse -n '__hawse_flags_of \'container create\' \'create\'' -s u -l user -x -a '(__hawse_offer none)' -d 'Username or UID (format: <name|uid>[:<group|gid>])'
complete -c hawse -n '__hawse_flags_of \'container create\' \'create\'' -l userns -x -a '(__hawse_offer host-mode)' -d 'User namespace to use'
complete -c hawse -n '__hawse_flags_of \'container create\' \'create\'' -l uts -x -a '(__hawse_offer none)' -d 'UTS namespace to use'
complete -c hawse -n '__hawse_flags_of \'container create\' \'create\'' -s v -l volume -x -a '(__hawse_offer files)' -d 'Bind mount a volume'
complete -c hawse -n '__hawse_flags_of \'container create\' \'create\'' -l volume-driver -x -a '(__hawse_offer none)' -d 'Optional volume driver for the container'
complete -c hawse -n '__hawse_flags_of \'container create\' \'create\'' -l volumes-from -x -a '(__hawse_offer none)' -d 'Mount volumes from the specified container(s)'
complete -c hawse -n '__hawse_flags_of \'container create\' \'create\'' -s w -l workdir -x -a '(__hawse_offer none)' -d 'Working directory inside the container'
complete -c hawse -n '__hawse_argument_of 0 \'container create\' \'create\'' -a '(__hawse_offer rootfs)'
complete -c hawse -n '__hawse_argument_of 1+ \'container create\' \'create\'' -a '(__hawse_offer command)'

complete -c hawse -n '__hawse_flags_of \'container exec\' \'exec\'' -s d -l detach -d 'Detached mode: run command in the background'
complete -c hawse -n '__hawse_flags_of \'container exec\' \'exec\'' -l detach-keys -x -a '(__hawse_offer detach-keys)' -d 'Override the key sequence for detaching a container'
complete -c hawse -n '__hawse_flags_of \'container exec\' \'exec\'' -s e -l env -x -a '(__hawse_offer environment)' -d 'Set environment variables'
complete -c hawse -n '__hawse_flags_of \'container exec\' \'exec\'' -l env-file -x -a '(__hawse_offer files)' -d 'Read in a file of environment variables'
complete -c hawse -n '__hawse_flags_of \'container exec\' \'exec\'' -l help -d 'Print usage'
complete -c hawse -n '__hawse_flags_of \'container exec\' \'exec\'' -s i -l interactive -d 'Keep STDIN open even if not attached'
complete -c hawse -n '__hawse_flags_of \'container exec\' \'exec\'' -l privileged -d 'Give extended privileges to the command'
complete -c hawse -n '__hawse_flags_of \'container exec\' \'exec\'' -s t -l tty -d 'Allocate a pseudo-TTY'
complete -c hawse -n '__hawse_flags_of \'container exec\' \'exec\'' -s u -l user -x -a '(__hawse_offer none)' -d 'Username or UID (format: "<name|uid>[:<group|gid>]")'
complete -c hawse -n '__hawse_flags_of \'container exec\' \'exec\'' -s w -l workdir -x -a '(__hawse_offer none)' -d 'Working directory inside the container'
complete -c hawse -n '__hawse_argument_of 0 \'container exec\' \'exec\'' -a '(__hawse_offer running)'
complete -c hawse -n '__hawse_argument_of 1+ \'container exec\' \'exec\'' -a '(__hawse_offer command)'

complete -c hawse -n '__hawse_flags_of \'container inspect\'' -s f -l format -x -a '(__hawse_offer container-document-format)' -d 'Format output using a custom template'
complete -c hawse -n '__hawse_flags_of \'container inspect\'' -l help -d 'Print usage'
complete -c hawse -n '__hawse_flags_of \'container inspect\'' -s s -l size -d 'Display total file sizes'
complete -c hawse -n '__hawse_argument_of 0+ \'container inspect\'' -a '(__hawse_offer more-containers)'

complete -c hawse -n '__hawse_flags_of \'container kill\' \'kill\'' -l help -d 'Print usage'
complete -c hawse -n '__hawse_flags_of \'container kill\' \'kill\'' -s s -l signal -x -a '(__hawse_offer signal)' -d 'Signal to send to the container'
complete -c hawse -n '__hawse_argument_of 0+ \'container kill\' \'kill\'' -a '(__hawse_offer more-running)'

complete -c hawse -n '__hawse_flags_of \'container logs\' \'logs\'' -l details -d 'Show extra details provided to logs'
complete -c hawse -n '__hawse_flags_of \'container logs\' \'logs\'' -s f -l follow -d 'Follow log output'
complete -c hawse -n '__hawse_flags_of \'container logs\' \'logs\'' -l help -d 'Print usage'
complete -c hawse -n '__hawse_flags_of \'container logs\' \'logs\'' -l since -x -a '(__hawse_offer none)' -d 'Show logs since timestamp (e.g. "2013-01-02T13:23:37Z") or relative (e.g. "42m" for 42 minutes)'
complete -c hawse -n '__hawse_flags_of \'container logs\' \'logs\'' -s n -l tail -x -a '(__hawse_offer tail)' -d 'Number of lines to show from the end of the logs'
complete -c hawse -n '__hawse_flags_of \'container logs\' \'logs\'' -s t -l timestamps -d 'Show timestamps'
complete -c hawse -n '__hawse_flags_of \'container logs\' \'logs\'' -l until -x -a '(__hawse_offer none)' -d 'Show logs before a timestamp (e.g. "2013-01-02T13:23:37Z") or relative (e.g. "42m" for 42 minutes)'
complete -c hawse -n '__hawse_argument_of 0 \'container logs\' \'logs\'' -a '(__hawse_offer containers)'

complete -c hawse -n '__hawse_flags_of \'container ls\'' -s a -l all -d 'Show all containers (default shows just running)'
complete -c hawse -n '__hawse_flags_of \'container ls\'' -s f -l filter -x -a '(__hawse_offer container-filter)' -d 'Filter output based on conditions provided'
complete -c hawse -n '__hawse_flags_of \'container ls\'' -l format -x -a '(__hawse_offer container-format)' -d 'Format output using a custom template'
complete -c hawse -n '__hawse_flags_of \'container ls\'' -l help -d 'Print usage'
complete -c hawse -n '__hawse_flags_of \'container ls\'' -s n -l last -x -a '(__hawse_offer none)' -d 'Show n last created containers (includes all states)'
complete -c hawse -n '__hawse_flags_of \'container ls\'' -s l -l latest -d 'Show the latest created container (includes all states)'
complete -c hawse -n '__hawse_flags_of \'container ls\'' -l no-trunc -d 'Don\'t truncate output'
complete -c hawse -n '__hawse_flags_of \'container ls\'' -s q -l quiet -d 'Only display container IDs'
complete -c hawse -n '__hawse_flags_of \'container ls\'' -s s -l size -d 'Display total file sizes'

complete -c hawse -n '__hawse_flags_of \'container port\' \'port\'' -l help -d 'Print usage'
complete -c hawse -n '__hawse_argument_of 0 \'container port\' \'port\'' -a '(__hawse_offer containers)'
complete -c hawse -n '__hawse_argument_of 1 \'container port\' \'port\'' -a '(__hawse_offer ports)'

complete -c hawse -n '__hawse_flags_of \'container prune\'' -l filter -x -a '(__hawse_offer container-prune-filter)' -d 'Provide filter values (e.g. "until=<timestamp>")'
complete -c hawse -n '__hawse_flags_of \'container prune\'' -s f -l force -d 'Do not prompt for confirmation'
complete -c hawse -n '__hawse_flags_of \'container prune\'' -l help -d 'Print usage'

complete -c hawse -n '__hawse_flags_of \'container publish\' \'publish\'' -l help -d 'Print usage'
complete -c hawse -n '__hawse_flags_of \'container publish\' \'publish\'' -s p -l publish -x -a '(__hawse_offer none)' -d 'Publish a container\'s port(s) to the host'
complete -c hawse -n '__hawse_argument_of 0 \'container publish\' \'publish\'' -a '(__hawse_offer containers)'

complete -c hawse -n '__hawse_flags_of \'container rename\' \'rename\'' -l help -d 'Print usage'
complete -c hawse -n '__hawse_argument_of 0 \'container rename\' \'rename\'' -a '(__hawse_offer containers)'

complete -c hawse -n '__hawse_flags_of \'container restart\' \'restart\'' -l help -d 'Print usage'
complete -c hawse -n '__hawse_flags_of \'container restart\' \'restart\'' -s s -l signal -x -a '(__hawse_offer signal)' -d 'Signal to send to the container'
complete -c hawse -n '__hawse_flags_of \'container restart\' \'restart\'' -s t -l time -x -a '(__hawse_offer none)' -d 'Seconds to wait before killing the container'
complete -c hawse -n '__hawse_argument_of 0+ \'container restart\' \'restart\'' -a '(__hawse_offer more-containers)'

complete -c hawse -n '__hawse_flags_of \'container rm\' \'rm\'' -s f -l force -d 'Force the removal of a running container (uses SIGKILL)'
complete -c hawse -n '__hawse_flags_of \'container rm\' \'rm\'' -l help -d 'Print usage'
complete -c hawse -n '__hawse_flags_of \'container rm\' \'rm\'' -s l -l link -d 'Remove the specified link'
complete -c hawse -n '__hawse_flags_of \'container rm\' \'rm\'' -s v -l volumes -d 'Remove anonymous volumes associated with the container'
complete -c hawse -n '__hawse_argument_of 0+ \'container rm\' \'rm\'' -a '(__hawse_offer more-containers)'

complete -c hawse -n '__hawse_flags_of \'container run\' \'run\'' -l add-host -x -a '(__hawse_offer extra-host)' -d 'Add a custom host-to-IP mapping (host:ip)'
complete -c hawse -n '__hawse_flags_of \'container run\' \'run\'' -l annotation -x -a '(__hawse_offer none)' -d 'Add an annotation to the container (passed through to the OCI runtime)'
complete -c hawse -n '__hawse_flags_of \'container run\' \'run\'' -s a -l attach -x -a '(__hawse_offer stream)' -d 'Attach to STDIN, STDOUT or STDERR'
complete -c hawse -n '__hawse_flags_of \'container run\' \'run\'' -l blkio-weight -x -a '(__hawse_offer none)' -d 'Block IO (relative weight), between 10 and 1000, or 0 to disable (default 0)'
complete -c hawse -n '__hawse_flags_of \'container run\' \'run\'' -l blkio-weight-device -x -a '(__hawse_offer none)' -d 'Block IO weight (relative device weight)'
complete -c hawse -n '__hawse_flags_of \'container run\' \'run\'' -l cap-add -x -a '(__hawse_offer capability)' -d 'Add Linux capabilities'
complete -c hawse -n '__hawse_flags_of \'container run\' \'run\'' -l cap-drop -x -a '(__hawse_offer capability)' -d 'Drop Linux capabilities'
complete -c hawse -n '__hawse_flags_of \'container run\' \'run\'' -l cgroup-parent -x -a '(__hawse_offer none)' -d 'Optional parent cgroup for the container'
complete -c hawse -n '__hawse_flags_of \'container run\' \'run\'' -l cgroupns -x -a '(__hawse_offer host-private)' -d 'Cgroup namespace to use (host|private)'
complete -c hawse -n '__hawse_flags_of \'container run\' \'run\'' -l cidfile -x -a '(__hawse_offer files)' -d 'Write the container ID to the file'
complete -c hawse -n '__hawse_flags_of \'container run\' \'run\'' -l cpu-period -x -a '(__hawse_offer none)' -d 'Limit CPU CFS (Completely Fair Scheduler) period'
complete -c hawse -n '__hawse_flags_of \'container run\' \'run\'' -l cpu-quota -x -a '(__hawse_offer none)' -d 'Limit CPU CFS (Completely Fair Scheduler) quota'
complete -c hawse -n '__hawse_flags_of \'container run\' \'run\'' -l cpu-rt-period -x -a '(__hawse_offer none)' -d 'Limit CPU real-time period in microseconds'
complete -c hawse -n '__hawse_flags_of \'container run\' \'run\'' -l cpu-rt-runtime -x -a '(__hawse_offer none)' -d 'Limit CPU real-time runtime in microseconds'
complete -c hawse -n '__hawse_flags_of \'container run\' \'run\'' -s c -l cpu-shares -x -a '(__hawse_offer none)' -d 'CPU shares (relative weight)'
complete -c hawse -n '__hawse_flags_of \'container run\' \'run\'' -l cpus -x -a '(__hawse_offer none)' -d 'Number of CPUs'
complete -c hawse -n '__hawse_flags_of \'container run\' \'run\'' -l cpuset-cpus -x -a '(__hawse_offer none)' -d 'CPUs in which to allow execution (0-3, 0,1)'
complete -c hawse -n '__hawse_flags_of \'container run\' \'run\'' -l cpuset-mems -x -a '(__hawse_offer none)' -d 'MEMs in which to allow execution (0-3, 0,1)'
complete -c hawse -n '__hawse_flags_of \'container run\' \'run\'' -s d -l detach -d 'Run container in background and print container ID'
complete -c hawse -n '__hawse_flags_of \'container run\' \'run\'' -l detach-keys -x -a '(__hawse_offer detach-keys)' -d 'Override the key sequence for detaching a container'
complete -c hawse -n '__hawse_flags_of \'container run\' \'run\'' -l device -x -a '(__hawse_offer none)' -d 'Add a host device to the container'
complete -c hawse -n '__hawse_flags_of \'container run\' \'run\'' -l device-cgroup-rule -x -a '(__hawse_offer none)' -d 'Add a rule to the cgroup allowed devices list'
complete -c hawse -n '__hawse_flags_of \'container run\' \'run\'' -l device-read-bps -x -a '(__hawse_offer none)' -d 'Limit read rate (bytes per second) from a device'
complete -c hawse -n '__hawse_flags_of \'container run\' \'run\'' -l device-read-iops -x -a '(__hawse_offer none)' -d 'Limit read rate (IO per second) from a device'
complete -c hawse -n '__hawse_flags_of \'container run\' \'run\'' -l device-write-bps -x -a '(__hawse_offer none)' -d 'Limit write rate (bytes per second) to a device'
complete -c hawse -n '__hawse_flags_of \'container run\' \'run\'' -l device-write-iops -x -a '(__hawse_offer none)' -d 'Limit write rate (IO per second) to a device'
complete -c hawse -n '__hawse_flags_of \'container run\' \'run\'' -l disable-content-trust -d 'Skip image verification'
complete -c hawse -n '__hawse_flags_of \'container run\' \'run\'' -l dns -x -a '(__hawse_offer none)' -d 'Set custom DNS servers'
complete -c hawse -n '__hawse_flags_of \'container run\' \'run\'' -l dns-option -x -a '(__hawse_offer resolver-option)' -d 'Set DNS options'
complete -c hawse -n '__hawse_flags_of \'container run\' \'run\'' -l dns-search -x -a '(__hawse_offer none)' -d 'Set custom DNS search domains'
complete -c hawse -n '__hawse_flags_of \'container run\' \'run\'' -l domainname -x -a '(__hawse_offer none)' -d 'Container NIS domain name'
complete -c hawse -n '__hawse_flags_of \'container run\' \'run\'' -l entrypoint -x -a '(__hawse_offer none)' -d 'Overwrite the default ENTRYPOINT of the image'
complete -c hawse -n '__hawse_flags_of \'container run\' \'run\'' -s e -l env -x -a '(__hawse_offer environment)' -d 'Set environment variables'
complete -c hawse -n '__hawse_flags_of \'container run\' \'run\'' -l env-file -x -a '(__hawse_offer files)' -d 'Read in a file of environment variables'
complete -c hawse -n '__hawse_flags_of \'container run\' \'run\'' -l expose -x -a '(__hawse_offer none)' -d 'Expose a port or a range of ports'
complete -c hawse -n '__hawse_flags_of \'container run\' \'run\'' -l gpus -x -a '(__hawse_offer none)' -d 'GPU devices to add to the container (\'all\' to pass all GPUs)'
complete -c hawse -n '__hawse_flags_of \'container run\' \'run\'' -l group-add -x -a '(__hawse_offer none)' -d 'Add additional groups to join'
complete -c hawse -n '__hawse_flags_of \'container run\' \'run\'' -l health-cmd -x -a '(__hawse_offer none)' -d 'Command to run to check health'
complete -c hawse -n '__hawse_flags_of \'container run\' \'run\'' -l health-interval -x -a '(__hawse_offer none)' -d 'Time between running the check (ms|s|m|h) (default 0s)'
complete -c hawse -n '__hawse_flags_of \'container run\' \'run\'' -l health-retries -x -a '(__hawse_offer none)' -d 'Consecutive failures needed to report unhealthy'
complete -c hawse -n '__hawse_flags_of \'container run\' \'run\'' -l health-start-interval -x -a '(__hawse_offer none)' -d 'Time between running the check during the start period (ms|s|m|h) (default 0s)'
complete -c hawse -n '__hawse_flags_of \'container run\' \'run\'' -l health-start-period -x -a '(__hawse_offer none)' -d 'Start period for the container to initialize before starting health-retries countdown (ms|s|m|h) (default 0s)'
complete -c hawse -n '__hawse_flags_of \'container run\' \'run\'' -l health-timeout -x -a '(__hawse_offer none)' -d 'Maximum time to allow one check to run (ms|s|m|h) (default 0s)'
complete -c hawse -n '__hawse_flags_of \'container run\' \'run\'' -l help -d 'Print usage'
complete -c hawse -n '__hawse_flags_of \'container run\' \'run\'' -s h -l hostname -x -a '(__hawse_offer none)' -d 'Container host name'
complete -c hawse -n '__hawse_flags_of \'container run\' \'run\'' -l init -d 'Run an init inside the container that forwards signals and reaps processes'
complete -c hawse -n '__hawse_flags_of \'container run\' \'run\'' -s i -l interactive -d 'Keep STDIN open even if not attached'
complete -c hawse -n '__hawse_flags_of \'container run\' \'run\'' -l ip -x -a '(__hawse_offer none)' -d 'IPv4 address (e.g., 172.30.100.104)'
complete -c hawse -n '__hawse_flags_of \'container run\' \'run\'' -l ip6 -x -a '(__hawse_offer none)' -d 'IPv6 address (e.g., 2001:db8::33)'
complete -c hawse -n '__hawse_flags_of \'container run\' \'run\'' -l ipc -x -a '(__hawse_offer none)' -d 'IPC mode to use'
complete -c hawse -n '__hawse_flags_of \'container run\' \'run\'' -l isolation -x -a '(__hawse_offer none)' -d 'Container isolation technology'
complete -c hawse -n '__hawse_flags_of \'container run\' \'run\'' -l kernel-memory -x -a '(__hawse_offer none)' -d 'Kernel memory limit'
complete -c hawse -n '__hawse_flags_of \'container run\' \'run\'' -s l -l label -x -a '(__hawse_offer none)' -d 'Set meta data on a container'
complete -c hawse -n '__hawse_flags_of \'container run\' \'run\'' -l label-file -x -a '(__hawse_offer files)' -d 'Read in a line delimited file of labels'
complete -c hawse -n '__hawse_flags_of \'container run\' \'run\'' -l link -x -a '(__hawse_offer running)' -d 'Add link to another container'
complete -c hawse -n '__hawse_flags_of \'container run\' \'run\'' -l link-local-ip -x -a '(__hawse_offer none)' -d 'Container IPv4/IPv6 link-local addresses'
complete -c hawse -n '__hawse_flags_of \'container run\' \'run\'' -l log-driver -x -a '(__hawse_offer log-driver)' -d 'Logging driver for the container'
complete -c hawse -n '__hawse_flags_of \'container run\' \'run\'' -l log-opt -x -a '(__hawse_offer log-option)' -d 'Log driver options'
complete -c hawse -n '__hawse_flags_of \'container run\' \'run\'' -l mac-address -x -a '(__hawse_offer none)' -d 'Container MAC address (e.g., 92:d0:c6:0a:29:33)'
complete -c hawse -n '__hawse_flags_of \'container run\' \'run\'' -s m -l memory -x -a '(__hawse_offer none)' -d 'Memory limit'
complete -c hawse -n '__hawse_flags_of \'container run\' \'run\'' -l memory-reservation -x -a '(__hawse_offer none)' -d 'Memory soft limit'
complete -c hawse -n '__hawse_flags_of \'container run\' \'run\'' -l memory-swap -x -a '(__hawse_offer none)' -d 'Swap limit equal to memory plus swap: \'-1\' to enable unlimited swap'
complete -c hawse -n '__hawse_flags_of \'container run\' \'run\'' -l memory-swappiness -x -a '(__hawse_offer none)' -d 'Tune container memory swappiness (0 to 100)'
complete -c hawse -n '__hawse_flags_of \'container run\' \'run\'' -l mount -x -a '(__hawse_offer mount)' -d 'Attach a filesystem mount to the container'
complete -c hawse -n '__hawse_flags_of \'container run\' \'run\'' -l name -x -a '(__hawse_offer none)' -d 'Assign a name to the container'
complete -c hawse -n '__hawse_flags_of \'container run\' \'run\'' -l network -x -a '(__hawse_offer network-mode)' -d 'Connect a container to a network'
complete -c hawse -n '__hawse_flags_of \'container run\' \'run\'' -l network-alias -x -a '(__hawse_offer none)' -d 'Add network-scoped alias for the container'
complete -c hawse -n '__hawse_flags_of \'container run\' \'run\'' -l no-healthcheck -d 'Disable any container-specified HEALTHCHECK'
complete -c hawse -n '__hawse_flags_of \'container run\' \'run\'' -l oom-kill-disable -d 'Disable OOM Killer'
complete -c hawse -n '__hawse_flags_of \'container run\' \'run\'' -l oom-score-adj -x -a '(__hawse_offer none)' -d 'Tune host\'s OOM preferences (-1000 to 1000)'
complete -c hawse -n '__hawse_flags_of \'container run\' \'run\'' -l pid -x -a '(__hawse_offer host-mode)' -d 'PID namespace to use'
complete -c hawse -n '__hawse_flags_of \'container run\' \'run\'' -l pids-limit -x -a '(__hawse_offer none)' -d 'Tune container pids limit (set -1 for unlimited)'
complete -c hawse -n '__hawse_flags_of \'container run\' \'run\'' -l platform -x -a '(__hawse_offer none)' -d 'Set platform if server is multi-platform capable'
complete -c hawse -n '__hawse_flags_of \'container run\' \'run\'' -l privileged -d 'Give extended privileges to this container'
complete -c hawse -n '__hawse_flags_of \'container run\' \'run\'' -s p -l publish -x -a '(__hawse_offer none)' -d 'Publish a container\'s port(s) to the host'
complete -c hawse -n '__hawse_flags_of \'container run\' \'run\'' -s P -l publish-all -d 'Publish all exposed ports to random ports'
complete -c hawse -n '__hawse_flags_of \'container run\' \'run\'' -l pull -x -a '(__hawse_offer pull)' -d 'Pull image before running ("always", "missing", "never")'
complete -c hawse -n '__hawse_flags_of \'container run\' \'run\'' -s q -l quiet -d 'Suppress the pull output'
complete -c hawse -n '__hawse_flags_of \'container run\' \'run\'' -l read-only -d 'Mount the container\'s root filesystem as read only'
complete -c hawse -n '__hawse_flags_of \'container run\' \'run\'' -l restart -x -a '(__hawse_offer restart)' -d 'Restart policy to apply when a container exits'
complete -c hawse -n '__hawse_flags_of \'container run\' \'run\'' -l rm -d 'Automatically remove the container when it exits'
complete -c hawse -n '__hawse_flags_of \'container run\' \'run\'' -l runtime -x -a '(__hawse_offer none)' -d 'Runtime to use for this container'
complete -c hawse -n '__hawse_flags_of \'container run\' \'run\'' -l security-opt -x -a '(__hawse_offer security)' -d 'Security Options'
complete -c hawse -n '__hawse_flags_of \'container run\' \'run\'' -l shm-size -x -a '(__hawse_offer none)' -d 'Size of /dev/shm'
complete -c hawse -n '__hawse_flags_of \'container run\' \'run\'' -l sig-proxy -d 'Proxy received signals to the process'
complete -c hawse -n '__hawse_flags_of \'container run\' \'run\'' -l stop-signal -x -a '(__hawse_offer signal)' -d 'Signal to stop the container'
complete -c hawse -n '__hawse_flags_of \'container run\' \'run\'' -l stop-timeout -x -a '(__hawse_offer none)' -d 'Timeout (in seconds) to stop a container'
complete -c hawse -n '__hawse_flags_of \'container run\' \'run\'' -l storage-opt -x -a '(__hawse_offer none)' -d 'Storage driver options for the container'
complete -c hawse -n '__hawse_flags_of \'container run\' \'run\'' -l sysctl -x -a '(__hawse_offer sysctl)' -d 'Sysctl options'
complete -c hawse -n '__hawse_flags_of \'container run\' \'run\'' -l tmpfs -x -a '(__hawse_offer none)' -d 'Mount a tmpfs directory'
complete -c hawse -n '__hawse_flags_of \'container run\' \'run\'' -s t -l tty -d 'Allocate a pseudo-TTY'
complete -c hawse -n '__hawse_flags_of \'container run\' \'run\'' -l ulimit -x -a '(__hawse_offer ulimit)' -d 'Ulimit options'
complete -c hawse -n '__hawse_flags_of \'container run\' \'run\'' -s u -l user -x -a '(__hawse_offer none)' -d 'Username or UID (format: <name|uid>[:<group|gid>])'
complete -c hawse -n '__hawse_flags_of \'container run\' \'run\'' -l userns -x -a '(__hawse_offer host-mode)' -d 'User namespace to use'
complete -c hawse -n '__hawse_flags_of \'container run\' \'run\'' -l uts -x -a '(__hawse_offer none)' -d 'UTS namespace to use'
complete -c hawse -n '__hawse_flags_of \'container run\' \'run\'' -s v -l volume -x -a '(__hawse_offer files)' -d 'Bind mount a volume'
complete -c hawse -n '__hawse_flags_of \'container run\' \'run\'' -l volume-driver -x -a '(__hawse_offer none)' -d 'Optional volume driver for the container'
complete -c hawse -n '__hawse_flags_of \'container run\' \'run\'' -l volumes-from -x -a '(__hawse_offer none)' -d 'Mount volumes from the specified container(s)'
complete -c hawse -n '__hawse_flags_of \'container run\' \'run\'' -s w -l workdir -x -a '(__hawse_offer none)' -d 'Working directory inside the container'
complete -c hawse -n '__hawse_argument_of 0 \'container run\' \'run\'' -a '(__hawse_offer rootfs)'
complete -c hawse -n '__hawse_argument_of 1+ \'container run\' \'run\'' -a '(__hawse_offer command)'

complete -c hawse -n '__hawse_flags_of \'container start\' \'start\'' -s a -l attach -d 'Attach STDOUT/STDERR and forward signals'
complete -c hawse -n '__hawse_flags_of \'container start\' \'start\'' -l detach-keys -x -a '(__hawse_offer detach-keys)' -d 'Override the key sequence for detaching a container'
complete -c hawse -n '__hawse_flags_of \'container start\' \'start\'' -l help -d 'Print usage'
complete -c hawse -n '__hawse_flags_of \'container start\' \'start\'' -s i -l interactive -d 'Attach container\'s STDIN'
complete -c hawse -n '__hawse_argument_of 0+ \'container start\' \'start\'' -a '(__hawse_offer more-stopped)'

complete -c hawse -n '__hawse_flags_of \'container stats\' \'stats\'' -s a -l all -d 'Show all containers (default shows just running)'
complete -c hawse -n '__hawse_flags_of \'container stats\' \'stats\'' -l format -x -a '(__hawse_offer stats-format)' -d 'Format output using a custom template'
complete -c hawse -n '__hawse_flags_of \'container stats\' \'stats\'' -l help -d 'Print usage'
complete -c hawse -n '__hawse_flags_of \'container stats\' \'stats\'' -l no-stream -d 'Disable streaming stats and only pull the first result'
complete -c hawse -n '__hawse_flags_of \'container stats\' \'stats\'' -l no-trunc -d 'Do not truncate output'
complete -c hawse -n '__hawse_argument_of 0+ \'container stats\' \'stats\'' -a '(__hawse_offer more-running)'

complete -c hawse -n '__hawse_flags_of \'container stop\' \'stop\'' -l help -d 'Print usage'
complete -c hawse -n '__hawse_flags_of \'container stop\' \'stop\'' -s s -l signal -x -a '(__hawse_offer signal)' -d 'Signal to send to the container'
complete -c hawse -n '__hawse_flags_of \'container stop\' \'stop\'' -s t -l time -x -a '(__hawse_offer none)' -d 'Seconds to wait before killing the container'
complete -c hawse -n '__hawse_argument_of 0+ \'container stop\' \'stop\'' -a '(__hawse_offer more-running)'

complete -c hawse -n '__hawse_flags_of \'container top\' \'top\'' -l help -d 'Print usage'
complete -c hawse -n '__hawse_argument_of 0 \'container top\' \'top\'' -a '(__hawse_offer running)'

complete -c hawse -n '__hawse_flags_of \'container unpublish\' \'unpublish\'' -l help -d 'Print usage'
complete -c hawse -n '__hawse_flags_of \'container unpublish\' \'unpublish\'' -s p -l publish -x -a '(__hawse_offer none)' -d 'Unpublish this port, given as it was published'
complete -c hawse -n '__hawse_argument_of 0 \'container unpublish\' \'unpublish\'' -a '(__hawse_offer containers)'
complete -c hawse -n '__hawse_argument_of 1+ \'container unpublish\' \'unpublish\'' -a '(__hawse_offer more-ports)'

complete -c hawse -n '__hawse_flags_of \'container wait\' \'wait\'' -l help -d 'Print usage'
complete -c hawse -n '__hawse_argument_of 0+ \'container wait\' \'wait\'' -a '(__hawse_offer more-containers)'

complete -c hawse -n '__hawse_argument_of 0 \'context\'' -a inspect -d 'Display detailed information on one or more contexts'
complete -c hawse -n '__hawse_argument_of 0 \'context\'' -a ls -d 'List contexts'
complete -c hawse -n '__hawse_argument_of 0 \'context\'' -a show -d 'Print the name of the current context'
complete -c hawse -n '__hawse_argument_of 0 \'context\'' -a use -d 'Set the current docker context'
complete -c hawse -n '__hawse_argument_of 0 \'context\'; and __hawse_none_of inspect ls show use' -a list -d 'same as ls'
complete -c hawse -n '__hawse_flags_of \'context\'' -l help -d 'Print usage'

complete -c hawse -n '__hawse_flags_of \'context inspect\'' -s f -l format -x -a '(__hawse_offer none)' -d 'Format output using a custom template'
complete -c hawse -n '__hawse_flags_of \'context inspect\'' -l help -d 'Print usage'
complete -c hawse -n '__hawse_argument_of 0+ \'context inspect\'' -a '(__hawse_offer context)'

complete -c hawse -n '__hawse_flags_of \'context ls\'' -l format -x -a '(__hawse_offer none)' -d 'Format output using a custom template'
complete -c hawse -n '__hawse_flags_of \'context ls\'' -l help -d 'Print usage'
complete -c hawse -n '__hawse_flags_of \'context ls\'' -s q -l quiet -d 'Only show context names'

complete -c hawse -n '__hawse_flags_of \'context show\'' -l help -d 'Print usage'

complete -c hawse -n '__hawse_flags_of \'context use\'' -l help -d 'Print usage'
complete -c hawse -n '__hawse_argument_of 0+ \'context use\'' -a '(__hawse_offer context)'

complete -c hawse -n '__hawse_flags_of \'doctor\'' -l fix -d 'Repair hawse\'s own objects, then check again'
complete -c hawse -n '__hawse_flags_of \'doctor\'' -l format -x -a '(__hawse_offer doctor-format)' -d '"json": one JSON document'
complete -c hawse -n '__hawse_flags_of \'doctor\'' -l help -d 'Print usage'

complete -c hawse -n '__hawse_flags_of \'events\' \'system events\'' -s f -l filter -x -a '(__hawse_offer event-filter)' -d 'Filter output based on conditions provided'
complete -c hawse -n '__hawse_flags_of \'events\' \'system events\'' -l format -x -a '(__hawse_offer event-format)' -d 'Format output using a custom template'
complete -c hawse -n '__hawse_flags_of \'events\' \'system events\'' -l help -d 'Print usage'
complete -c hawse -n '__hawse_flags_of \'events\' \'system events\'' -l since -x -a '(__hawse_offer recent)' -d 'Show all events created since timestamp'
complete -c hawse -n '__hawse_flags_of \'events\' \'system events\'' -l until -x -a '(__hawse_offer none)' -d 'Stream events until this timestamp'

complete -c hawse -n '__hawse_argument_of 0 \'image\'' -a import -d 'Import the contents from a tarball to create a filesystem image'
complete -c hawse -n '__hawse_argument_of 0 \'image\'' -a inspect -d 'Display detailed information on one or more images'
complete -c hawse -n '__hawse_argument_of 0 \'image\'' -a load -d 'Load an image from a tar archive or STDIN'
complete -c hawse -n '__hawse_argument_of 0 \'image\'' -a ls -d 'List images'
complete -c hawse -n '__hawse_argument_of 0 \'image\'' -a prune -d 'Remove unused images'
complete -c hawse -n '__hawse_argument_of 0 \'image\'' -a pull -d 'Download an image from a registry'
complete -c hawse -n '__hawse_argument_of 0 \'image\'' -a rm -d 'Remove one or more images'
complete -c hawse -n '__hawse_argument_of 0 \'image\'' -a save -d 'Save one or more images to a tar archive (streamed to STDOUT by default)'
complete -c hawse -n '__hawse_argument_of 0 \'image\'' -a tag -d 'Create a tag TARGET_IMAGE that refers to SOURCE_IMAGE'
complete -c hawse -n '__hawse_argument_of 0 \'image\'; and __hawse_none_of import inspect load ls prune pull rm save tag' -a list -d 'same as ls'
complete -c hawse -n '__hawse_argument_of 0 \'image\'; and __hawse_none_of import inspect load ls prune pull rm save tag' -a remove -d 'same as rm'
complete -c hawse -n '__hawse_flags_of \'image\'' -l help -d 'Print usage'

complete -c hawse -n '__hawse_flags_of \'image import\' \'import\'' -s c -l change -x -a '(__hawse_offer none)' -d 'Apply Dockerfile instruction to the created image'
complete -c hawse -n '__hawse_flags_of \'image import\' \'import\'' -l help -d 'Print usage'
complete -c hawse -n '__hawse_flags_of \'image import\' \'import\'' -s m -l message -x -a '(__hawse_offer none)' -d 'Set commit message for imported image'
complete -c hawse -n '__hawse_flags_of \'image import\' \'import\'' -l platform -x -a '(__hawse_offer none)' -d 'Set platform if server is multi-platform capable'
complete -c hawse -n '__hawse_argument_of 0 \'image import\' \'import\'' -a '(__hawse_offer archive)'
complete -c hawse -n '__hawse_argument_of 1 \'image import\' \'import\'' -a '(__hawse_offer images)'

complete -c hawse -n '__hawse_flags_of \'image inspect\'' -s f -l format -x -a '(__hawse_offer document-format)' -d 'Format output using a custom template'
complete -c hawse -n '__hawse_flags_of \'image inspect\'' -l help -d 'Print usage'
complete -c hawse -n '__hawse_argument_of 0+ \'image inspect\'' -a '(__hawse_offer more-images)'

complete -c hawse -n '__hawse_flags_of \'image load\' \'load\'' -l help -d 'Print usage'
complete -c hawse -n '__hawse_flags_of \'image load\' \'load\'' -s i -l input -x -a '(__hawse_offer none)' -d 'Read from tar archive file, instead of STDIN'
complete -c hawse -n '__hawse_flags_of \'image load\' \'load\'' -s q -l quiet -d 'Suppress the load output'

complete -c hawse -n '__hawse_flags_of \'image ls\'' -s a -l all -d 'Show all images (default hides intermediate images)'
complete -c hawse -n '__hawse_flags_of \'image ls\'' -l digests -d 'Show digests'
complete -c hawse -n '__hawse_flags_of \'image ls\'' -s f -l filter -x -a '(__hawse_offer image-filter)' -d 'Filter output based on conditions provided'
complete -c hawse -n '__hawse_flags_of \'image ls\'' -l format -x -a '(__hawse_offer image-format)' -d 'Format output using a custom template'
complete -c hawse -n '__hawse_flags_of \'image ls\'' -l help -d 'Print usage'
complete -c hawse -n '__hawse_flags_of \'image ls\'' -l no-trunc -d 'Don\'t truncate output'
complete -c hawse -n '__hawse_flags_of \'image ls\'' -s q -l quiet -d 'Only show image IDs'
complete -c hawse -n '__hawse_argument_of 0 \'image ls\'' -a '(__hawse_offer images)'

complete -c hawse -n '__hawse_flags_of \'image prune\'' -s a -l all -d 'Remove all unused images, not just dangling ones'
complete -c hawse -n '__hawse_flags_of \'image prune\'' -l filter -x -a '(__hawse_offer image-prune-filter)' -d 'Provide filter values (e.g. "until=<timestamp>")'
complete -c hawse -n '__hawse_flags_of \'image prune\'' -s f -l force -d 'Do not prompt for confirmation'
complete -c hawse -n '__hawse_flags_of \'image prune\'' -l help -d 'Print usage'

complete -c hawse -n '__hawse_flags_of \'image pull\' \'pull\'' -s a -l all-tags -d 'Download all tagged images in the repository'
complete -c hawse -n '__hawse_flags_of \'image pull\' \'pull\'' -l disable-content-trust -d 'Skip image verification'
complete -c hawse -n '__hawse_flags_of \'image pull\' \'pull\'' -l help -d 'Print usage'
complete -c hawse -n '__hawse_flags_of \'image pull\' \'pull\'' -l platform -x -a '(__hawse_offer none)' -d 'Set platform if server is multi-platform capable'
complete -c hawse -n '__hawse_flags_of \'image pull\' \'pull\'' -s q -l quiet -d 'Suppress verbose output'

complete -c hawse -n '__hawse_flags_of \'image rm\'' -s f -l force -d 'Force removal of the image'
complete -c hawse -n '__hawse_flags_of \'image rm\'' -l help -d 'Print usage'
complete -c hawse -n '__hawse_flags_of \'image rm\'' -l no-prune -d 'Do not delete untagged parents'
complete -c hawse -n '__hawse_argument_of 0+ \'image rm\'' -a '(__hawse_offer more-images)'

complete -c hawse -n '__hawse_flags_of \'image save\' \'save\'' -l help -d 'Print usage'
complete -c hawse -n '__hawse_flags_of \'image save\' \'save\'' -s o -l output -x -a '(__hawse_offer none)' -d 'Write to a file, instead of STDOUT'
complete -c hawse -n '__hawse_argument_of 0+ \'image save\' \'save\'' -a '(__hawse_offer more-images)'

complete -c hawse -n '__hawse_flags_of \'image tag\' \'tag\'' -l help -d 'Print usage'
complete -c hawse -n '__hawse_argument_of 0 \'image tag\' \'tag\'' -a '(__hawse_offer rootfs)'

complete -c hawse -n '__hawse_flags_of \'images\'' -s a -l all -d 'Show all images (default hides intermediate images)'
complete -c hawse -n '__hawse_flags_of \'images\'' -l digests -d 'Show digests'
complete -c hawse -n '__hawse_flags_of \'images\'' -s f -l filter -x -a '(__hawse_offer image-filter)' -d 'Filter output based on conditions provided'
complete -c hawse -n '__hawse_flags_of \'images\'' -l format -x -a '(__hawse_offer image-format)' -d 'Format output using a custom template'
complete -c hawse -n '__hawse_flags_of \'images\'' -l help -d 'Print usage'
complete -c hawse -n '__hawse_flags_of \'images\'' -l no-trunc -d 'Don\'t truncate output'
complete -c hawse -n '__hawse_flags_of \'images\'' -s q -l quiet -d 'Only show image IDs'
complete -c hawse -n '__hawse_argument_of 0 \'images\'' -a '(__hawse_offer images)'

complete -c hawse -n '__hawse_flags_of \'info\' \'system info\'' -s f -l format -x -a '(__hawse_offer system-format)' -d 'Format output using a custom template'
complete -c hawse -n '__hawse_flags_of \'info\' \'system info\'' -l help -d 'Print usage'

complete -c hawse -n '__hawse_flags_of \'inspect\'' -s f -l format -x -a '(__hawse_offer container-document-format)' -d 'Format output using a custom template'
complete -c hawse -n '__hawse_flags_of \'inspect\'' -l help -d 'Print usage'
complete -c hawse -n '__hawse_flags_of \'inspect\'' -s s -l size -d 'Display total file sizes if the type is container'
complete -c hawse -n '__hawse_flags_of \'inspect\'' -l type -x -a '(__hawse_offer object-type)' -d 'Return JSON for specified type'
complete -c hawse -n '__hawse_argument_of 0+ \'inspect\'' -a '(__hawse_offer anything)'

complete -c hawse -n '__hawse_argument_of 0 \'network\'' -a connect -d 'Connect a container to a network'
complete -c hawse -n '__hawse_argument_of 0 \'network\'' -a create -d 'Create a network'
complete -c hawse -n '__hawse_argument_of 0 \'network\'' -a disconnect -d 'Disconnect a container from a network'
complete -c hawse -n '__hawse_argument_of 0 \'network\'' -a inspect -d 'Display detailed information on one or more networks'
complete -c hawse -n '__hawse_argument_of 0 \'network\'' -a ls -d 'List networks'
complete -c hawse -n '__hawse_argument_of 0 \'network\'' -a map -d 'Show networks with their containers, addresses, names and ports'
complete -c hawse -n '__hawse_argument_of 0 \'network\'' -a prune -d 'Remove all unused networks'
complete -c hawse -n '__hawse_argument_of 0 \'network\'' -a rm -d 'Remove one or more networks'
complete -c hawse -n '__hawse_argument_of 0 \'network\'' -a verify -d 'Compare this host with the records of a network'
complete -c hawse -n '__hawse_argument_of 0 \'network\'; and __hawse_none_of connect create disconnect inspect ls map prune rm verify' -a list -d 'same as ls'
complete -c hawse -n '__hawse_argument_of 0 \'network\'; and __hawse_none_of connect create disconnect inspect ls map prune rm verify' -a remove -d 'same as rm'
complete -c hawse -n '__hawse_flags_of \'network\'' -l help -d 'Print usage'

complete -c hawse -n '__hawse_flags_of \'network connect\'' -l alias -x -a '(__hawse_offer none)' -d 'Add network-scoped alias for the container'
complete -c hawse -n '__hawse_flags_of \'network connect\'' -l default-route -x -a '(__hawse_offer default-route)' -d 'Use the network for the default route: "yes", "no", or "auto" (only without another one)'
complete -c hawse -n '__hawse_flags_of \'network connect\'' -l driver-opt -x -a '(__hawse_offer endpoint-option)' -d 'driver options for the network'
complete -c hawse -n '__hawse_flags_of \'network connect\'' -l force -d 'Connect a namespace even if it belongs to a host'
complete -c hawse -n '__hawse_flags_of \'network connect\'' -l gw-priority -x -a '(__hawse_offer none)' -d 'Highest gw-priority provides the default gateway'
complete -c hawse -n '__hawse_flags_of \'network connect\'' -l help -d 'Print usage'
complete -c hawse -n '__hawse_flags_of \'network connect\'' -l ip -x -a '(__hawse_offer none)' -d 'IPv4 address (e.g., "172.30.100.104")'
complete -c hawse -n '__hawse_flags_of \'network connect\'' -l ip6 -x -a '(__hawse_offer none)' -d 'IPv6 address (e.g., "2001:db8::33")'
complete -c hawse -n '__hawse_flags_of \'network connect\'' -l link -x -a '(__hawse_offer containers)' -d 'Add link to another container'
complete -c hawse -n '__hawse_flags_of \'network connect\'' -l link-local-ip -x -a '(__hawse_offer none)' -d 'Add a link-local address for the container'
complete -c hawse -n '__hawse_flags_of \'network connect\'' -l name -x -a '(__hawse_offer none)' -d 'Name of a namespace that hawse did not create'
complete -c hawse -n '__hawse_flags_of \'network connect\'' -s p -l publish -x -a '(__hawse_offer none)' -d 'Publish a container\'s port(s) to the host'
complete -c hawse -n '__hawse_flags_of \'network connect\'' -l restart -x -a '(__hawse_offer namespace-restart)' -d 'Connect a namespace again after a boot: "unless-stopped" (default) or "no"'
complete -c hawse -n '__hawse_argument_of 0 \'network connect\'' -a '(__hawse_offer connectable-networks)'
complete -c hawse -n '__hawse_argument_of 1 \'network connect\'' -a '(__hawse_offer strangers)'

complete -c hawse -n '__hawse_flags_of \'network create\'' -l attachable -d 'Enable manual container attachment'
complete -c hawse -n '__hawse_flags_of \'network create\'' -l aux-address -x -a '(__hawse_offer none)' -d 'Auxiliary IPv4 or IPv6 addresses used by Network driver'
complete -c hawse -n '__hawse_flags_of \'network create\'' -l config-from -x -a '(__hawse_offer config-networks)' -d 'The network from which to copy the configuration'
complete -c hawse -n '__hawse_flags_of \'network create\'' -l config-only -d 'Create a configuration only network'
complete -c hawse -n '__hawse_flags_of \'network create\'' -s d -l driver -x -a '(__hawse_offer driver)' -d 'Driver to manage the Network'
complete -c hawse -n '__hawse_flags_of \'network create\'' -l gateway -x -a '(__hawse_offer none)' -d 'IPv4 or IPv6 Gateway for the master subnet'
complete -c hawse -n '__hawse_flags_of \'network create\'' -l help -d 'Print usage'
complete -c hawse -n '__hawse_flags_of \'network create\'' -l ingress -d 'Create swarm routing-mesh network'
complete -c hawse -n '__hawse_flags_of \'network create\'' -l internal -d 'Restrict external access to the network'
complete -c hawse -n '__hawse_flags_of \'network create\'' -l ip-range -x -a '(__hawse_offer none)' -d 'Allocate container ip from a sub-range'
complete -c hawse -n '__hawse_flags_of \'network create\'' -l ipam-driver -x -a '(__hawse_offer ipam-driver)' -d 'IP Address Management Driver'
complete -c hawse -n '__hawse_flags_of \'network create\'' -l ipam-opt -x -a '(__hawse_offer none)' -d 'Set IPAM driver specific options'
complete -c hawse -n '__hawse_flags_of \'network create\'' -l ipv4 -d 'Enable or disable IPv4 address assignment'
complete -c hawse -n '__hawse_flags_of \'network create\'' -l ipv6 -d 'Enable IPv6 networking'
complete -c hawse -n '__hawse_flags_of \'network create\'' -l label -x -a '(__hawse_offer none)' -d 'Set metadata on a network'
complete -c hawse -n '__hawse_flags_of \'network create\'' -s o -l opt -x -a '(__hawse_offer driver-option)' -d 'Set driver specific options'
complete -c hawse -n '__hawse_flags_of \'network create\'' -l scope -x -a '(__hawse_offer scope)' -d 'Control the network\'s scope'
complete -c hawse -n '__hawse_flags_of \'network create\'' -l subnet -x -a '(__hawse_offer none)' -d 'Subnet in CIDR format that represents a network segment'

complete -c hawse -n '__hawse_flags_of \'network disconnect\'' -s f -l force -d 'Force the container to disconnect from a network'
complete -c hawse -n '__hawse_flags_of \'network disconnect\'' -l help -d 'Print usage'
complete -c hawse -n '__hawse_argument_of 0 \'network disconnect\'' -a '(__hawse_offer used-networks)'
complete -c hawse -n '__hawse_argument_of 1 \'network disconnect\'' -a '(__hawse_offer members)'

complete -c hawse -n '__hawse_flags_of \'network inspect\'' -s f -l format -x -a '(__hawse_offer network-document-format)' -d 'Format output using a custom template'
complete -c hawse -n '__hawse_flags_of \'network inspect\'' -l help -d 'Print usage'
complete -c hawse -n '__hawse_flags_of \'network inspect\'' -s v -l verbose -d 'Verbose output for diagnostics'
complete -c hawse -n '__hawse_argument_of 0+ \'network inspect\'' -a '(__hawse_offer more-networks)'

complete -c hawse -n '__hawse_flags_of \'network ls\'' -s f -l filter -x -a '(__hawse_offer network-filter)' -d 'Provide filter values (e.g. "driver=bridge")'
complete -c hawse -n '__hawse_flags_of \'network ls\'' -l format -x -a '(__hawse_offer network-format)' -d 'Format output using a custom template'
complete -c hawse -n '__hawse_flags_of \'network ls\'' -l help -d 'Print usage'
complete -c hawse -n '__hawse_flags_of \'network ls\'' -l no-trunc -d 'Do not truncate the output'
complete -c hawse -n '__hawse_flags_of \'network ls\'' -s q -l quiet -d 'Only display network IDs'

complete -c hawse -n '__hawse_flags_of \'network map\'' -l format -x -a '(__hawse_offer map-format)' -d '"tree" (default), "mermaid", "dot", "svg" or "json"'
complete -c hawse -n '__hawse_flags_of \'network map\'' -l help -d 'Print usage'
complete -c hawse -n '__hawse_argument_of 0+ \'network map\'' -a '(__hawse_offer more-networks)'

complete -c hawse -n '__hawse_flags_of \'network prune\'' -l filter -x -a '(__hawse_offer network-prune-filter)' -d 'Provide filter values (e.g. "until=<timestamp>")'
complete -c hawse -n '__hawse_flags_of \'network prune\'' -s f -l force -d 'Do not prompt for confirmation'
complete -c hawse -n '__hawse_flags_of \'network prune\'' -l help -d 'Print usage'

complete -c hawse -n '__hawse_flags_of \'network rm\'' -s f -l force -d 'Do not error if the network does not exist'
complete -c hawse -n '__hawse_flags_of \'network rm\'' -l help -d 'Print usage'
complete -c hawse -n '__hawse_argument_of 0+ \'network rm\'' -a '(__hawse_offer removable-networks)'

complete -c hawse -n '__hawse_flags_of \'network verify\'' -l fix -d 'Repair the differences'
complete -c hawse -n '__hawse_flags_of \'network verify\'' -l help -d 'Print usage'
complete -c hawse -n '__hawse_argument_of 0 \'network verify\'' -a '(__hawse_offer networks)'

complete -c hawse -n '__hawse_argument_of 0 \'node\'' -a inspect -d 'Display detailed information on one or more nodes'
complete -c hawse -n '__hawse_argument_of 0 \'node\'' -a ls -d 'List nodes in the swarm'
complete -c hawse -n '__hawse_argument_of 0 \'node\'' -a rm -d 'Remove one or more nodes from the swarm'
complete -c hawse -n '__hawse_argument_of 0 \'node\'; and __hawse_none_of inspect ls rm' -a list -d 'same as ls'
complete -c hawse -n '__hawse_argument_of 0 \'node\'; and __hawse_none_of inspect ls rm' -a remove -d 'same as rm'
complete -c hawse -n '__hawse_flags_of \'node\'' -l help -d 'Print usage'

complete -c hawse -n '__hawse_flags_of \'node inspect\'' -s f -l format -x -a '(__hawse_offer none)' -d 'Format output using a custom template'
complete -c hawse -n '__hawse_flags_of \'node inspect\'' -l help -d 'Print usage'
complete -c hawse -n '__hawse_flags_of \'node inspect\'' -l pretty -d 'Print the information in a human friendly format'

complete -c hawse -n '__hawse_flags_of \'node ls\'' -s f -l filter -x -a '(__hawse_offer none)' -d 'Filter output based on conditions provided'
complete -c hawse -n '__hawse_flags_of \'node ls\'' -l format -x -a '(__hawse_offer none)' -d 'Format output using a custom template'
complete -c hawse -n '__hawse_flags_of \'node ls\'' -l help -d 'Print usage'
complete -c hawse -n '__hawse_flags_of \'node ls\'' -s q -l quiet -d 'Only display IDs'

complete -c hawse -n '__hawse_flags_of \'node rm\'' -s f -l force -d 'Force remove a node from the swarm'
complete -c hawse -n '__hawse_flags_of \'node rm\'' -l help -d 'Print usage'

complete -c hawse -n '__hawse_flags_of \'ps\'' -s a -l all -d 'Show all containers (default shows just running)'
complete -c hawse -n '__hawse_flags_of \'ps\'' -s f -l filter -x -a '(__hawse_offer container-filter)' -d 'Filter output based on conditions provided'
complete -c hawse -n '__hawse_flags_of \'ps\'' -l format -x -a '(__hawse_offer container-format)' -d 'Format output using a custom template'
complete -c hawse -n '__hawse_flags_of \'ps\'' -l help -d 'Print usage'
complete -c hawse -n '__hawse_flags_of \'ps\'' -s n -l last -x -a '(__hawse_offer none)' -d 'Show n last created containers (includes all states)'
complete -c hawse -n '__hawse_flags_of \'ps\'' -s l -l latest -d 'Show the latest created container (includes all states)'
complete -c hawse -n '__hawse_flags_of \'ps\'' -l no-trunc -d 'Don\'t truncate output'
complete -c hawse -n '__hawse_flags_of \'ps\'' -s q -l quiet -d 'Only display container IDs'
complete -c hawse -n '__hawse_flags_of \'ps\'' -s s -l size -d 'Display total file sizes'

complete -c hawse -n '__hawse_flags_of \'rmi\'' -s f -l force -d 'Force removal of the image'
complete -c hawse -n '__hawse_flags_of \'rmi\'' -l help -d 'Print usage'
complete -c hawse -n '__hawse_flags_of \'rmi\'' -l no-prune -d 'Do not delete untagged parents'
complete -c hawse -n '__hawse_argument_of 0+ \'rmi\'' -a '(__hawse_offer more-images)'

complete -c hawse -n '__hawse_argument_of 0 \'swarm\'' -a init -d 'Initialize a swarm'
complete -c hawse -n '__hawse_argument_of 0 \'swarm\'' -a join -d 'Join a swarm as a node and/or manager'
complete -c hawse -n '__hawse_argument_of 0 \'swarm\'' -a join-token -d 'Manage join tokens'
complete -c hawse -n '__hawse_argument_of 0 \'swarm\'' -a leave -d 'Leave the swarm'
complete -c hawse -n '__hawse_flags_of \'swarm\'' -l help -d 'Print usage'

complete -c hawse -n '__hawse_flags_of \'swarm init\'' -l advertise-addr -x -a '(__hawse_offer none)' -d 'Advertised address (format: "<ip|interface>[:port]")'
complete -c hawse -n '__hawse_flags_of \'swarm init\'' -l cacert -x -a '(__hawse_offer files)' -d 'File with the CA certificate that verifies --store'
complete -c hawse -n '__hawse_flags_of \'swarm init\'' -l cert -x -a '(__hawse_offer files)' -d 'File with the client certificate for --store'
complete -c hawse -n '__hawse_flags_of \'swarm init\'' -l data-path-addr -x -a '(__hawse_offer none)' -d 'Address or interface to use for data path traffic (format: "<ip|interface>")'
complete -c hawse -n '__hawse_flags_of \'swarm init\'' -l default-addr-pool -x -a '(__hawse_offer none)' -d 'default address pool in CIDR format'
complete -c hawse -n '__hawse_flags_of \'swarm init\'' -l default-addr-pool-mask-length -x -a '(__hawse_offer none)' -d 'default address pool subnet mask length'
complete -c hawse -n '__hawse_flags_of \'swarm init\'' -l help -d 'Print usage'
complete -c hawse -n '__hawse_flags_of \'swarm init\'' -l key -x -a '(__hawse_offer files)' -d 'File with the private key of --cert'
complete -c hawse -n '__hawse_flags_of \'swarm init\'' -l store -x -a '(__hawse_offer none)' -d 'Use this etcd instead of starting a member (URLs, separated by commas)'

complete -c hawse -n '__hawse_flags_of \'swarm join\'' -l advertise-addr -x -a '(__hawse_offer none)' -d 'Advertised address (format: "<ip|interface>[:port]")'
complete -c hawse -n '__hawse_flags_of \'swarm join\'' -l data-path-addr -x -a '(__hawse_offer none)' -d 'Address or interface to use for data path traffic (format: "<ip|interface>")'
complete -c hawse -n '__hawse_flags_of \'swarm join\'' -l help -d 'Print usage'
complete -c hawse -n '__hawse_flags_of \'swarm join\'' -l manager -d 'Join as a manager; refuse a worker token'
complete -c hawse -n '__hawse_flags_of \'swarm join\'' -l token -x -a '(__hawse_offer none)' -d 'Token for entry into the swarm'

complete -c hawse -n '__hawse_flags_of \'swarm join-token\'' -l help -d 'Print usage'
complete -c hawse -n '__hawse_flags_of \'swarm join-token\'' -s q -l quiet -d 'Only display token'
complete -c hawse -n '__hawse_flags_of \'swarm join-token\'' -l rotate -d 'Rotate join token'
complete -c hawse -n '__hawse_argument_of 0 \'swarm join-token\'' -a '(__hawse_offer role)'

complete -c hawse -n '__hawse_flags_of \'swarm leave\'' -s f -l force -d 'Force this node to leave the swarm, ignoring warnings'
complete -c hawse -n '__hawse_flags_of \'swarm leave\'' -l help -d 'Print usage'

complete -c hawse -n '__hawse_argument_of 0 \'system\'' -a boot -d 'Restore networks, containers and adopted namespaces after a boot'
complete -c hawse -n '__hawse_argument_of 0 \'system\'' -a check -d 'Check the database of networks and containers'
complete -c hawse -n '__hawse_argument_of 0 \'system\'' -a df -d 'Show hawse disk usage'
complete -c hawse -n '__hawse_argument_of 0 \'system\'' -a events -d 'Get real time events from the server'
complete -c hawse -n '__hawse_argument_of 0 \'system\'' -a info -d 'Display system-wide information'
complete -c hawse -n '__hawse_argument_of 0 \'system\'' -a install -d 'Install units with which systemd starts the resident processes of hawse'
complete -c hawse -n '__hawse_argument_of 0 \'system\'' -a prune -d 'Remove unused data'
complete -c hawse -n '__hawse_argument_of 0 \'system\'' -a service -d 'Serve Docker\'s Engine API, so that docker, compose and other clients use hawse'
complete -c hawse -n '__hawse_argument_of 0 \'system\'' -a shutdown -d 'End all containers before the host shuts down'
complete -c hawse -n '__hawse_argument_of 0 \'system\'' -a uninstall -d 'Remove the units that hawse system install wrote'
complete -c hawse -n '__hawse_flags_of \'system\'' -l help -d 'Print usage'

complete -c hawse -n '__hawse_flags_of \'system boot\'' -l help -d 'Print usage'
complete -c hawse -n '__hawse_flags_of \'system boot\'' -l timeout -x -a '(__hawse_offer none)' -d 'Seconds to wait for the cluster\'s store'

complete -c hawse -n '__hawse_flags_of \'system check\'' -l help -d 'Print usage'
complete -c hawse -n '__hawse_flags_of \'system check\'' -l repair -d 'Repair the database; the old file is kept'

complete -c hawse -n '__hawse_flags_of \'system df\'' -l format -x -a '(__hawse_offer none)' -d 'Format output using a custom template'
complete -c hawse -n '__hawse_flags_of \'system df\'' -l help -d 'Print usage'
complete -c hawse -n '__hawse_flags_of \'system df\'' -s v -l verbose -d 'Show detailed information on space usage'

complete -c hawse -n '__hawse_flags_of \'system install\'' -l help -d 'Print usage'
complete -c hawse -n '__hawse_flags_of \'system install\'' -l root -x -a '(__hawse_offer none)' -d 'Write below this directory, for a system that is not running'

complete -c hawse -n '__hawse_flags_of \'system prune\'' -s a -l all -d 'Remove all unused images not just dangling ones'
complete -c hawse -n '__hawse_flags_of \'system prune\'' -l filter -x -a '(__hawse_offer none)' -d 'Provide filter values (e.g. "label=<key>=<value>")'
complete -c hawse -n '__hawse_flags_of \'system prune\'' -s f -l force -d 'Do not prompt for confirmation'
complete -c hawse -n '__hawse_flags_of \'system prune\'' -l help -d 'Print usage'
complete -c hawse -n '__hawse_flags_of \'system prune\'' -l volumes -d 'Prune anonymous volumes'

complete -c hawse -n '__hawse_flags_of \'system service\'' -l group -x -a '(__hawse_offer none)' -d 'Group that may use the socket; each of its members is then root on this host'
complete -c hawse -n '__hawse_flags_of \'system service\'' -l help -d 'Print usage'
complete -c hawse -n '__hawse_flags_of \'system service\'' -l host -x -a '(__hawse_offer none)' -d 'Address to listen on: unix://PATH, or tcp://HOST:PORT (only with TLS)'
complete -c hawse -n '__hawse_flags_of \'system service\'' -l socket -x -a '(__hawse_offer none)' -d 'Path of the unix socket (default HAWSE_RUN/docker.sock)'
complete -c hawse -n '__hawse_flags_of \'system service\'' -l tlscacert -x -a '(__hawse_offer none)' -d 'File with the CA certificate that verifies clients over TCP'
complete -c hawse -n '__hawse_flags_of \'system service\'' -l tlscert -x -a '(__hawse_offer none)' -d 'File with the certificate of this server'
complete -c hawse -n '__hawse_flags_of \'system service\'' -l tlskey -x -a '(__hawse_offer none)' -d 'File with the private key of --tlscert'

complete -c hawse -n '__hawse_flags_of \'system shutdown\'' -l help -d 'Print usage'

complete -c hawse -n '__hawse_flags_of \'system uninstall\'' -l help -d 'Print usage'
complete -c hawse -n '__hawse_flags_of \'system uninstall\'' -l root -x -a '(__hawse_offer none)' -d 'Remove below this directory, for a system that is not running'

complete -c hawse -n '__hawse_flags_of \'trace\'' -l dry -d 'Send no probe; use only the records and the kernel\'s state'
complete -c hawse -n '__hawse_flags_of \'trace\'' -l format -x -a '(__hawse_offer text-json)' -d 'Output format: text or json'
complete -c hawse -n '__hawse_flags_of \'trace\'' -l help -d 'Print usage'
complete -c hawse -n '__hawse_argument_of 0 \'trace\'' -a '(__hawse_offer trace-source)'
complete -c hawse -n '__hawse_argument_of 1 \'trace\'' -a '(__hawse_offer trace-target)'

complete -c hawse -n '__hawse_flags_of \'version\'' -s f -l format -x -a '(__hawse_offer system-format)' -d 'Format output using a custom template'
complete -c hawse -n '__hawse_flags_of \'version\'' -l help -d 'Print usage'

# Read the line up to the cursor, once for each TAB. Sets __hawse_path (the command), __hawse_given (its arguments),
# __hawse_behind (words after the cursor), __hawse_values (--flag=value), and __hawse_awaiting (a flag that needs a value).
function __hawse_read
    set -l before (commandline -opc)
    set -l all (commandline -op)
    set -l key (string escape -- $before / $all)
    test "$key" = "$__hawse_key"; and return
    set -g __hawse_key $key
    set -g __hawse_path ''
    set -g __hawse_given
    set -g __hawse_values
    set -l behind (math (count $before) + 1)
    test -n "$(commandline -t)"; and set behind (math $behind + 1)
    set -g __hawse_behind (string match -v -- '-*' $all[$behind..])
    set -l awaiting
    set -l ended
    set -l valued (__hawse_valued '')
    for word in $before[2..]
        if set -q awaiting[1]
            set -a __hawse_values "$awaiting[1]=$word"
            set awaiting
        else if set -q ended[1]; or not string match -qr -- '^-.' $word
            __hawse_take $word
            set valued (__hawse_valued $__hawse_path)
            contains -- $__hawse_path $__hawse_strict; and set -q __hawse_given[1]; and set ended 1
        else if test "$word" = --
            set ended 1
        else if string match -q -- '--*=*' $word
            set -a __hawse_values $word
        else if string match -q -- "$word=*" $valued
            set awaiting $word
        else if not string match -q -- '--*' $word
            for place in (seq 2 (string length -- $word))
                set -l letter -(string sub -s $place -l 1 -- $word)
                string match -q -- "$letter=*" $valued; or continue
                set -l rest (string sub -s (math $place + 1) -- $word)
                test -n "$rest"; and set -a __hawse_values "$letter=$rest"; or set awaiting $letter
                break
            end
        end
    end
    set -g __hawse_awaiting $awaiting
end

# Read a word as a command of the group, or as an argument.
function __hawse_take
    set -l name (__hawse_alias $__hawse_path $argv[1])
    if not set -q __hawse_given[1]; and contains -- (string trim -- "$__hawse_path $name") $__hawse_paths
        set -g __hawse_path (string trim -- "$__hawse_path $name")
    else
        set -ga __hawse_given $argv[1]
    end
end

# Return whether the current command is one of the arguments, and takes flags at the cursor.
function __hawse_flags_of
    __hawse_read
    contains -- "$__hawse_path" $argv; or return 1
    not contains -- "$__hawse_path" $__hawse_strict; or not set -q __hawse_given[1]
end

# Return whether the current command is one of the arguments after PLACE, and the cursor is at its argument PLACE. The
# first argument of a command is 0. With + after the number, all further arguments of the command count too.
function __hawse_argument_of --argument-names place
    __hawse_read
    contains -- "$__hawse_path" $argv[2..]; and not set -q __hawse_awaiting[1]; or return 1
    set -l at (count $__hawse_given)
    string match -q -- '*+' $place; and test $at -ge (string trim -c + -- $place); or test "$at" = "$place"
end

# Return whether the next word is the value of a flag. fish knows this for most flags, but not after short flags that
# take a value in another command.
function __hawse_awaits
    __hawse_read
    set -q __hawse_awaiting[1]
end

# Offer the values of the flag that needs one.
function __hawse_offer_awaited
    __hawse_read
    __hawse_offer (string replace -rf -- "^$__hawse_awaiting=" '' (__hawse_valued $__hawse_path))
end

# Return whether none of the arguments begins with the word typed. Only then are aliases of commands offered.
function __hawse_none_of
    set -l typed (commandline -ct)
    test -n "$typed"; and not string match -q -- (string escape --style=regex -- $typed) ''
    and not string match -rq -- '^'(string escape --style=regex -- $typed) $argv
end

# Print the value typed so far: the word without its flag and its quotes.
function __hawse_typed
    set -l word (commandline -ct)
    set word (string replace -r -- '^(--[a-z0-9-]+=|-[a-zA-Z])' '' $word)
    set -l plain (string unescape -- $word 2>/dev/null)
    and printf '%s\n' $plain
    or string replace -r -- '^["\']' '' $word
end

# Print the end of the typed value, which the completion replaces. $__hawse_kept is the beginning, which it keeps.
function __hawse_rest
    string sub -s (math (string length -- $__hawse_kept) + 1) -- (__hawse_typed)
end

# Print the value of a flag, by its names.
function __hawse_value
    __hawse_read
    for name in $argv
        string replace -f -- "$name=" '' $__hawse_values
    end | tail -n 1
end

# Put a template without quotes into quotes on the line, because fish would escape its braces. If only one word begins
# like the template, complete it. A value that is still empty gets an open quote, if it may become a template.
function __hawse_quote_template
    set -l empty (string match -r -- '^(?:--[a-z0-9-]+=)?$' (commandline -ct))
    if test $status -eq 0
        string match -q -- '{*' $argv; and commandline -t -- "$empty'"
        return 1
    end
    set -l parts (string match -rg -- '^(--[a-z0-9-]+=|-[a-zA-Z])?(\{.*)$' (commandline -ct)); or return
    set -l flag $parts[..-2]
    set -l fitting
    for word in (string split -f 1 \t -- $argv)
        test "$(string sub -l (string length -- $parts[-1]) -- $word)" = $parts[-1]; and set -a fitting $word
    end
    test (count $fitting) -gt 0; or return
    if test (count $fitting) -eq 1
        commandline -t -- "$flag'$fitting' "
    else
        commandline -t -- "$flag'$parts[-1]"
    end
end

# Offer words with descriptions, one a line.
function __hawse_words
    __hawse_quote_template $argv; and return
    printf "%s\n" $__hawse_kept$argv
end

# Offer keys. After a key, offer the values of its source. Arguments: key source description key source description ...
function __hawse_keys
    set -l typed (__hawse_rest)
    for place in (seq 1 3 (count $argv))
        set -l key $argv[$place]
        if test "$(string sub -l (string length -- $key) -- $typed)" = $key
            set -l outer $__hawse_kept
            set -g __hawse_kept $__hawse_kept$key
            __hawse_source $argv[(math $place + 1)]
            set -g __hawse_kept $outer
            return
        end
    end
    for place in (seq 1 3 (count $argv))
        set -l text $argv[(math $place + 2)]
        test -n "$text"; and __hawse_words $argv[$place]\t$text; or __hawse_words $argv[$place]
    end
end

# Complete after the last comma of a list.
function __hawse_behind_comma
    set -g __hawse_kept "$(string match -r -- '^.*,' (__hawse_typed))"
end

# Ask hawse for the names of its objects. The words of the line limit them.
function __hawse_names
    __hawse_read
    set -l root $HAWSE_ROOT /var/lib/hawse
    set -l store $root[1]/hawse.db
    set -l answer $root[1]/names/$argv[1]
    test -e $store-wal; and set store $store-wal
    # A cached answer is valid while the store has not changed since. Answers in a directory of another user are not read.
    if not count $__hawse_given $__hawse_behind >/dev/null
        and test -O $root[1]; and test -r $answer; and not test $answer -nt $store; and not test $answer -ot $store
        __hawse_words (string match -- '*' <$answer)
    else
        __hawse_words (command hawse __complete $argv[1] (count $__hawse_given) $__hawse_given $__hawse_behind 2>/dev/null)
    end
end

# Offer paths.
function __hawse_files
    __hawse_words (__fish_complete_path (__hawse_rest))
end

# Offer directories, if the word begins like a path.
function __hawse_directories
    string match -q -r -- '^[./~]' (__hawse_rest); and __fish_complete_directories (__hawse_rest)
end

# Complete a command line of another program.
function __hawse_program
    complete -C"$(string join ' ' -- (string escape -- $__hawse_given[2..]) (commandline -ct))"
end

# Offer the values of a source.
function __hawse_offer
    __hawse_read
    set -g __hawse_kept ''
    __hawse_source $argv[1]
end

# Where docker is an alias of hawse, drop the completion that another program has set for docker.
if functions -q docker; and functions docker | string match -qr '^\s*hawse \$argv'
    complete -e -c docker
end
