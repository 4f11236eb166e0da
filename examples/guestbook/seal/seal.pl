# Draws a wax seal (SVG) for a name; the same name always gets the same seal. Core modules only.
# GET /seal?name=Ada -> image/svg+xml, with the processor that drew it; GET /healthz.
use strict;
use warnings;
use IO::Socket::INET;
use POSIX ();

$| = 1;
$SIG{CHLD} = 'IGNORE';
$SIG{PIPE} = 'IGNORE';
$SIG{TERM} = sub { exit 0 };

my (undef, $host, $kernel, undef, $machine) = POSIX::uname();
my $server = IO::Socket::INET->new(LocalPort => 7000, Listen => 64, ReuseAddr => 1) or die "cannot listen on port 7000: $!\n";
print "seal on port 7000 ($machine)\n";

while (1) {
    my $client = $server->accept or next;
    $client->timeout(10);
    my $request = <$client> // '';
    while (my $line = <$client>) { last if $line =~ /^\r?\n$/ }
    my ($path) = $request =~ m{^GET (\S+)};
    my ($type, $body, $status) = ('text/plain', "nothing here\n", '404 Not Found');
    if (!defined $path) { ($body, $status) = ("bad request\n", '400 Bad Request') }
    elsif ($path =~ m{^/healthz}) { ($body, $status) = ("ok\n", '200 OK') }
    elsif ($path =~ m{^/seal(?:\?name=([^&]*))?}) { ($type, $body, $status) = ('image/svg+xml', draw(decode($1 // '')), '200 OK') }
    print $client "HTTP/1.1 $status\r\nContent-Type: $type\r\nX-Drawn-By: $host $kernel $machine\r\nContent-Length: " . length($body) . "\r\nConnection: close\r\n\r\n$body";
    close $client;
}

sub decode {
    my $text = shift;
    $text =~ tr/+/ /;
    $text =~ s/%([0-9A-Fa-f]{2})/chr hex $1/ge;
    return substr($text, 0, 80);
}

sub draw {
    my $name = shift;
    my $hash = 2166136261;    # FNV-1a, 32 bits
    $hash = (($hash ^ ord $_) * 16777619) & 0xffffffff for split //, $name;
    my $points = 5 + $hash % 8;
    my $hue = ($hash >> 8) % 360;
    my @outline;
    for my $step (0 .. 2 * $points - 1) {
        my $radius = $step % 2 ? 18 + ($hash >> 16) % 10 : 34;
        my $angle = 3.14159265 * $step / $points;
        push @outline, sprintf '%.1f,%.1f', 40 + $radius * cos $angle, 40 + $radius * sin $angle;
    }
    return qq{<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 80 80"><title>drawn on $machine</title>}
        . qq{<circle cx="40" cy="40" r="38" fill="hsl($hue,55%,38%)"/><polygon points="@outline" fill="hsl($hue,60%,58%)"/>}
        . qq{<circle cx="40" cy="40" r="8" fill="hsl($hue,55%,30%)"/></svg>};
}
