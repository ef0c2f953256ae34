# bash completion for hawse. `hawse completion bash` writes it. It works with and without the bash-completion package.

# Set commands, aliases, flags, arguments and strict for the command line $1.
#   flags: --long[,-s][=source]; * marks a repeatable flag, ! marks a flag that is accepted but not offered
#   arguments: sources in order; ... after the last source repeats it. strict=1: no flags after the first argument.
__hawse_command() {
    commands='' aliases='' flags='' arguments='' strict=''
    case $1 in
        '')
            commands='attach completion container context create doctor events exec image images import info inspect
                      kill load logs network node port ps publish pull rename restart rm rmi run save start stats stop
                      swarm system tag top trace unpublish version wait'
            flags='--config=directories --context,-c=context --debug,-D --dry-run --explain --help *--host,-H=none
                   --log-level,-l=log-level --no-color --version,-v'
            strict=1
            ;;
        attach | 'container attach')
            flags='--detach-keys=detach-keys --help --no-stdin --sig-proxy'
            arguments='running'
            ;;
        completion)
            flags='--help'
            arguments='shell'
            ;;
        container)
            commands='attach create exec inspect kill logs ls port prune publish rename restart rm run start stats stop
                      top unpublish wait'
            aliases='list=ls ps=ls remove=rm'
            flags='--help'
            strict=1
            ;;
        'container create' | create)
            flags='*--add-host=extra-host *--annotation=none *--attach,-a=stream --blkio-weight=none
                   *--blkio-weight-device=none *--cap-add=capability *--cap-drop=capability --cgroup-parent=none
                   --cgroupns=host-private --cidfile=files --cpu-period=none --cpu-quota=none --cpu-rt-period=none
                   --cpu-rt-runtime=none --cpu-shares,-c=none --cpus=none --cpuset-cpus=none --cpuset-mems=none
                   *--device=none *--device-cgroup-rule=none *--device-read-bps=none *--device-read-iops=none
                   *--device-write-bps=none *--device-write-iops=none --disable-content-trust *--dns=none
                   !--dns-opt=resolver-option *--dns-option=resolver-option *--dns-search=none --domainname=none
                   --entrypoint=none *--env,-e=environment *--env-file=files *--expose=none *--gpus=none
                   *--group-add=none --health-cmd=none --health-interval=none --health-retries=none
                   --health-start-interval=none --health-start-period=none --health-timeout=none --help
                   --hostname,-h=none --init --interactive,-i --ip=none --ip6=none --ipc=none --isolation=none
                   --kernel-memory=none *--label,-l=none *--label-file=files *--link=running *--link-local-ip=none
                   --log-driver=log-driver *--log-opt=log-option --mac-address=none --memory,-m=none
                   --memory-reservation=none --memory-swap=none --memory-swappiness=none *--mount=mount --name=none
                   !--net=network-mode !--net-alias=none *--network=network-mode *--network-alias=none --no-healthcheck
                   --oom-kill-disable --oom-score-adj=none --pid=host-mode --pids-limit=none --platform=none
                   --privileged *--publish,-p=none --publish-all,-P --pull=pull --quiet,-q --read-only
                   --restart=restart --rm --runtime=none *--security-opt=security --shm-size=none --stop-signal=signal
                   --stop-timeout=none *--storage-opt=none *--sysctl=sysctl *--tmpfs=none --tty,-t *--ulimit=ulimit
                   --user,-u=none --userns=host-mode --uts=none *--volume,-v=files --volume-driver=none
                   *--volumes-from=none --workdir,-w=none'
            arguments='rootfs command...'
            strict=1
            ;;
        'container exec' | exec)
            flags='--detach,-d --detach-keys=detach-keys *--env,-e=environment *--env-file=files --help
                   --interactive,-i --privileged --tty,-t --user,-u=none --workdir,-w=none'
            arguments='running command...'
            strict=1
            ;;
        'container inspect')
            flags='--format,-f=container-document-format --help --size,-s'
            arguments='more-containers...'
            ;;
        'container kill' | kill)
            flags='--help --signal,-s=signal'
            arguments='more-running...'
            ;;
        'container logs' | logs)
            flags='--details --follow,-f --help --since=none --tail,-n=tail --timestamps,-t --until=none'
            arguments='containers'
            ;;
        'container ls')
            flags='--all,-a *--filter,-f=container-filter --format=container-format --help --last,-n=none --latest,-l
                   --no-trunc --quiet,-q --size,-s'
            ;;
        'container port' | port)
            flags='--help'
            arguments='containers ports'
            ;;
        'container prune')
            flags='*--filter=container-prune-filter --force,-f --help'
            ;;
        'container publish' | publish)
            flags='--help *--publish,-p=none'
            arguments='containers none...'
            ;;
        'container rename' | rename)
            flags='--help'
            arguments='containers none'
            ;;
        'container restart' | restart)
            flags='--help --signal,-s=signal --time,-t=none'
            arguments='more-containers...'
            ;;
        'container rm' | rm)
            flags='--force,-f --help --link,-l --volumes,-v'
            arguments='more-containers...'
            ;;
        'container run' | run)
            flags='*--add-host=extra-host *--annotation=none *--attach,-a=stream --blkio-weight=none
                   *--blkio-weight-device=none *--cap-add=capability *--cap-drop=capability --cgroup-parent=none
                   --cgroupns=host-private --cidfile=files --cpu-period=none --cpu-quota=none --cpu-rt-period=none
                   --cpu-rt-runtime=none --cpu-shares,-c=none --cpus=none --cpuset-cpus=none --cpuset-mems=none
                   --detach,-d --detach-keys=detach-keys *--device=none *--device-cgroup-rule=none
                   *--device-read-bps=none *--device-read-iops=none *--device-write-bps=none *--device-write-iops=none
                   --disable-content-trust *--dns=none !--dns-opt=resolver-option *--dns-option=resolver-option
                   *--dns-search=none --domainname=none --entrypoint=none *--env,-e=environment *--env-file=files
                   *--expose=none *--gpus=none *--group-add=none --health-cmd=none --health-interval=none
                   --health-retries=none --health-start-interval=none --health-start-period=none --health-timeout=none
                   --help --hostname,-h=none --init --interactive,-i --ip=none --ip6=none --ipc=none --isolation=none
                   --kernel-memory=none *--label,-l=none *--label-file=files *--link=running *--link-local-ip=none
                   --log-driver=log-driver *--log-opt=log-option --mac-address=none --memory,-m=none
                   --memory-reservation=none --memory-swap=none --memory-swappiness=none *--mount=mount --name=none
                   !--net=network-mode !--net-alias=none *--network=network-mode *--network-alias=none --no-healthcheck
                   --oom-kill-disable --oom-score-adj=none --pid=host-mode --pids-limit=none --platform=none
                   --privileged *--publish,-p=none --publish-all,-P --pull=pull --quiet,-q --read-only
                   --restart=restart --rm --runtime=none *--security-opt=security --shm-size=none --sig-proxy
                   --stop-signal=signal --stop-timeout=none *--storage-opt=none *--sysctl=sysctl *--tmpfs=none --tty,-t
                   *--ulimit=ulimit --user,-u=none --userns=host-mode --uts=none *--volume,-v=files
                   --volume-driver=none *--volumes-from=none --workdir,-w=none'
            arguments='rootfs command...'
            strict=1
            ;;
        'container start' | start)
            flags='--attach,-a --detach-keys=detach-keys --help --interactive,-i'
            arguments='more-stopped...'
            ;;
        'container stats' | stats)
            flags='--all,-a --format=stats-format --help --no-stream --no-trunc'
            arguments='more-running...'
            ;;
        'container stop' | stop)
            flags='--help --signal,-s=signal --time,-t=none'
            arguments='more-running...'
            ;;
        'container top' | top)
            flags='--help'
            arguments='running none...'
            strict=1
            ;;
        'container unpublish' | unpublish)
            flags='--help *--publish,-p=none'
            arguments='containers more-ports...'
            ;;
        'container wait' | wait)
            flags='--help'
            arguments='more-containers...'
            ;;
        context)
            commands='inspect ls show use'
            aliases='list=ls'
            flags='--help'
            strict=1
            ;;
        'context inspect')
            flags='--format,-f=none --help'
            arguments='context...'
            ;;
        'context ls')
            flags='--format=none --help --quiet,-q'
            ;;
        'context show')
            flags='--help'
            ;;
        'context use')
            flags='--help'
            arguments='context...'
            ;;
        doctor)
            flags='--fix --format=doctor-format --help'
            ;;
        events | 'system events')
            flags='*--filter,-f=event-filter --format=event-format --help --since=recent --until=none'
            ;;
        image)
            commands='import inspect load ls prune pull rm save tag'
            aliases='list=ls remove=rm'
            flags='--help'
            strict=1
            ;;
        'image import' | import)
            flags='*--change,-c=none --help --message,-m=none --platform=none'
            arguments='archive images'
            ;;
        'image inspect')
            flags='--format,-f=document-format --help'
            arguments='more-images...'
            ;;
        'image load' | load)
            flags='--help --input,-i=none --quiet,-q'
            ;;
        'image ls')
            flags='--all,-a --digests *--filter,-f=image-filter --format=image-format --help --no-trunc --quiet,-q'
            arguments='images'
            ;;
        'image prune')
            flags='--all,-a *--filter=image-prune-filter --force,-f --help'
            ;;
        'image pull' | pull)
            flags='--all-tags,-a --disable-content-trust --help --platform=none --quiet,-q'
            arguments='none'
            ;;
        'image rm')
            flags='--force,-f --help --no-prune'
            arguments='more-images...'
            ;;
        'image save' | save)
            flags='--help --output,-o=none'
            arguments='more-images...'
            ;;
        'image tag' | tag)
            flags='--help'
            arguments='rootfs none'
            ;;
        images)
            flags='--all,-a --digests *--filter,-f=image-filter --format=image-format --help --no-trunc --quiet,-q'
            arguments='images'
            ;;
        info | 'system info')
            flags='--format,-f=system-format --help'
            ;;
        inspect)
            flags='--format,-f=container-document-format --help --size,-s --type=object-type'
            arguments='anything...'
            ;;
        network)
            commands='connect create disconnect inspect ls map prune rm verify'
            aliases='list=ls remove=rm'
            flags='--help'
            strict=1
            ;;
        'network connect')
            flags='*--alias=none --default-route=default-route *--driver-opt=endpoint-option --force --gw-priority=none
                   --help --ip=none --ip6=none *--link=containers *--link-local-ip=none --name=none *--publish,-p=none
                   --restart=namespace-restart'
            arguments='connectable-networks strangers'
            ;;
        'network create')
            flags='--attachable *--aux-address=none --config-from=config-networks --config-only --driver,-d=driver
                   *--gateway=none --help --ingress --internal *--ip-range=none --ipam-driver=ipam-driver
                   *--ipam-opt=none --ipv4 --ipv6 *--label=none *--opt,-o=driver-option --scope=scope *--subnet=none'
            arguments='none'
            ;;
        'network disconnect')
            flags='--force,-f --help'
            arguments='used-networks members'
            ;;
        'network inspect')
            flags='--format,-f=network-document-format --help --verbose,-v'
            arguments='more-networks...'
            ;;
        'network ls')
            flags='*--filter,-f=network-filter --format=network-format --help --no-trunc --quiet,-q'
            ;;
        'network map')
            flags='--format=map-format --help'
            arguments='more-networks...'
            ;;
        'network prune')
            flags='*--filter=network-prune-filter --force,-f --help'
            ;;
        'network rm')
            flags='--force,-f --help'
            arguments='removable-networks...'
            ;;
        'network verify')
            flags='--fix --help'
            arguments='networks'
            ;;
        node)
            commands='inspect ls rm'
            aliases='list=ls remove=rm'
            flags='--help'
            strict=1
            ;;
        'node inspect')
            flags='--format,-f=none --help --pretty'
            arguments='none...'
            ;;
        'node ls')
            flags='*--filter,-f=none --format=none --help --quiet,-q'
            ;;
        'node rm')
            flags='--force,-f --help'
            arguments='none...'
            ;;
        ps)
            flags='--all,-a *--filter,-f=container-filter --format=container-format --help --last,-n=none --latest,-l
                   --no-trunc --quiet,-q --size,-s'
            ;;
        rmi)
            flags='--force,-f --help --no-prune'
            arguments='more-images...'
            ;;
        swarm)
            commands='init join join-token leave'
            flags='--help'
            strict=1
            ;;
        'swarm init')
            flags='--advertise-addr=none --cacert=files --cert=files --data-path-addr=none *--default-addr-pool=none
                   --default-addr-pool-mask-length=none --help --key=files --store=none'
            ;;
        'swarm join')
            flags='--advertise-addr=none --data-path-addr=none --help --manager --token=none'
            arguments='none'
            ;;
        'swarm join-token')
            flags='--help --quiet,-q --rotate'
            arguments='role'
            ;;
        'swarm leave')
            flags='--force,-f --help'
            ;;
        system)
            commands='boot check df events info install prune service shutdown uninstall'
            flags='--help'
            strict=1
            ;;
        'system boot')
            flags='--help --timeout=none'
            ;;
        'system check')
            flags='--help --repair'
            ;;
        'system df')
            flags='--format=none --help --verbose,-v'
            ;;
        'system install')
            flags='--help --root=none'
            ;;
        'system prune')
            flags='--all,-a *--filter=none --force,-f --help --volumes'
            ;;
        'system service')
            flags='--group=none --help *--host=none --socket=none --tlscacert=none --tlscert=none --tlskey=none'
            ;;
        'system shutdown')
            flags='--help'
            ;;
        'system uninstall')
            flags='--help --root=none'
            ;;
        trace)
            flags='--dry --format=text-json --help'
            arguments='trace-source trace-target'
            ;;
        version)
            flags='--format,-f=system-format --help'
            ;;
    esac
}

# Offer the values of a source.
__hawse_source() {
    case $1 in
        networks)
            __hawse_names networks
            ;;
        more-networks)
            __hawse_names networks+
            ;;
        removable-networks)
            __hawse_names custom-networks+
            ;;
        connectable-networks)
            __hawse_names connectable-networks
            ;;
        used-networks)
            __hawse_names used-networks
            ;;
        config-networks)
            __hawse_names config-networks
            ;;
        driver)
            __hawse_words bridge ipvlan macvlan overlay
            ;;
        any-driver)
            __hawse_words bridge ipvlan macvlan overlay host null
            ;;
        driver-option)
            case $(__hawse_value --driver) in
                '') __hawse_source bridge-option ;;
                bridge) __hawse_source bridge-option ;;
                ipvlan) __hawse_source ipvlan-option ;;
                macvlan) __hawse_source macvlan-option ;;
                overlay) __hawse_source overlay-option ;;
            esac
            ;;
        bridge-option)
            __hawse_keys com.docker.network.bridge.enable_icc= bool \
                com.docker.network.bridge.enable_ip_masquerade= bool com.docker.network.bridge.inhibit_ipv4= bool \
                com.docker.network.bridge.gateway_mode_ipv4= gateway-mode com.docker.network.bridge.gateway_mode_ipv6= \
                gateway-mode com.docker.network.bridge.host_binding_ipv4= host-binding com.docker.network.bridge.name= \
                none com.docker.network.bridge.trusted_host_interfaces= interfaces com.docker.network.driver.mtu= mtu \
                hawse.heal= bool com.docker.network.host_ipv4= none com.docker.network.host_ipv6= none \
                com.hawse.bridge.spoof_guard= bool
            ;;
        ipvlan-option)
            __hawse_keys parent= interfaces ipvlan_mode= ipvlan-mode ipvlan_flag= ipvlan-flag \
                com.docker.network.driver.mtu= mtu hawse.heal= bool
            ;;
        macvlan-option)
            __hawse_keys parent= interfaces macvlan_mode= macvlan-mode com.docker.network.driver.mtu= mtu \
                hawse.heal= bool
            ;;
        overlay-option)
            __hawse_words encrypted
            __hawse_keys com.docker.network.driver.overlay.vxlanid_list= none com.docker.network.driver.mtu= mtu \
                hawse.heal= bool
            ;;
        gateway-mode)
            __hawse_words nat nat-unprotected routed isolated
            ;;
        host-binding)
            __hawse_words 127.0.0.1 0.0.0.0
            ;;
        mtu)
            __hawse_words 1280 1400 1450 1500 9000
            ;;
        ipvlan-mode)
            __hawse_words l2 l3 l3s
            ;;
        ipvlan-flag)
            __hawse_words bridge private vepa
            ;;
        macvlan-mode)
            __hawse_words bridge private vepa passthru
            ;;
        interfaces)
            __hawse_names interfaces
            ;;
        ipam-driver)
            __hawse_words default null
            ;;
        scope)
            __hawse_words local swarm global
            ;;
        network-type)
            __hawse_words builtin custom
            ;;
        network-filter)
            __hawse_keys dangling= bool driver= any-driver id= none label= network-labels name= networks scope= \
                scope type= network-type
            ;;
        network-labels)
            __hawse_names network-labels
            ;;
        network-prune-filter)
            __hawse_keys label= network-labels 'label!=' network-labels until= age
            ;;
        network-format)
            __hawse_words table json raw '{{.ID}}' '{{.Name}}' '{{.Driver}}' '{{.Scope}}' '{{.IPv4}}' '{{.IPv6}}' \
                '{{.Internal}}' '{{.Labels}}' '{{.CreatedAt}}' '{{json .}}'
            ;;
        endpoint-option)
            __hawse_keys com.docker.network.endpoint.sysctls= none
            ;;
        default-route)
            __hawse_words auto yes no
            ;;
        network-mode)
            __hawse_behind_comma
            __hawse_words host none bridge
            __hawse_keys container: running name= networks alias= none ip= none ip6= none mac-address= none \
                driver-opt= none
            __hawse_names joinable-networks
            ;;
        containers)
            __hawse_names containers
            ;;
        running)
            __hawse_names running
            ;;
        more-containers)
            __hawse_names containers+
            ;;
        more-running)
            __hawse_names running+
            ;;
        more-stopped)
            __hawse_names stopped+
            ;;
        members)
            __hawse_names members
            ;;
        strangers)
            __hawse_keys netns: namespaces pid: processes
            __hawse_names strangers
            ;;
        trace-source)
            __hawse_words host outside
            __hawse_keys netns: namespaces outside: interfaces pid: processes
            __hawse_names running
            ;;
        trace-target)
            __hawse_keys published: published-ports
            __hawse_names running
            ;;
        published-ports)
            __hawse_names published-ports
            ;;
        namespaces)
            __hawse_names namespaces
            ;;
        processes)
            __hawse_names processes
            ;;
        anything)
            __hawse_names containers+,networks+,images+
            ;;
        ports)
            __hawse_names ports
            ;;
        more-ports)
            __hawse_names ports+
            ;;
        object-type)
            __hawse_words container image network
            ;;
        status)
            __hawse_words created dead exited paused removing restarting running
            ;;
        health)
            __hawse_words healthy none starting unhealthy
            ;;
        container-labels)
            __hawse_names container-labels
            ;;
        container-filter)
            __hawse_keys ancestor= images before= containers exited= none expose= none health= health id= none \
                is-task= bool isolation= none label= container-labels name= containers network= networks publish= none \
                since= containers status= status volume= none
            ;;
        container-prune-filter)
            __hawse_keys label= container-labels 'label!=' container-labels until= age
            ;;
        stats-format)
            __hawse_words table json raw '{{.BlockIO}}' '{{.CPUPerc}}' '{{.Container}}' '{{.ID}}' '{{.MemPerc}}' \
                '{{.MemUsage}}' '{{.Name}}' '{{.NetIO}}' '{{.PIDs}}' '{{json .}}'
            ;;
        container-format)
            __hawse_words table json raw '{{.ID}}' '{{.Names}}' '{{.Image}}' '{{.Command}}' '{{.CreatedAt}}' \
                '{{.RunningFor}}' '{{.Ports}}' '{{.State}}' '{{.Status}}' '{{.Size}}' '{{.Labels}}' '{{.Mounts}}' \
                '{{.LocalVolumes}}' '{{.Networks}}' '{{json .}}'
            ;;
        restart)
            __hawse_words no always unless-stopped on-failure
            __hawse_keys on-failure: none
            ;;
        namespace-restart)
            __hawse_words no unless-stopped
            ;;
        pull)
            __hawse_words always missing never
            ;;
        stream)
            __hawse_words stdin stdout stderr
            ;;
        signal)
            __hawse_words SIGHUP SIGINT SIGQUIT SIGKILL SIGUSR1 SIGUSR2 SIGTERM SIGCONT SIGSTOP SIGWINCH
            ;;
        capability)
            __hawse_words ALL CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP \
                LINUX_IMMUTABLE NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE \
                SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME \
                SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM \
                BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE
            ;;
        log-driver)
            __hawse_words json-file local none
            ;;
        log-option)
            __hawse_keys compress= none max-file= none max-size= none
            ;;
        tail)
            __hawse_words all 10 100
            ;;
        ulimit)
            __hawse_keys core= none cpu= none data= none fsize= none locks= none memlock= none msgqueue= none \
                nice= none nofile= none nproc= none rss= none rtprio= none rttime= none sigpending= none stack= none
            ;;
        sysctl)
            __hawse_keys net.core.somaxconn= none net.ipv4.ip_forward= zero-one net.ipv4.ip_local_port_range= none \
                net.ipv4.ip_unprivileged_port_start= none net.ipv4.ping_group_range= none \
                net.ipv6.conf.all.disable_ipv6= zero-one net.ipv6.conf.all.forwarding= zero-one
            ;;
        zero-one)
            __hawse_words 0 1
            ;;
        security)
            __hawse_words apparmor=unconfined label=disable no-new-privileges seccomp=unconfined \
                systempaths=unconfined
            ;;
        mount)
            __hawse_behind_comma
            __hawse_words readonly
            __hawse_keys type= mount-type source= files src= files target= none dst= none
            ;;
        mount-type)
            __hawse_words bind
            ;;
        extra-host)
            __hawse_words host.docker.internal:host-gateway
            ;;
        resolver-option)
            __hawse_words edns0 rotate use-vc
            __hawse_keys attempts: none ndots: none timeout: none
            ;;
        host-mode)
            __hawse_words host
            ;;
        host-private)
            __hawse_words host private
            ;;
        text-json)
            __hawse_words text json
            ;;
        detach-keys)
            __hawse_words ctrl-p,ctrl-q
            ;;
        environment)
            __hawse_names environment
            ;;
        bool)
            __hawse_words true false
            ;;
        files)
            __hawse_paths -f
            ;;
        directories)
            __hawse_paths -d
            ;;
        context)
            __hawse_words default
            ;;
        command)
            __hawse_program
            ;;
        age)
            __hawse_words 10m 24h 168h
            ;;
        recent)
            __hawse_words 10m 24h 168h
            ;;
        log-level)
            __hawse_words debug info warn error fatal
            ;;
        rootfs)
            __hawse_words hostfs
            __hawse_names images
            __hawse_paths -d
            ;;
        images)
            __hawse_names images
            ;;
        more-images)
            __hawse_names images+
            ;;
        archive)
            __hawse_words -
            __hawse_paths -f
            ;;
        image-prune-filter)
            __hawse_keys label= none 'label!=' none until= age
            ;;
        image-filter)
            __hawse_keys before= images dangling= bool label= none reference= images since= images
            ;;
        image-format)
            __hawse_words table json raw '{{.ID}}' '{{.Repository}}' '{{.Tag}}' '{{.Digest}}' '{{.CreatedSince}}' \
                '{{.CreatedAt}}' '{{.Size}}' '{{.Containers}}' '{{.VirtualSize}}' '{{.SharedSize}}' '{{.UniqueSize}}' \
                '{{json .}}'
            ;;
        document-format)
            __hawse_words json '{{json .}}' '{{.Id}}' '{{.Name}}'
            ;;
        container-document-format)
            __hawse_words json '{{json .}}' '{{.State.Pid}}' '{{.State.Status}}' \
                '{{json .NetworkSettings.Networks}}' '{{json .NetworkSettings.Ports}}' \
                '{{range .NetworkSettings.Networks}}{{.IPAddress}} {{end}}'
            ;;
        network-document-format)
            __hawse_words json '{{json .}}' '{{json .Containers}}' '{{json .IPAM.Config}}' \
                '{{range .Containers}}{{.Name}} {{end}}' '{{range .IPAM.Config}}{{.Subnet}} {{end}}'
            ;;
        map-format)
            __hawse_words tree mermaid dot svg json
            ;;
        doctor-format)
            __hawse_words table json
            ;;
        event-filter)
            __hawse_keys container= containers daemon= none event= event image= images label= container-labels \
                network= networks node= none scope= scope type= event-type
            ;;
        event)
            __hawse_words attach connect create delete destroy die disconnect exec_create exec_detach exec_die \
                exec_start import kill load oom prune publish rename repair restart start stop tag top unpublish untag \
                update
            ;;
        event-type)
            __hawse_words container daemon image network node
            ;;
        event-format)
            __hawse_words json '{{json .}}' '{{.Type}}' '{{.Action}}' '{{.Actor.ID}}' '{{.Actor.Attributes.name}}'
            ;;
        system-format)
            __hawse_words json '{{json .}}'
            ;;
        role)
            __hawse_words manager worker
            ;;
        shell)
            __hawse_words bash fish zsh
            ;;
    esac
}

# Offer the words that begin with the word typed.
__hawse_words() {
    local word
    for word; do
        [[ $word == "$current"* ]] && found+=("$kept$word")
    done
}

# Offer keys. After a key, offer the values of its source. Arguments: key source key source ...
__hawse_keys() {
    local key current=$current kept=$kept
    local -a keys=()
    while (($# > 1)); do
        if [[ $current == "$1"* ]]; then
            kept+=$1 current=${current#"$1"}
            __hawse_source "$2"
            return
        fi
        keys+=("$1")
        shift 2
    done
    __hawse_words "${keys[@]}"
}

# Complete after the last comma of a list.
__hawse_behind_comma() {
    if [[ $current == *,* ]]; then
        kept+=${current%,*}, current=${current##*,}
    fi
}

# Offer the names of hawse's objects. The words of the line limit them.
__hawse_names() {
    local root=${HAWSE_ROOT:-/var/lib/hawse}
    local store=$root/hawse.db answer=$root/names/$1
    local -a names
    [[ -e $store-wal ]] && store+=-wal
    # A cached answer is valid while the store has not changed since. Answers in a directory of another user are not read.
    if ((!${#given[@]})) && [[ -O $root && -r $answer && ! $answer -nt $store && ! $answer -ot $store ]]; then
        mapfile -t names <"$answer"
    else
        mapfile -t names < <(command hawse __complete "$1" "$place" "${given[@]}" 2>/dev/null)
    fi
    __hawse_words "${names[@]%%$'\t'*}"
}

# Offer paths. Readline completes them.
__hawse_paths() {
    local path paths=$current
    [[ $paths == '~'* ]] && paths=$HOME${paths#'~'}
    [[ $1 == -d && $current != [./~]* ]] && return
    while IFS= read -r path; do
        [[ -d $path ]] && path+=/
        found+=("$kept$path")
    done < <(compgen "$1" -- "$paths")
}

# Offer programs for the first word of a command, and files for the other words.
__hawse_program() {
    local word
    [[ ${arguments[place]} != command ]] && { __hawse_paths -f; return; }
    while IFS= read -r word; do found+=("$word"); done < <(compgen -c -- "$current" | sort -u)
}

# Print the value of a flag, by its long name.
__hawse_value() { printf '%s' "${values[$1]-}"; }

# Split the line into words as the shell does. Sets words and behind (the words before and after the cursor, without
# quotes), current (the word at the cursor), quote (the open quote) and untouched. Untouched is the part of current that
# readline does not replace, because for readline a word also begins after = and :.
__hawse_split() {
    local line=$COMP_LINE char='' word='' started='' at
    words=() behind=() quote='' untouched='' current=''
    for ((at = 0; at <= ${#line}; at++)); do
        if ((at == COMP_POINT)); then
            current=$word word='' started=''
            local left_open=$quote
            [[ ! $quote && ${line:at:1} != [[:space:]] ]] && started=rest
        fi
        char=${line:at:1}
        if [[ $quote ]]; then
            if [[ $char == "$quote" ]]; then
                quote=''
            elif [[ $char == \\ && $quote == '"' && ${line:at+1:1} == [\"\\\$\`] ]]; then
                ((++at)); word+=${line:at:1}
            else
                word+=$char
            fi
        elif [[ ! $char || $char == [[:space:]] ]]; then
            if [[ $started == 1 ]]; then
                if ((at < COMP_POINT)); then words+=("$word"); else behind+=("$word"); fi
            fi
            word='' started=''
            ((at < COMP_POINT)) && untouched=''
        else
            [[ $started ]] || started=1
            case $char in
                \' | \") quote=$char; ((at < COMP_POINT)) && untouched=$word ;;
                \\) ((++at)); word+=${line:at:1} ;;
                *) word+=$char; [[ $COMP_WORDBREAKS == *"$char"* ]] && ((at < COMP_POINT)) && untouched=$word ;;
            esac
        fi
    done
    quote=$left_open
}

# Find a flag of the command. Sets long, source and valued. Fails if the command has no such flag.
__hawse_flag() {
    local entry names
    for entry in $flags; do
        entry=${entry#[*!]}
        names=${entry%%=*}
        if [[ ,$names, == *",$1,"* ]]; then
            long=${names%%,*} source='' valued=''
            [[ $entry == *=* ]] && source=${entry#*=} valued=1
            return 0
        fi
    done
    return 1
}

# Read a group of short flags, such as -itp8080. Sets awaiting if the last flag still needs its value.
__hawse_letters() {
    local letters=${1#-}
    while [[ $letters ]]; do
        __hawse_flag "-${letters:0:1}" || return
        letters=${letters:1}
        if [[ ! $valued ]]; then
            values[$long]=true
        elif [[ $letters ]]; then
            values[$long]=${letters#=} letters=''
        else
            awaiting=$long
        fi
    done
}

# Read one word of the line.
__hawse_read() {
    local word=$1 long source valued
    if [[ $awaiting ]]; then
        values[$awaiting]=$word awaiting=''
    elif [[ $ended || $word != -?* ]]; then
        __hawse_argument "$word"
    elif [[ $word == -- ]]; then
        ended=1
    elif [[ $word == --*=* ]]; then
        __hawse_flag "${word%%=*}" && values[$long]=${word#*=}
    elif [[ $word == --* ]]; then
        __hawse_flag "$word" && if [[ $valued ]]; then awaiting=$long; else values[$long]=true; fi
    else
        __hawse_letters "$word"
    fi
}

# Read a word as a command of the group, or as an argument.
__hawse_argument() {
    local name=$1 pair
    for pair in $aliases; do
        [[ ${pair%%=*} == "$name" ]] && name=${pair#*=}
    done
    if ((!${#given[@]})) && [[ " ${commands//[[:space:]]/ } " == *" $name "* ]]; then
        path=${path:+$path }$name
        __hawse_command "$path"
    else
        given+=("$1")
        [[ $strict ]] && ended=1
    fi
}

# Offer flags that have not been given yet.
__hawse_offer_flags() {
    local entry name
    for entry in $flags; do
        [[ $entry == '!'* ]] && continue
        name=${entry#'*'} name=${name%%[,=]*}
        [[ $entry == '*'* || ! ${values[$name]+given} ]] && __hawse_words "$name"
    done
}

# Offer the commands of a group. Offer an alias only if no name matches.
__hawse_offer_commands() {
    local names=$commands pair
    __hawse_words $names
    if ((!${#found[@]})); then
        for pair in $aliases; do __hawse_words "${pair%%=*}"; done
    fi
}

# Offer all completions that are valid at the cursor.
__hawse_offer() {
    local long source valued
    if [[ $awaiting ]]; then
        __hawse_flag "$awaiting" && __hawse_source "$source"
    elif [[ ! $ended && $current == --*=* ]]; then
        __hawse_flag "${current%%=*}" || return
        kept=${current%%=*}= current=${current#*=}
        if [[ $valued ]]; then __hawse_source "$source"; else __hawse_source bool; fi
    elif [[ ! $ended && $current == -[!-]?* ]]; then
        __hawse_letters "$current"
        [[ $long && $valued && ! $awaiting ]] || return
        kept=${current%"${values[$long]}"} current=${values[$long]}
        __hawse_source "$source"
    elif [[ ! $ended && $current == -* ]]; then
        __hawse_offer_flags
    elif [[ $commands ]]; then
        ((place)) || __hawse_offer_commands
    else
        __hawse_offer_argument
    fi
}

# Offer the completions of the next argument.
__hawse_offer_argument() {
    local -a sources=($arguments)
    local -a arguments=("${sources[@]%...}")
    local last=$((${#sources[@]} - 1))
    if ((place <= last)); then
        __hawse_source "${arguments[place]}"
    elif ((last >= 0)) && [[ ${sources[last]} == *... ]]; then
        __hawse_source "${arguments[last]}"
    fi
}

# Write the words to COMPREPLY as they must be on the line: quoted, and without the part that readline keeps.
__hawse_reply() {
    local word
    COMPREPLY=()
    for word in "${found[@]}"; do
        word=${word#"$untouched"}
        case $quote in
            '')
                # Words with braces, such as templates, are easier to read in quotes than with backslashes.
                if [[ $word == *[{}]* ]]; then
                    word=\'${word//\'/\'\\\'\'}\'
                else
                    printf -v word %q "$word"; word=${word//\\,/,}
                fi
                ;;
            '"')
                # In double quotes, no escape stops history expansion, so words with ! are left out.
                [[ $word == *'!'* && $- == *H* ]] && continue
                word=${word//\\/\\\\} word=${word//\"/\\\"} word=${word//\$/\\\$} word=${word//\`/\\\`}
                ;;
            \') word=${word//\'/\'\\\'\'} ;;
        esac
        # Because readline takes a final quote for the closing quote, a word that ends in one needs another.
        [[ $quote && $word == *"$quote" ]] && word+=$quote
        COMPREPLY+=("$word")
    done
    [[ ${#found[@]} != 1 || ${found[0]} != *[=:,/] ]] || compopt -o nospace
}

_hawse() {
    local -
    set -o noglob  # because the tables have stars, which must not match file names
    local path='' commands='' aliases='' flags='' arguments='' strict='' awaiting='' ended='' place current kept=''
    local quote untouched long='' source='' valued='' word
    local -a words behind given=() found=()
    local -A values=()
    __hawse_split
    __hawse_command ''
    for word in "${words[@]:1}"; do __hawse_read "$word"; done
    place=${#given[@]}
    local wanted=$awaiting was_ended=$ended
    awaiting=''
    for word in "${behind[@]}"; do __hawse_read "$word"; done
    awaiting=$wanted ended=$was_ended
    __hawse_offer
    __hawse_reply
}

# Complete docker where it is an alias of hawse. Elsewhere, put docker's own completion back.
_hawse_docker() {
    if [[ ${BASH_ALIASES[docker]-} =~ (^|[/[:space:]])hawse$ ]]; then
        _hawse
        return
    fi
    complete -r docker
    if [[ $__hawse_docker_before ]]; then
        eval "$__hawse_docker_before"
    elif declare -F _comp_complete_load >/dev/null; then
        _comp_complete_load docker
    elif declare -F _completion_loader >/dev/null; then
        _completion_loader docker
    fi
    return 124  # bash tries again, with the completion that is there now
}

complete -F _hawse hawse
if [[ $(complete -p docker 2>/dev/null) != *_hawse_docker* ]]; then
    __hawse_docker_before=$(complete -p docker 2>/dev/null)
    complete -F _hawse_docker docker
fi
