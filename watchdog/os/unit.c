// SPDX-License-Identifier: Apache-2.0
/*
 * From the name of a systemd unit to the directory of its memory cgroup.
 *
 * systemd is asked twice: GetUnit and the unit's ControlGroup property give the path that systemd
 * itself uses ("/system.slice/web.service"), GetUnitProcesses gives a process of it. Where that
 * path is mounted, and under which version of cgroups, is answered from the process
 * (cgroup_of_pid()), so that nothing here knows about mounts or versions. A process of a delegated
 * unit may live in a group below the unit's own: the directory is cut where the unit's path ends.
 *
 * It starts nothing and loads nothing: GetUnit knows loaded units only. Each call is bounded by
 * UNIT_WAIT_US.
 */
#include "os/unit.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-bus.h>

#include "base/str.h"
#include "os/cgroup.h"

#define SYSTEMD "org.freedesktop.systemd1"
#define UNIT_NAME_BYTES 256 /* systemd's own limit */

static void cleanup_bus(sd_bus **bus)
{
	sd_bus_flush_close_unref(*bus);
}

static void cleanup_message(sd_bus_message **m)
{
	sd_bus_message_unref(*m);
}

static void cleanup_error(sd_bus_error *error)
{
	sd_bus_error_free(error);
}

#define _cleanup_bus_ __attribute__((cleanup(cleanup_bus)))
#define _cleanup_message_ __attribute__((cleanup(cleanup_message)))
#define _cleanup_error_ __attribute__((cleanup(cleanup_error)))

/* The D-Bus interface that has ControlGroup for a unit of this suffix; NULL: such have none. */
static const char *interface_of(const char *name)
{
	static const char *const table[][2] = {
		{".service", SYSTEMD ".Service"},
		{".scope", SYSTEMD ".Scope"},
		{".slice", SYSTEMD ".Slice"},
		{".socket", SYSTEMD ".Socket"},
		{".mount", SYSTEMD ".Mount"},
		{".swap", SYSTEMD ".Swap"},
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		if (str_has_suffix(name, table[i][0]))
			return table[i][1];
	return NULL;
}

static int call_manager(sd_bus *bus, const char *method, const char *unit, sd_bus_message **ret)
{
	_cleanup_error_ sd_bus_error error = SD_BUS_ERROR_NULL;
	int r = sd_bus_call_method(bus, SYSTEMD, "/org/freedesktop/systemd1", SYSTEMD ".Manager",
		method, &error, ret, "s", unit);

	if (r < 0 && sd_bus_error_has_name(&error, SYSTEMD ".NoSuchUnit"))
		return CGROUP_GONE;
	return r < 0 ? r : 0;
}

static int control_group(sd_bus *bus, const char *unit, char *ret, size_t size)
{
	_cleanup_error_ sd_bus_error error = SD_BUS_ERROR_NULL;
	_cleanup_message_ sd_bus_message *reply = NULL;
	const char *interface = interface_of(unit);
	const char *object;
	char *path = NULL;
	int r;

	if (!interface)
		return CGROUP_GONE;
	r = call_manager(bus, "GetUnit", unit, &reply);
	if (r)
		return r;
	r = sd_bus_message_read(reply, "o", &object);
	if (r >= 0)
		r = sd_bus_get_property_string(
			bus, SYSTEMD, object, interface, "ControlGroup", &error, &path);
	if (r < 0)
		return r;
	r = !*path ? CGROUP_GONE : str_copy(ret, size, path) ? 0 : -ENAMETOOLONG;
	free(path);
	return r;
}

/* Some process of the unit; GetUnitProcesses lists a(sus): cgroup, pid, command line. */
static int any_process(sd_bus *bus, const char *unit, pid_t *ret)
{
	_cleanup_message_ sd_bus_message *reply = NULL;
	const char *cgroup;
	const char *command;
	uint32_t pid;
	int r = call_manager(bus, "GetUnitProcesses", unit, &reply);

	if (r)
		return r;
	r = sd_bus_message_enter_container(reply, 'a', "(sus)");
	if (r >= 0)
		r = sd_bus_message_read(reply, "(sus)", &cgroup, &pid, &command);
	if (r <= 0)
		return r < 0 ? r : CGROUP_GONE;
	*ret = (pid_t)pid;
	return 0;
}

int unit_cgroup(const char *name, char *dir, size_t size)
{
	_cleanup_bus_ sd_bus *bus = NULL;
	char unit[UNIT_NAME_BYTES];
	char path[TARGET_PATH_MAX];
	struct str s;
	pid_t pid;
	char *end;
	int r;

	str_init(&s, unit, sizeof(unit));
	(void)str_add(&s, name);
	if (!strchr(name, '.'))
		(void)str_add(&s, ".service");
	if (s.cut)
		return CGROUP_GONE;
	r = sd_bus_open_system(&bus);
	if (r < 0)
		return r;
	(void)sd_bus_set_method_call_timeout(bus, UNIT_WAIT_US); /* only fails for NULL */
	r = control_group(bus, unit, path, sizeof(path));
	if (r == 0)
		r = any_process(bus, unit, &pid);
	if (r == 0)
		r = cgroup_of_pid(pid, dir, size);
	if (r)
		return r;
	end = strstr(dir, path);
	if (!end || (end[strlen(path)] != '\0' && end[strlen(path)] != '/'))
		return CGROUP_NO_MEMORY;
	end[strlen(path)] = '\0';
	return 0;
}
