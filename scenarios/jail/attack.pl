# What a hostile program tries on the sandbox that runs it. Says "BROKE attack" for each that worked.
use strict;
use warnings;
use POSIX ();

# it signals every process it can reach: nowhere but under a filter
open(my $status, "<", "/proc/self/status") or die "no /proc here\n";
die "only in a sandbox\n" unless grep { /^Seccomp:\s+2/ } <$status>;

my %numbers = (
	x86_64  => {ptrace => 101, process_vm_readv => 310, process_vm_writev => 311, pidfd_open => 434,
		    pidfd_getfd => 438, pidfd_send_signal => 424, rt_sigqueueinfo => 129, execveat => 322,
		    seccomp => 317, ioctl => 16, setns => 308, prctl => 157},
	aarch64 => {ptrace => 117, process_vm_readv => 270, process_vm_writev => 271, pidfd_open => 434,
		    pidfd_getfd => 438, pidfd_send_signal => 424, rt_sigqueueinfo => 138, execveat => 281,
		    seccomp => 277, ioctl => 29, setns => 268, prctl => 167},
);
my $nr = $numbers{(POSIX::uname())[4]} or die "which machine is this?\n";
my ($PTRACE_ATTACH, $PTRACE_SEIZE, $SIGKILL, $SIGSTOP, $TIOCSTI) = (16, 0x4206, 9, 19, 0x5412);
my $broke = 0;
$| = 1;

sub attempt {
	my ($name, $result) = @_;
	my $why = $! + 0;
	return print "refused: $name (errno $why)\n" if !defined $result || $result < 0;
	print "BROKE $name\n";
	$broke++;
}

sub call { my ($name, @args) = @_; $! = 0; return syscall($nr->{$name}, @args); }

# jail, and PID 1 of the sandbox, are among these: nobody else is in the sandbox
my %targets = map { $_ => 1 } (getppid(), 1);
opendir(my $proc, "/proc") or die "no /proc here\n";
$targets{$_} = 1 for grep { /^\d+$/ } readdir($proc);
delete $targets{$$};
delete $targets{0};

for my $pid (sort { $a <=> $b } keys %targets) {
	my $data = "owned!!!";
	my $iov = pack("PQ", $data, length $data);
	my $there = pack("QQ", 0x400000, length $data);

	attempt("ptrace attach $pid", call('ptrace', $PTRACE_ATTACH, $pid, 0, 0));
	attempt("ptrace seize $pid", call('ptrace', $PTRACE_SEIZE, $pid, 0, 0));
	attempt("read memory of $pid", call('process_vm_readv', $pid, $iov, 1, $there, 1, 0));
	attempt("write memory of $pid", call('process_vm_writev', $pid, $iov, 1, $there, 1, 0));
	attempt("open /proc/$pid/mem", open(my $mem, "+<", "/proc/$pid/mem") ? 0 : -1);
	attempt("look at descriptors of $pid", (grep { defined readlink("/proc/$pid/fd/$_") } 0 .. 63) ? 0 : -1);
	my $pidfd = call('pidfd_open', $pid, 0);
	if ($pidfd >= 0) {
		for my $fd (0 .. 31) {
			my $got = call('pidfd_getfd', $pidfd, $fd, 0);
			attempt("take descriptor $fd of $pid", $got) if $got >= 0 || $fd == 0;
		}
		attempt("enter the namespaces of $pid", call('setns', $pidfd, 0x20000000));
		POSIX::close($pidfd);
	}
}

# Signals by number, to everybody there is and beyond. What the kernel drops without an error is seen
# from outside: jail has to live, and to tell how this program ended.
$SIG{TERM} = $SIG{HUP} = 'IGNORE';
for my $pid (keys %targets, 2 .. 4000) {
	next if $pid == $$;
	my $info = pack("iii x[l] x120", $SIGKILL, 0, -1);

	kill('KILL', $pid);
	call('rt_sigqueueinfo', $pid, $SIGKILL, $info);
	my $pidfd = call('pidfd_open', $pid, 0);
	next if $pidfd < 0;
	call('pidfd_send_signal', $pidfd, $SIGKILL, 0, 0);
	call('pidfd_send_signal', $pidfd, $SIGSTOP, 0, 0);
	POSIX::close($pidfd);
}
kill('KILL', -1);
kill('STOP', getppid());
print "signals were sent\n";

# the filter's way in for jail's own execve is a number of 64 bits
my $true = "/bin/true\0";
if (grep { $_ eq 'no-exec' } @ARGV) {
	attempt("execveat with a guess", call('execveat', -100, $true, 0, 0, 0, $_)) for (0, 1, -1, 0x1234);
}
# a listener of one's own would be asked before jail's
my $allow = pack("SCCL", 0x06, 0, 0, 0x7fff0000);
my $program = pack("Sx6P", 1, $allow);
attempt("a listener of one's own", call('seccomp', 1, 8, $program));
# type at the caller's terminal, also with high bits that the kernel drops
for my $command ($TIOCSTI, $TIOCSTI | 1 << 32) {
	my $char = "x";
	attempt(sprintf("TIOCSTI 0x%x", $command), call('ioctl', $_, $command, $char)) for (0 .. 2);
}
# every descriptor there may be: none leads to jail
for my $fd (3 .. 1023) {
	my $link = readlink("/proc/self/fd/$fd") // next;
	attempt("descriptor $fd is $link", 0) if $link =~ /seccomp|socket|pidfd|memfd/;
}
POSIX::close($_) for (3 .. 1023);
print $broke ? "$broke attacks worked\n" : "no attack worked\n";
exit($broke ? 1 : 7);
