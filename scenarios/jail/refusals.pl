# Makes the calls that a profile is documented to refuse (docs/profiles.md), by their numbers, and says
# how each ended: "bpf EPERM". perl refusals.pl PROFILE
use strict;
use warnings;
no warnings "portable";
use POSIX ();

my %number = ( # amd64, arm64
	bpf => [321, 280], kexec_load => [246, 104], add_key => [248, 217], swapon => [167, 224],
	finit_module => [313, 273], userfaultfd => [323, 282], io_uring_setup => [425, 425], ioctl => [16, 29],
	unshare => [272, 97], clone3 => [435, 435], ptrace => [101, 117], mount => [165, 40],
	openat2 => [437, 437], socket => [41, 198], futex_waitv => [449, 449], mseal => [462, 462],
	of_the_future => [900, 900],
);
my @everywhere = qw(bpf kexec_load add_key swapon finit_module userfaultfd io_uring_setup of_the_future);
my %calls = (
	default => [@everywhere, qw(futex_waitv mseal)],
	permissive => [@everywhere],
	compute => [@everywhere, qw(unshare clone3 ptrace mount socket)],
	strict => [@everywhere, qw(unshare clone3 ptrace mount openat2)],
);
my %arguments = (unshare => [0x10000000], socket => [17, 3, 0]); # CLONE_NEWUSER; AF_PACKET, SOCK_RAW
my $arm64 = (POSIX::uname())[4] eq 'aarch64';
my ($profile) = @ARGV;

sub outcome {
	my ($call, @args) = @_;
	push @args, 0 while @args < 6;
	$! = 0;
	return 'worked' if syscall($number{$call}[$arm64], @args) >= 0;
	my ($name) = grep { $!{$_} } qw(EPERM ENOSYS EAFNOSUPPORT);
	return $name // "errno " . ($! + 0);
}
my @said = map { "$_ " . outcome($_, @{$arguments{$_} // []}) } @{$calls{$profile}};
# the command that types into a terminal; the kernel drops the high bits, the filter does too
push @said, map { sprintf "ioctl %x %s", $_, outcome('ioctl', 0, $_) } 0x5412, 0x100005412;
print "$profile: ", join(', ', @said), "\n";
