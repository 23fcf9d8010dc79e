# shellcheck shell=bash
# The plain sidecar of a pod under test: another user, with the right to trace and no other. Loaded
# after helpers and watch.

SIDECAR_USER=65534
SIDECAR_RIGHTS=-all,+sys_ptrace
SIDECAR=/var/tmp/$CG_PREFIX-sidecar # what is watched with: it may not send a signal to anybody

# sidecar_new [RIGHTS]: its directories, and the command that starts one for watch_start. It is a
# session of its own, as a container is: the scheduler shares processors out between these.
sidecar_new() {
	local rights=${1:-$SIDECAR_RIGHTS}
	[ -d "$DUMPS" ] || mkdir -m 700 "$DUMPS" "$RUNTIME"
	chown "$SIDECAR_USER:$SIDECAR_USER" "$DUMPS" "$RUNTIME"
	cat > "$SIDECAR" <<- END
		#!/bin/sh
		exec setsid setpriv --reuid $SIDECAR_USER --regid $SIDECAR_USER --clear-groups --inh-caps $rights \\
			--ambient-caps $rights --bounding-set $rights "$TEST_OOMSNAP" "\$@"
	END
	chmod 755 "$SIDECAR"
	OOMSNAP_WATCH=$SIDECAR
}

sidecar_teardown() {
	rm -f "$SIDECAR"
}
