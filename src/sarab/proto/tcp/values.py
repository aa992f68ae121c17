"""What a connection is told and tells: states, events, settings, and the limits with their reasons."""

from enum import Enum
from typing import Final, NamedTuple

MILLISECOND: Final = 1_000_000
SECOND: Final = 1_000_000_000


class State(Enum):
    """RFC 9293 section 3.3.2. LISTEN is the listener's, who makes connections in SYN_RECEIVED."""

    CLOSED = 0
    SYN_SENT = 2
    SYN_RECEIVED = 3
    ESTABLISHED = 4
    FIN_WAIT_1 = 5
    FIN_WAIT_2 = 6
    CLOSE_WAIT = 7
    CLOSING = 8
    LAST_ACK = 9
    TIME_WAIT = 10


# Looking a member up in its enum costs more than the comparison it is for: the data path uses these.
CLOSED: Final = State.CLOSED
SYN_SENT: Final = State.SYN_SENT
SYN_RECEIVED: Final = State.SYN_RECEIVED
ESTABLISHED: Final = State.ESTABLISHED
FIN_WAIT_1: Final = State.FIN_WAIT_1
FIN_WAIT_2: Final = State.FIN_WAIT_2
CLOSE_WAIT: Final = State.CLOSE_WAIT
CLOSING: Final = State.CLOSING
LAST_ACK: Final = State.LAST_ACK
TIME_WAIT: Final = State.TIME_WAIT


class Event:
    """What a user of a connection, or of any endpoint of the stack, must hear of: bits of an int.

    Plain numbers and no enum.IntFlag, whose operators cost half a microsecond each, several times a segment.
    """

    NONE: Final = 0
    ESTABLISHED: Final = 1
    READABLE: Final = 2
    """There is something to read or to accept."""
    WRITABLE: Final = 4
    """The send buffer, which was full, has room."""
    EOF: Final = 8
    """The peer will send no more; what came before may still be read."""
    CLOSED: Final = 16
    """The connection is over and may be forgotten; `error` says whether it went well."""
    RESET: Final = 32
    TIMEOUT: Final = 64
    REFUSED: Final = 128
    UNREACHABLE: Final = 256


class Settings(NamedTuple):
    """How a connection behaves. Sizes in bytes, times in nanoseconds."""

    mss: int = 1460
    """The largest payload of a segment to receive and send: the link's MTU less the headers without options."""
    gso: bool = False
    """A payload handed out by poll() may be longer than `snd_mss`: the card cuts it."""
    gso_size_max: int = 65535 - 120
    """The longest such payload: an IP packet is 65535 bytes, its headers 120 at most."""
    nagle: bool = True
    congestion: str = "cubic"
    """Or "newreno"."""
    ecn: bool = False
    """Ask for explicit congestion notification (RFC 3168). What a peer asks for is always granted."""
    timestamps: bool = True
    sack: bool = True
    snd_buffer_max: int = 1 << 20
    """What write() takes before it says no. Twice the product of 10 Gbit/s and a LAN's 0.4 ms."""
    rcv_buffer: int = 1 << 17
    """The receive window at first."""
    rcv_buffer_max: int = 4 << 20
    """To what it grows when the path is long and the user reads as fast as it fills (Linux: 6 MiB)."""
    initial_window: int = 10
    """Segments (RFC 6928)."""
    rto_initial: int = 1 * SECOND
    """RFC 6298 section 2.1."""
    rto_min: int = 200 * MILLISECOND
    """RFC 6298 says 1 s; every system in use has taken 200 ms for twenty years (Linux's TCP_RTO_MIN)."""
    rto_max: int = 60 * SECOND
    delayed_ack: int = 40 * MILLISECOND
    """RFC 9293 section 3.8.6.3: below 500 ms. Linux's TCP_DELACK_MIN."""
    syn_retries: int = 7
    """Three minutes, as RFC 9293 section 3.8.3 wants for a SYN (R2)."""
    retries: int = 12
    """Retransmissions of one segment before the connection is given up: R2 of RFC 9293 section 3.8.3, over 100 s."""
    user_timeout: int = 0
    """Give up when data stays unacknowledged for so long (RFC 5482); 0: as `retries` says."""
    time_wait: int = 60 * SECOND
    """Twice the maximum segment lifetime; Linux's, as RFC 9293's 4 minutes are."""
    fin_wait_2: int = 60 * SECOND
    """How long a connection that the user has closed waits for the peer's FIN."""
    keepalive_idle: int = 0
    """Probe a peer that is silent for so long; 0: never (RFC 9293 section 3.8.4: off by default)."""
    keepalive_interval: int = 75 * SECOND
    keepalive_count: int = 9


MSS_DEFAULT = 536
"""Of a peer that does not say one, over IPv4 (RFC 9293 section 3.7.1)."""
MSS_MIN = 88
"""A smaller one is an attack: more header than data (FreeBSD's net.inet.tcp.minmss has 216, MirageOS 88)."""
WINDOW_SCALE_MAX = 14
REASSEMBLY_PIECES_MAX = 512
"""Out-of-order pieces kept: 512 holes are no honest path's."""
TLP_DELAY_MIN: Final = 2 * MILLISECOND
"""A tail loss probe before that would be for nothing: timers are no finer on either side."""
OVERRIDE = 200 * MILLISECOND
"""How long the sender waits for a window worth a segment (RFC 9293 section 3.8.6.2.1: 0.1 to 1 s)."""
BLACK_HOLE_TIMEOUTS = 2
BLACK_HOLE_MSS = 1220
"""After so many timeouts in a row a longer segment is cut to so many bytes with the next one: a router may drop it
and tell nobody (RFC 2923 section 2.1). It is what IPv6's smallest MTU leaves; no path in use has a smaller one."""
PAWS_IDLE_MAX = 24 * 24 * 3600 * SECOND
"""RFC 7323 section 5.5: after 24 days a timestamp may have wrapped."""
CHALLENGE_ACKS_PER_SECOND = 10
"""RFC 5961 section 10 suggests 10 in 5 s for a system; this is for one connection."""
