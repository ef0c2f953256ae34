# What an installed `hawse` begins with: it hands the command to the warm server as cli/launcher/launch.py does, in less than half
# the time, because perl (of Debian's essential perl-base) starts in 2 ms where an interpreter of Python needs 8.
#
# Read cli/launcher/launch.py first: it has the words on the conversation. What this file cannot or should not do, it leaves to
# that one, before GO and never after: no server, a stranger's, a command that must run cold. It starts no server and
# runs no command. It loads no module, not even strict (the tests do): each costs more than a whole round of messages.
#
# Arguments: the interpreter to give way to, the installed script that it is to read, and the command line.

my ( $PROTOCOL, $PATIENCE, $MESSAGE, $LOST ) = ( 1, 5, 5, 125 );    # as in cli/launcher/launch.py
my ( $AF_UNIX, $SOCK_STREAM, $SOL_SOCKET, $SCM_RIGHTS ) = ( 1, 1, 1, 1 );
my ( $SO_PEERCRED, $SO_RCVTIMEO, $SO_SNDTIMEO ) = ( 17, 20, 21 );
my ( $MSG_NOSIGNAL, $MSG_CMSG_CLOEXEC ) = ( 0x4000, 0x40000000 );
my ( $SIG_BLOCK, $SIG_UNBLOCK, $SIG_SETMASK ) = ( 0, 1, 2 );
my ( $O_RDONLY, $O_PATH, $TIOCGPGRP, $EINTR, $EAGAIN ) = ( 0, 0x200000, 0x540F, 4, 11 );
my ( $ELF_64_BIT, $ELF_LITTLE_ENDIAN, $EM_X86_64 ) = ( 2, 1, 62 );
my @EM_GENERIC = ( 183, 243, 258 );    # AArch64, RISC-V, LoongArch: those with the numbers of asm-generic/unistd.h

my ( $SENDMSG, $RECVMSG, $SIGPROCMASK, $EXIT );
my $PIDFD_SEND_SIGNAL = 424;           # as all newer ones, the same everywhere

my @SIGNALS = qw(
    ZERO HUP INT QUIT ILL TRAP ABRT BUS FPE KILL USR1 SEGV USR2 PIPE ALRM TERM STKFLT CHLD CONT STOP TSTP TTIN TTOU URG
    XCPU XFSZ VTALRM PROF WINCH IO PWR SYS
);
my %NUMBER    = map { $SIGNALS[$_] => $_ } 1 .. $#SIGNALS;
my @PASSED_ON = qw(HUP INT QUIT TERM USR1 USR2 ALRM TSTP CONT WINCH);

my ( $python, $script, @arguments ) = @ARGV;
my ( $server, $process );

delete $ENV{PERL_BADLANG};             # the script's, so that perl does not speak of locales
run();

# Run the command line warm, where that is possible, and exit as it did.
sub run {
    give_way() if must_run_cold() || !knows_machine();
    reach_server() or give_way( $! == $EAGAIN );
    my $before = mask( $SIG_BLOCK, @PASSED_ON );
    unless ( meet_process() && offer() && hear() =~ /^R/ && patience(0) && deliver( pack 'a N', 'G', 0 ) ) {
        my $in_vain = $! == $EAGAIN;
        unmask($before);
        give_way($in_vain);
    }
    follow($before);
}

# Become the launcher of Python, which does what is left to do, and says what is to be said. Where a server that hangs
# has been waited for in vain, it is told so, and asks it no more.
sub give_way {
    my ($in_vain) = @_;
    close $server if $server;
    my @options = ( qw(-IS -X utf8), $in_vain ? qw(-X hawse-waited) : () );
    exec {$python} $python, @options, $script, @arguments or syswrite STDERR, "hawse: $python: $!\n";
    exit $LOST;
}

# Tell whether only a process of the caller's can run this command: see cli/launcher/launch.py.
sub must_run_cold {
    return 1 if ( $ENV{HAWSE_WARM} // '' ) eq 'off' || grep { m{/dev/fd/|/proc/self/fd/} } @arguments;
    my $group = pack 'i', 0;
    return ioctl( STDIN, $TIOCGPGRP, $group ) && unpack( 'i', $group ) != getpgrp;
}

# Learn the numbers of system calls; false on a machine where they, or the structures, are others.
sub knows_machine {
    open my $perl, '<', '/proc/self/exe' or return 0;
    sysread $perl, my $header, 20;
    my ( $class, $order, $machine ) = unpack 'x4 C C x12 v', $header;
    return 0 unless $class == $ELF_64_BIT && $order == $ELF_LITTLE_ENDIAN;
    ( $SENDMSG, $RECVMSG, $SIGPROCMASK, $EXIT ) = ( 46, 47, 14, 231 )    if $machine == $EM_X86_64;
    ( $SENDMSG, $RECVMSG, $SIGPROCMASK, $EXIT ) = ( 211, 212, 135, 94 ) if grep { $machine == $_ } @EM_GENERIC;
    return $SENDMSG;
}

# Connect to a server of our own user.
sub reach_server {
    my $directory = $ENV{HAWSE_RUN} // '';
    $directory = '/run/hawse' if $directory eq '';
    my $name = pack 'S a*', $AF_UNIX, "$directory/warm.sock\0";
    socket( $server, $AF_UNIX, $SOCK_STREAM, 0 ) && patience($PATIENCE) && connect $server, $name or return 0;
    my $credentials = getsockopt( $server, $SOL_SOCKET, $SO_PEERCRED ) or return 0;
    return ( unpack 'i I I', $credentials )[1] == $>;
}

# Wait at most so many seconds for the server to take or give a part; 0: for ever.
sub patience {
    my $time = pack 'q q', $_[0], 0;
    return setsockopt( $server, $SOL_SOCKET, $SO_RCVTIMEO, $time )
        && setsockopt( $server, $SOL_SOCKET, $SO_SNDTIMEO, $time );
}

# Wait for the process that is to run the command; takes its pidfd.
sub meet_process {
    my ( $answer, $control ) = ( '', '' );
    vec( $answer,  $MESSAGE - 1, 8 ) = 0;    # makes room
    vec( $control, 23,           8 ) = 0;
    my $header = message_header( $answer, $control );
    syscall( $RECVMSG, fileno $server, $header, $MSG_CMSG_CLOEXEC ) == $MESSAGE or return 0;
    my ( $length, $level, $type, $descriptor ) = unpack 'Q i i i', $control;
    $process = $descriptor;
    return $answer =~ /^W/ && $length == 20 && $level == $SOL_SOCKET && $type == $SCM_RIGHTS;
}

# Send the request, and with it our streams, directory, root and namespaces.
sub offer {
    my @streams = 0 .. 2;    # the script has seen to it that there are all three
    my @places;
    for my $place ( [ '.', $O_PATH ], [ '/', $O_PATH ], map { [ "/proc/self/ns/$_", $O_RDONLY ] } qw(mnt net) ) {
        sysopen my $opened, $place->[0], $place->[1] or return 0;
        push @places, $opened;
    }
    my $rights  = pack 'i*', @streams, map { fileno $_ } @places;
    my $control = pack 'Q i i a* x!8', 16 + length $rights, $SOL_SOCKET, $SCM_RIGHTS, $rights;
    my $request = request(@streams);
    my $header  = message_header( $request, $control );
    my $sent    = syscall $SENDMSG, fileno $server, $header, $MSG_NOSIGNAL;
    return $sent > 0 && deliver( substr $request, $sent );
}

# What must be known to run the command as here.
sub request {
    my @streams = @_;
    my @ignored = map { $NUMBER{$_} } grep { is_ignored($_) } @PASSED_ON;
    my $numbers = join ' ', map { join ',', @$_ } [ umask, scalar @arguments ], \@streams, \@ignored;
    my ( $device, $inode ) = stat $script;
    my @variables = map { "$_=$ENV{$_}" } keys %ENV;
    my $body = join "\0", "$PROTOCOL $device $inode", $numbers, @arguments, @variables;
    return pack 'N a*', length $body, $body;
}

# A struct msghdr of one part and its control messages; both must outlive it.
sub message_header {
    our $part = pack 'P Q', $_[0], length $_[0];
    return pack 'x16 P Q P Q x8', $part, 1, $_[1], length $_[1];
}

# Send all of it.
sub deliver {
    my ($rest) = @_;
    while ( length $rest ) {
        my $sent = send( $server, $rest, $MSG_NOSIGNAL ) or return 0;
        substr( $rest, 0, $sent ) = '';
    }
    return 1;
}

# Wait for one message; empty when nobody is there any more.
sub hear {
    my $told = '';
    while ( length $told < $MESSAGE ) {
        my $read = sysread $server, $told, $MESSAGE - length $told, length $told;
        return '' unless $read || !defined $read && $! == $EINTR;
    }
    return $told;
}

# Pass signals on and do what the command does: stop, be continued, end.
sub follow {
    my ($before) = @_;
    $SIG{$_} = \&pass_on for grep { !is_ignored($_) } @PASSED_ON;
    unmask($before);
    while ( my ( $kind, $number ) = unpack 'a N', hear() ) {
        syscall $EXIT, $number if $kind eq 'E';    # without perl's tidying up
        die_of($number) if $kind eq 'K';
        stop($number)   if $kind eq 'T';
    }
    syswrite STDERR, "hawse: the process that ran this command is lost; the next command puts things right\n";
    exit $LOST;
}

sub pass_on {
    syscall $PIDFD_SEND_SIGNAL, $process, $NUMBER{ $_[0] }, 0, 0;
}

sub is_ignored {
    return ( $SIG{ $_[0] } // '' ) eq 'IGNORE';
}

# Change the mask of signals; the one before.
sub mask {
    my ( $how, @names ) = @_;
    my ( $set, $before ) = ( 0, pack 'Q', 0 );
    $set |= 1 << $NUMBER{$_} - 1 for @names;
    syscall $SIGPROCMASK, $how, pack( 'Q', $set ), $before, 8;
    return $before;
}

# Set the mask of signals as it was before.
sub unmask {
    my ($before) = @_;
    syscall $SIGPROCMASK, $SIG_SETMASK, $before, 0, 8;
}

# Stop as the command did; when we are continued, so is it.
sub stop {
    my ($number) = @_;
    my @handled = grep { $_ ne 'STOP' } $SIGNALS[$number], 'CONT';
    @SIG{@handled} = ('DEFAULT') x @handled;
    kill $number, $$;
    for my $name (@handled) {
        $SIG{$name} = \&pass_on if grep { $_ eq $name } @PASSED_ON;
    }
    pass_on('CONT');
}

# End by the signal that ended the command, so that the caller sees what it would have seen.
sub die_of {
    my ($number) = @_;
    if ( $number != $NUMBER{KILL} ) {
        $SIG{ $SIGNALS[$number] } = 'DEFAULT';
        mask( $SIG_UNBLOCK, $SIGNALS[$number] );
    }
    kill $number, $$;
    exit 128 + $number;
}
