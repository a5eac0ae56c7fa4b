#include "lab/machine/domain-xml.h"

#include <assert.h>
#include <libxml/xmlwriter.h>
#include <string.h>
#include <sys/un.h>

#include "jail/base/str.h"
#include "lab/machine/machine-arch.h"
#include "vm/proto.h"

/*
 * The writer keeps going after a failure (out of memory is its only one here) and every element is
 * balanced, so one look at the end is enough.
 */
struct out {
	xmlTextWriterPtr w;
	bool failed;
};

static void start(struct out *o, const char *name)
{
	o->failed |= xmlTextWriterStartElement(o->w, BAD_CAST name) < 0;
}

static void end(struct out *o)
{
	o->failed |= xmlTextWriterEndElement(o->w) < 0;
}

static void attr(struct out *o, const char *name, const char *value)
{
	o->failed |= xmlTextWriterWriteAttribute(o->w, BAD_CAST name, BAD_CAST value) < 0;
}

static void text(struct out *o, const char *name, const char *value)
{
	o->failed |= xmlTextWriterWriteElement(o->w, BAD_CAST name, BAD_CAST value) < 0;
}

/* An element with no content and up to two attributes. */
static void leaf(struct out *o, const char *name, const char *a, const char *av, const char *b,
		 const char *bv)
{
	start(o, name);
	if (a)
		attr(o, a, av);
	if (b)
		attr(o, b, bv);
	end(o);
}

static void number(struct out *o, const char *name, unsigned int value, const char *unit)
{
	start(o, name);
	if (unit)
		attr(o, "unit", unit);
	o->failed |= xmlTextWriterWriteFormatString(o->w, "%u", value) < 0;
	end(o);
}

static void add_os(struct out *o, const struct machine_spec *spec, const struct machine_arch *ma)
{
	auto_free char *cmdline = str_printf("%s%s%s", ma->cmdline, spec->cmdline ? " " : "",
					     spec->cmdline ? spec->cmdline : "");

	start(o, "os");
	start(o, "type");
	attr(o, "arch", arch_machine(spec->arch));
	attr(o, "machine", ma->machine);
	o->failed |= xmlTextWriterWriteString(o->w, BAD_CAST "hvm") < 0;
	end(o);
	text(o, "kernel", spec->kernel);
	if (spec->initrd)
		text(o, "initrd", spec->initrd);
	text(o, "cmdline", cmdline);
	/* Without this the disk counts as bootable, and the firmware looks at it: 0.3 s under TCG.
	 */
	if (spec->disk)
		leaf(o, "boot", "dev", "network", NULL, NULL);
	end(o);
}

static void add_cpu(struct out *o, const struct machine_spec *spec, const struct machine_arch *ma)
{
	const char *model = spec->kvm ? ma->kvm_cpu : ma->cpu;

	start(o, "cpu");
	attr(o, "mode", model ? "custom" : "host-passthrough");
	if (model) {
		attr(o, "match", "exact");
		/* Which features the accelerator leaves out is not checked: that costs time. */
		attr(o, "check", "none");
		start(o, "model");
		attr(o, "fallback", "forbid");
		o->failed |= xmlTextWriterWriteString(o->w, BAD_CAST model) < 0;
		end(o);
	}
	if (!spec->kvm && ma->cpu_without) {
		start(o, "feature");
		attr(o, "policy", "disable");
		attr(o, "name", ma->cpu_without);
		end(o);
	}
	end(o);
}

static void add_lifecycle(struct out *o)
{
	leaf(o, "clock", "offset", "utc", NULL, NULL);
	text(o, "on_poweroff", "destroy");
	text(o, "on_reboot", "destroy");
	/* A panicked guest stays paused until its memory is dumped. */
	text(o, "on_crash", "preserve");
}

static void add_address(struct out *o, const char *slot)
{
	start(o, "address");
	attr(o, "type", "pci");
	attr(o, "domain", "0");
	attr(o, "bus", "0");
	attr(o, "slot", slot);
	attr(o, "function", "0");
	end(o);
}

static void add_buses(struct out *o, const struct machine_spec *spec, const struct machine_arch *ma)
{
	start(o, "controller");
	attr(o, "type", "pci");
	attr(o, "index", "0");
	attr(o, "model", ma->pci_root);
	end(o);
	if (spec->arch == ARCH_AMD64)
		leaf(o, "controller", "type", "usb", "model", "none");
}

/* The port sits on the root bus itself: a root port for it costs the guest a bus to scan. */
static void add_channel(struct out *o, const struct machine_spec *spec)
{
	start(o, "controller");
	attr(o, "type", "virtio-serial");
	attr(o, "index", "0");
	attr(o, "ports", "2");
	add_address(o, "0x3");
	end(o);
	start(o, "channel");
	attr(o, "type", "unix");
	leaf(o, "source", "mode", "bind", "path", spec->channel);
	leaf(o, "target", "type", "virtio", "name", PROTO_PORT);
	end(o);
}

static void add_console(struct out *o, const struct machine_spec *spec)
{
	start(o, "serial");
	attr(o, "type", spec->console_socket ? "unix" : "file");
	/* Appending, so that the file may be cut by others while QEMU writes. */
	if (spec->console_socket)
		leaf(o, "source", "mode", "bind", "path", spec->console);
	else
		leaf(o, "source", "path", spec->console, "append", "on");
	leaf(o, "target", "port", "0", NULL, NULL);
	end(o);
}

static void add_disk(struct out *o, const struct machine_spec *spec)
{
	start(o, "disk");
	attr(o, "type", "file");
	attr(o, "device", "disk");
	start(o, "driver");
	attr(o, "name", "qemu");
	attr(o, "type", "raw");
	end(o);
	leaf(o, "source", "file", spec->disk, NULL, NULL);
	leaf(o, "target", "dev", "vda", "bus", "virtio");
	leaf(o, "readonly", NULL, NULL, NULL, NULL);
	add_address(o, "0x4");
	end(o);
}

static void add_devices(struct out *o, const struct machine_spec *spec,
			const struct machine_arch *ma)
{
	start(o, "devices");
	if (spec->emulator)
		text(o, "emulator", spec->emulator);
	add_buses(o, spec, ma);
	if (spec->disk)
		add_disk(o, spec);
	add_console(o, spec);
	if (spec->channel)
		add_channel(o, spec);
	if (ma->panic)
		leaf(o, "panic", "model", ma->panic, NULL, NULL);
	leaf(o, "memballoon", "model", "none", NULL, NULL);
	end(o);
}

/*
 * What only QEMU's own name space can say. To a libvirt that knows this capability the start of a
 * CPU means some 400 questions about its features, one by one (0.25 s); without it one suffices.
 */
static void add_capabilities(struct out *o)
{
	start(o, "qemu:capabilities");
	leaf(o, "qemu:del", "capability", "cpu-unavailable-features", NULL, NULL);
	end(o);
}

/* A daemon that runs as root would else run QEMU as an account that cannot reach our files. */
static void add_user(struct out *o, const struct machine_spec *spec)
{
	auto_free char *label = str_printf("+%u:+%u", spec->uid, spec->gid);

	start(o, "seclabel");
	attr(o, "type", "static");
	attr(o, "model", "dac");
	attr(o, "relabel", "no");
	text(o, "label", label);
	end(o);
}

/* The wrapper around QEMU finds its guardian by this variable: libvirt clears all others. */
static void add_environment(struct out *o, const struct machine_spec *spec)
{
	auto_free char *pid = str_printf("%d", (int)spec->guardian);

	start(o, "qemu:commandline");
	leaf(o, "qemu:env", "name", "LAB_GUARDIAN", "value", pid);
	end(o);
}

static void add_domain(struct out *o, const struct machine_spec *spec)
{
	const struct machine_arch *ma = machine_arch(spec->arch);

	start(o, "domain");
	attr(o, "type", spec->kvm ? "kvm" : "qemu");
	attr(o, "xmlns:qemu", "http://libvirt.org/schemas/domain/qemu/1.0");
	text(o, "name", spec->name);
	number(o, "memory", spec->memory_mib, "MiB");
	number(o, "vcpu", spec->cpus, NULL);
	add_os(o, spec, ma);
	start(o, "features");
	if (ma->acpi)
		leaf(o, "acpi", NULL, NULL, NULL, NULL);
	/* Where the guest's kernel says how its memory is to be read: it goes into dumps. */
	leaf(o, "vmcoreinfo", "state", "on", NULL, NULL);
	end(o);
	add_cpu(o, spec, ma);
	add_lifecycle(o);
	add_devices(o, spec, ma);
	if (spec->as_user)
		add_user(o, spec);
	if (spec->guardian)
		add_environment(o, spec);
	add_capabilities(o);
	end(o);
}

/* libvirt would answer bad text with a parser's message; say which string it is. */
static int check_text(const char *what, const char *s, struct err *err)
{
	if (!s)
		return 0;
	if (!xmlCheckUTF8(BAD_CAST s))
		return err_set(err, EINVAL, "machine: %s is not UTF-8", what);
	for (; *s; s++)
		if ((unsigned char)*s < 0x20 || *s == 0x7f)
			return err_set(err, EINVAL, "machine: %s has a control character", what);
	return 0;
}

static int check_socket(const char *what, const char *path, struct err *err)
{
	if (!path || strlen(path) < sizeof(((struct sockaddr_un *)0)->sun_path))
		return 0;
	return err_set(err, EINVAL, "machine: the %s's path is too long for a socket: %s", what,
		       path);
}

static int check_spec(const struct machine_spec *spec, struct err *err)
{
	const struct {
		const char *what, *text;
	} all[] = {
		{"name", spec->name},
		{"emulator path", spec->emulator},
		{"kernel path", spec->kernel},
		{"initrd path", spec->initrd},
		{"kernel command line", spec->cmdline},
		{"disk path", spec->disk},
		{"console path", spec->console},
		{"channel path", spec->channel},
	};
	int r;

	assert(spec->name && spec->kernel && spec->console && spec->arch < ARCH_COUNT);
	for (size_t i = 0; i < array_len(all); i++) {
		r = check_text(all[i].what, all[i].text, err);
		if (r < 0)
			return r;
	}
	r = check_socket("channel", spec->channel, err);
	if (r == 0 && spec->console_socket)
		r = check_socket("console", spec->console, err);
	if (r < 0)
		return r;
	if (spec->memory_mib < 16 || !spec->cpus)
		return err_set(err, EINVAL, "machine: %u MiB and %u CPUs are too few",
			       spec->memory_mib, spec->cpus);
	return 0;
}

char *domain_xml(const struct machine_spec *spec, struct err *err)
{
	struct out o = {0};
	xmlBufferPtr mem;
	char *ret = NULL;

	if (check_spec(spec, err) < 0)
		return NULL;
	mem = xmlBufferCreate();
	o.w = mem ? xmlNewTextWriterMemory(mem, 0) : NULL;
	if (!o.w) {
		xmlBufferFree(mem);
		err_set(err, ENOMEM, "machine: no memory for XML");
		return NULL;
	}
	xmlTextWriterSetIndent(o.w, 1);
	add_domain(&o, spec);
	o.failed |= xmlTextWriterFlush(o.w) < 0;
	xmlFreeTextWriter(o.w);
	if (o.failed)
		err_set(err, ENOMEM, "machine: the XML could not be written");
	else
		ret = xstrdup((const char *)xmlBufferContent(mem));
	xmlBufferFree(mem);
	return ret;
}
