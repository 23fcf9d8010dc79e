#!/usr/bin/env bats
# bats file_tags=lane:host
# What trip = auto has to tell apart in managed programs, beside the captures of services.bats.

load ../system/helpers
load ../system/watch
load services
load runtimes

# full_collections PID: as the JVM's own tool counts them.
full_collections() {
	jstat -gcutil "$1" | awk 'NR == 1 { for (i = 1; i <= NF; i++) if ($i == "FGC") at = i } NR == 2 { print $at }'
}

has_collected() {
	[ "$(full_collections "$SERVICE_PID")" -ge "$1" ]
}

@test "Java: a heap that fills with what is dropped again is no leak" {
	[ -z "$(runtime_missing java)" ] || skip "not here: $(runtime_missing java)"
	runtime_prepare java
	runtime_command java
	service_start garbage 256 "${RUNTIME_COMMAND[@]}"
	watch_start garbage
	wait_event runtime-found
	get "/triggerMemoryLeak?kind=garbage&rate=150"
	wait_until 30 has_collected 4
	[ "$(event_count tripped)" -eq 0 ]
	is_healthy
}
