#include "jail/run/supervisor.h"

#include <string.h>

#include "jail/learn/decode.h"

enum { PROGRAM_PRINTED_MAX = 3 * PROGRAM_MAX };

/* One call and what becomes of it. */
struct call {
	const struct seccomp_data *data;
	pid_t thread;
	uint64_t args[6];
	struct decision decision;
	bool is_native, is_refused;
	bool is_over_limit; /* allowed, but too often */
	const char *plugin; /* the one that gave the verdict; NULL: none did */
	struct jail_verdict verdict;
	const struct traced_call *traced; /* it has stopped for the tracer; NULL: notify holds it */
	struct tracer_answer *answer;	  /* traced */
	char program[PROGRAM_MAX];
};

static enum arch arch_of(const struct supervisor *s)
{
	return s->model->target.arch;
}

/* --- limits by count --- */

static void find_numbers(const struct supervisor *s, const char *const *names, int *nrs, size_t n)
{
	for (size_t i = 0; i < n; i++)
		nrs[i] = syscall_find(names[i])->nr[arch_of(s)];
}

/* -1 among the numbers is a call that this architecture lacks. */
static bool is_one_of(const int *nrs, size_t n, int nr)
{
	for (size_t i = 0; i < n; i++)
		if (nrs[i] == nr && nr >= 0)
			return true;
	return false;
}

static void limit_hit(struct supervisor *s, bool *is_over, const char *name, uint64_t limit)
{
	auto_cleanup(buf) object = {0};

	if (*is_over)
		return;
	*is_over = true;
	if (!events_are_logged(s->events))
		return;
	events_begin(&object, "limit");
	json_add_text(&object, "limit", name);
	json_add_u64(&object, "value", limit);
	events_end(s->events, &object);
}

static bool is_within(struct supervisor *s, const char *name, uint64_t limit, uint64_t *count,
		      bool *is_over)
{
	if (*count >= limit) {
		limit_hit(s, is_over, name, limit);
		return false;
	}
	++*count;
	return true;
}

/*
 * Whether an allowed call may be made. Attempts count: whether an exec will succeed cannot be known
 * without looking at memory that the program can change.
 */
static bool is_within_limits(struct supervisor *s, int nr)
{
	if (is_one_of(s->exec_nrs, array_len(s->exec_nrs), nr))
		return is_within(s, "exec", s->exec_limit, &s->execs, &s->is_exec_over);
	if (is_one_of(s->fork_nrs, array_len(s->fork_nrs), nr))
		return is_within(s, "fork", s->fork_limit, &s->forks, &s->is_fork_over);
	return true;
}

/* --- texts --- */

struct memory {
	struct procmem *procmem;
	pid_t thread;
};

static ssize_t read_memory(void *context, uint64_t address, void *to, size_t size)
{
	const struct memory *memory = context;

	return procmem_read(memory->procmem, memory->thread, address, to, size);
}

static void print_call(struct supervisor *s, const struct call *call, struct buf *out)
{
	struct memory context = {&s->procmem, call->thread};
	struct call_memory memory = {read_memory, &context};

	if (!call->is_native) {
		buf_addf(out, "call %d of another ABI", call->data->nr);
		return;
	}
	call_print(out, arch_of(s), call->data->nr, call->args, &memory);
	if (call->traced || notify_is_waiting(&s->notify))
		return;
	/* that may have been another process of the same id */
	buf_reset(out);
	call_print(out, arch_of(s), call->data->nr, call->args, NULL);
}

/* What becomes of it, and where that is written. */
static void print_outcome(const struct call *call, struct buf *action, struct buf *place)
{
	struct policy_action as = call->decision.action;

	if (call->is_over_limit) {
		buf_adds(action, "errno EAGAIN");
		buf_adds(place, "limits");
		return;
	}
	if (!call->plugin) {
		policy_action_print(&as, action);
		decision_print_place(&call->decision, place);
		return;
	}
	buf_addf(place, "plugin %s", call->plugin);
	if (call->verdict.kind == JAIL_FD) {
		buf_adds(action, "return a descriptor");
		return;
	}
	if (call->verdict.kind == JAIL_RETURN) {
		buf_addf(action, "return %lld", (long long)call->verdict.value);
		return;
	}
	as.kind = call->verdict.kind == JAIL_KILL ? POLICY_KILL : POLICY_ERRNO;
	as.error = (int)call->verdict.value;
	policy_action_print(&as, action);
}

static void tell(struct supervisor *s, struct call *call, const char *text)
{
	const char *event = "call", *would = "";
	auto_cleanup(buf) line = {0}, action = {0}, place = {0};

	if (call->is_refused)
		event = s->mode == SUPERVISE_WATCH ? "watched" : "refused";
	if (call->is_refused && s->mode == SUPERVISE_WATCH)
		would = "would be ";
	print_outcome(call, &action, &place);
	if (s->shows_all || (s->shows_refused && call->is_refused)) {
		events_add_time(&line);
		buf_addf(&line, "%d ", call->thread);
		str_printable(&line, call->program, strlen(call->program), PROGRAM_PRINTED_MAX,
			      false);
		buf_addf(&line, " %s → %s%s  %s", text, would, action.data, place.data);
		events_show(s->events, &line);
		buf_reset(&line);
	}
	if (!events_are_logged(s->events))
		return;
	events_begin(&line, event);
	json_add_u64(&line, "pid", (uint64_t)call->thread);
	json_add_text(&line, "program", call->program);
	if (call->is_native)
		json_add_text(&line, "call", syscall_name(arch_of(s), call->data->nr));
	json_add_u64(&line, "number", (uint64_t)(uint32_t)call->data->nr);
	json_add_text(&line, "text", text);
	json_add_text(&line, "action", action.data);
	json_add_text(&line, "by", place.data);
	events_end(s->events, &line);
}

/* --- one call --- */

/* Each returns whether the answer reached the one who waits for it. */
static bool let_go_on(struct supervisor *s, const struct call *call)
{
	if (!call->traced)
		return notify_continue(&s->notify);
	call->answer->wants_result =
		call->is_native && s->plugins && plugins_want_after(s->plugins, call->data->nr);
	return true;
}

static bool return_instead(struct supervisor *s, const struct call *call, int64_t result)
{
	if (!call->traced)
		return notify_return(&s->notify, result);
	*call->answer = (struct tracer_answer){.kind = TRACER_SKIP, .result = result};
	return true;
}

static bool kill_caller(struct supervisor *s, const struct call *call)
{
	pid_t process;

	if (call->traced) {
		process = call->traced->process;
		call->answer->kind = TRACER_KILL;
	} else if (!notify_kill(&s->notify, &process)) {
		return false;
	}
	if (process == s->command) {
		s->has_killed_command = true;
		s->killed_by = call->plugin;
	}
	return true;
}

/* What the policy and the limits allow is for the plugins to decide. */
static void ask_plugins(struct supervisor *s, struct call *call)
{
	struct jail_call shown = {.nr = call->data->nr, .tid = call->thread};
	const char *by = NULL;

	if (!s->plugins || !call->is_native || call->is_refused || call->is_over_limit ||
	    !plugins_want_before(s->plugins, call->data->nr))
		return;
	memcpy(shown.args, call->args, sizeof(shown.args));
	s->is_asking = !call->traced;
	call->verdict = plugins_before(s->plugins, &shown, &by);
	s->is_asking = false;
	if (call->verdict.kind == JAIL_GO_ON)
		return;
	call->plugin = by;
	if (call->verdict.kind == JAIL_FD && call->traced) { /* only a notification can carry one */
		close((int)call->verdict.value);
		call->verdict = (struct jail_verdict){JAIL_REFUSE, EPERM};
	}
	call->is_refused = call->verdict.kind != JAIL_RETURN && call->verdict.kind != JAIL_FD;
}

static bool hand_over(struct supervisor *s, const struct call *call)
{
	int fd = (int)call->verdict.value;
	bool is_reached =
		s->mode == SUPERVISE_WATCH ? let_go_on(s, call) : notify_answer_fd(&s->notify, fd);

	close(fd);
	return is_reached;
}

static bool carry_out(struct supervisor *s, const struct call *call)
{
	const struct policy_action *action = &call->decision.action;

	if (call->verdict.kind == JAIL_FD)
		return hand_over(s, call);
	if (s->mode == SUPERVISE_WATCH)
		return let_go_on(s, call);
	if (call->is_over_limit)
		return return_instead(s, call, -EAGAIN);
	if (call->plugin && call->verdict.kind != JAIL_KILL)
		return return_instead(
			s, call, call->is_refused ? -call->verdict.value : call->verdict.value);
	if (!call->is_refused)
		return let_go_on(s, call);
	if (!call->plugin && action->kind == POLICY_ERRNO)
		return return_instead(s, call, -action->error);
	return kill_caller(s, call);
}

static void decide(struct supervisor *s, struct call *call)
{
	uint64_t execs = s->execs, forks = s->forks;
	auto_cleanup(buf) text = {0};
	bool is_told;

	call->decision = filter_decide(s->model, call->data->arch, call->data->nr, call->args);
	call->is_refused = !policy_kind_allows(call->decision.action.kind);
	call->is_over_limit = s->mode == SUPERVISE_ENFORCE && call->is_native &&
			      !call->is_refused && !is_within_limits(s, call->data->nr);
	ask_plugins(s, call);
	is_told = s->shows_all || (s->shows_refused && call->is_refused) ||
		  events_are_logged(s->events);
	/* looked at before the answer: it may be gone after it */
	if (is_told || call->is_refused)
		procmem_program(call->thread, call->program);
	if (is_told)
		print_call(s, call, &text);
	if (!carry_out(s, call)) { /* killed or interrupted: then the call will come again */
		s->execs = execs;
		s->forks = forks;
		return;
	}
	if (is_told)
		tell(s, call, text.data);
	if (call->is_refused && !call->plugin)
		refusals_add(s->refusals, &call->decision, arch_of(s), call->data->nr, call->args,
			     call->program);
}

int supervisor_start(struct supervisor *s, int listener, pid_t command, struct err *err)
{
	static const char *const exec[] = {"execve", "execveat"};
	static const char *const fork[] = {"clone", "clone3", "fork", "vfork"};

	find_numbers(s, exec, s->exec_nrs, array_len(exec));
	find_numbers(s, fork, s->fork_nrs, array_len(fork));
	s->command = command;
	return notify_init(&s->notify, listener, err);
}

static void take_call(struct supervisor *s, struct call *call, const struct seccomp_data *data,
		      pid_t thread)
{
	call->data = data;
	call->thread = thread;
	for (size_t i = 0; i < array_len(call->args); i++)
		call->args[i] = data->args[i];
	call->is_native = !filter_is_other_abi(arch_of(s), data->arch, data->nr);
}

int supervisor_handle(struct supervisor *s, struct err *err)
{
	struct call call = {0};
	int r = notify_next(&s->notify);

	if (r < 0)
		return err_set(err, -r, "take a call from the filter: %s", strerror(-r));
	if (r == 0)
		return 0;
	take_call(s, &call, &s->notify.request->data, (pid_t)s->notify.request->pid);
	if (s->mode != SUPERVISE_LEARN) {
		decide(s, &call);
		return 0;
	}
	notify_continue(&s->notify);
	if (call.is_native)
		learn_add(s->learn, arch_of(s), call.data->nr, call.args);
	else
		s->other_abi++;
	return 0;
}

/* --- plugins ---------------------------------------------------------------------------------- */

int64_t supervisor_read(void *supervisor, int thread, uint64_t address, void *to, size_t size)
{
	struct supervisor *s = supervisor;
	ssize_t n = procmem_read(&s->procmem, thread, address, to, size);

	/* that may have been another process of the same id */
	return s->is_asking && !notify_is_waiting(&s->notify) ? -ESRCH : n;
}

static void traced_about_to(void *context, const struct traced_call *traced,
			    struct tracer_answer *answer)
{
	struct call call = {.traced = traced, .answer = answer};

	take_call(context, &call, &traced->data, traced->thread);
	decide(context, &call);
}

static void traced_returned(void *context, const struct traced_call *traced, int64_t result)
{
	struct supervisor *s = context;
	struct jail_call shown = {.nr = traced->data.nr, .tid = traced->thread, .result = result};

	for (size_t i = 0; i < array_len(shown.args); i++)
		shown.args[i] = traced->data.args[i];
	plugins_after(s->plugins, &shown);
}

static void traced_began(void *context, pid_t process, pid_t parent)
{
	struct supervisor *s = context;

	plugins_process_start(s->plugins, process, parent);
}

static void traced_ended(void *context, pid_t process, int status)
{
	struct supervisor *s = context;

	plugins_process_end(s->plugins, process, status);
}

struct tracer_watcher supervisor_watcher(struct supervisor *s)
{
	return (struct tracer_watcher){s, traced_about_to, traced_returned, traced_began,
				       traced_ended};
}

void supervisor_deinit(struct supervisor *s)
{
	procmem_deinit(&s->procmem);
	notify_deinit(&s->notify);
}
