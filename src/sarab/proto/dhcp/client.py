"""A DHCP client (RFC 2131 section 4.4): an address for a card, and the care that it stays ours.

    client = Client(mac, "web", random)
    for message, destination in client.poll(now): ...  # dhcpv4.emit(message), from port 68 to 67; None: to everybody
    client.receive(now, dhcpv4.parse(datagram))        # what came to port 68
    for change in client.take_changes(): ...           # then look at client.lease
    client.deadline()                                  # when to call poll() again

The first offer that can be used is taken; the random pause before the first question, of up to ten seconds (section
4.4.1), is left out, because an image shall be there in milliseconds.
"""

from collections.abc import Callable
from enum import Enum
from typing import NamedTuple

from sarab.proto.dhcp.lease import SECOND, Lease, lease_of
from sarab.wire import address, dhcpv4
from sarab.wire.dhcpv4 import Message
from sarab.wire.errors import Malformed

RETRY_FIRST, RETRY_MAX = 4 * SECOND, 64 * SECOND
"""Between two questions that go unanswered: doubling, each a second more or less (section 4.1)."""
JITTER = 1 * SECOND
REQUESTS_MAX = 4
"""Requests for an offered address; then from the start again (section 3.1 step 5: after about a minute)."""
REBOOT_REQUESTS_MAX = 2
"""Requests for the address of the last time: somewhere else than then, nobody may answer (section 3.2)."""
RENEW_PAUSE_MIN = 60 * SECOND
"""Between two renewals (section 4.4.5)."""
RESTART_FIRST, RESTART_MAX = 1 * SECOND, 64 * SECOND
"""After a NAK: doubling, so that a server that always says no is not asked all the time."""
DECLINE_PAUSE = 10 * SECOND
"""After an address was found in use (section 3.1 step 5)."""
CONFLICTS_MAX, CONFLICT_PAUSE = 10, 60 * SECOND
"""After so many conflicts, one try a minute (RFC 5227 section 2.1.1)."""
HOSTNAME_MAX = 63
CHANGES_MAX = 64
"""Changes that nobody took; the oldest are forgotten, for the lease itself says how things stand."""

PARAMETERS = bytes(
    (
        dhcpv4.SUBNET_MASK,
        dhcpv4.CLASSLESS_ROUTES,  # before the routers, as RFC 3442 asks
        dhcpv4.ROUTERS,
        dhcpv4.DNS_SERVERS,
        dhcpv4.HOST_NAME,
        dhcpv4.DOMAIN_NAME,
        dhcpv4.INTERFACE_MTU,
        dhcpv4.NTP_SERVERS,
        dhcpv4.RENEWAL_TIME,
        dhcpv4.REBINDING_TIME,
        dhcpv4.DOMAIN_SEARCH,
    )
)


class State(Enum):
    """Section 4.4, figure 5; STOPPED is after a release."""

    INIT = "init"
    SELECTING = "selecting"
    REQUESTING = "requesting"
    INIT_REBOOT = "init-reboot"
    REBOOTING = "rebooting"
    BOUND = "bound"
    RENEWING = "renewing"
    REBINDING = "rebinding"
    STOPPED = "stopped"


class Change(Enum):
    """What became of the lease."""

    LEASED = "leased"
    RENEWED = "renewed"
    """The same address for longer; what goes with it may differ."""
    LOST = "lost"
    """The address may be used no more."""


class Settings(NamedTuple):
    """What a user may choose."""

    previous: bytes = b""
    """An address to ask for first, the one of the last time (INIT-REBOOT); b"": none."""
    client_id: bytes = b""
    """Option 61; b"": made of the MAC (RFC 2132 section 9.14)."""
    broadcast: bool = True
    """Ask the server to broadcast, because we take no unicast as long as we have no address (section 4.1)."""


DEFAULTS = Settings()


class Client:
    """The machine of one card."""

    def __init__(
        self, mac: bytes, hostname: str, random: Callable[[int], bytes], settings: Settings = DEFAULTS
    ) -> None:
        """`hostname` is ASCII and may be "": then none is told. The first poll() asks."""
        self.state = State.INIT_REBOOT if settings.previous else State.INIT
        self.lease: Lease | None = None
        self._mac, self._random, self._settings = mac, random, settings
        self._hostname = hostname.encode("ascii", "ignore")[:HOSTNAME_MAX]
        self._client_id = settings.client_id or b"\x01" + mac
        self._wanted = settings.previous
        """The address that is asked for."""
        self._server = b""
        """Who offered it."""
        self._xid = 0
        self._began = 0
        """When this try to get an address began: `secs` counts from here."""
        self._asked_at = 0
        """When the lease that may come was first asked for: its time counts from here."""
        self._due: int | None = 0
        self._pause = RETRY_FIRST
        self._tries = 0
        self._restart = RESTART_FIRST
        self._conflicts = 0
        self._outbox: list[tuple[Message, bytes | None]] = []
        self._changes: list[Change] = []
        self._counts = dict.fromkeys(("sent", "received", "dropped", "naks", "conflicts", "leases", "renewals"), 0)

    def deadline(self) -> int | None:
        """Return when poll() has something to do."""
        return 0 if self._outbox else self._due

    def statistics(self) -> dict[str, int]:
        """Return the counters."""
        return dict(self._counts)

    def take_changes(self) -> list[Change]:
        """Return what has become of the lease since the last call, in order."""
        changes, self._changes = self._changes, []
        return changes

    # Time

    def poll(self, now: int) -> list[tuple[Message, bytes | None]]:
        """Return what is to be sent now, each with whom to send it to; None: to 255.255.255.255, from 0.0.0.0."""
        while self._due is not None and now >= self._due:
            self._on_time(now)
        sent, self._outbox = self._outbox, []
        self._counts["sent"] += len(sent)
        return sent

    def _on_time(self, now: int) -> None:
        """Do what is due. Each way out of here moves `_due` on, or the state: poll() comes to an end."""
        state, lease = self.state, self.lease
        if lease is not None and lease.expiry is not None and now >= lease.expiry:
            self._lose(now, 0, lease.address)
        elif state is State.INIT:
            self._begin(now, State.SELECTING)
        elif state is State.INIT_REBOOT:
            self._begin(now, State.REBOOTING)
        elif state is State.SELECTING:
            self._discover(now)
        elif state is State.REQUESTING or state is State.REBOOTING:
            if self._tries < (REQUESTS_MAX if state is State.REQUESTING else REBOOT_REQUESTS_MAX):
                self._request(now)
            elif lease is not None:  # nobody says that it is not ours any more (section 3.2 step 3)
                self.state, self._due, self._server = State.BOUND, lease.t1, lease.server
            else:
                self._wanted = self._server = b""
                self.state, self._due = State.INIT, now
        elif lease is not None:
            self._extend(now, lease)
        else:
            self._due = None  # STOPPED

    def _begin(self, now: int, state: State) -> None:
        self._new_xid()
        self.state, self._began, self._asked_at, self._due = state, now, now, now
        self._pause, self._tries = RETRY_FIRST, 0

    def _again(self, now: int) -> None:
        """Set when to ask again (section 4.1)."""
        jitter = (2 * JITTER * int.from_bytes(self._random(2), "big") >> 16) - JITTER
        self._due = now + self._pause + jitter
        if self.lease is not None and self.lease.expiry is not None:
            self._due = min(self._due, self.lease.expiry)
        self._pause = min(2 * self._pause, RETRY_MAX)
        self._tries += 1

    def _discover(self, now: int) -> None:
        self._send(now, dhcpv4.DISCOVER, requested=self._wanted)
        self._again(now)

    def _request(self, now: int) -> None:
        self._send(now, dhcpv4.REQUEST, requested=self._wanted, server=self._server)
        self._again(now)

    def _extend(self, now: int, lease: Lease) -> None:
        """Ask for more time: the server from T1 on, anybody from T2 on (section 4.4.5)."""
        if lease.t2 is not None and now >= lease.t2:
            if self.state is not State.REBINDING:
                self.state, self._began = State.REBINDING, now
            limit, destination = lease.expiry, None
        else:
            if self.state is not State.RENEWING:
                self.state, self._began = State.RENEWING, now
            limit, destination = lease.t2, lease.server
        if limit is None:  # no end, no T1 either
            self._due = None
            return
        self._new_xid()
        self._asked_at = now
        self._send(now, dhcpv4.REQUEST, own=lease.address, destination=destination)
        rest = limit - now
        self._due = now + rest // 2 if rest > 2 * RENEW_PAUSE_MIN else min(now + RENEW_PAUSE_MIN, limit)

    # Messages

    def receive(self, now: int, message: Message) -> None:
        """Take a message that came to port 68."""
        if message.op != dhcpv4.REPLY_OP or message.chaddr != self._mac or message.xid != self._xid:
            self._counts["dropped"] += 1
            return
        self._counts["received"] += 1
        kind, state = message.kind, self.state
        try:
            if kind == dhcpv4.OFFER and state is State.SELECTING:
                self._offered(now, lease_of(message, now, self._random))
            elif kind == dhcpv4.ACK and (state in (State.REQUESTING, State.REBOOTING) or self._extending):
                self._acknowledged(now, lease_of(message, self._asked_at, self._random))
            elif kind == dhcpv4.NAK and (state in (State.REQUESTING, State.REBOOTING) or self._extending):
                self._refused(now, message)
            else:
                self._counts["dropped"] += 1
        except Malformed:
            self._counts["dropped"] += 1

    @property
    def _extending(self) -> bool:
        return self.state is State.RENEWING or self.state is State.REBINDING

    def _offered(self, now: int, offer: Lease) -> None:
        self._wanted, self._server = offer.address, offer.server
        self.state, self._asked_at, self._due = State.REQUESTING, now, now
        self._pause, self._tries = RETRY_FIRST, 0

    def _acknowledged(self, now: int, lease: Lease) -> None:
        old = self.lease
        strange = not self._extending and lease.address != self._wanted
        if self.state is State.REQUESTING and lease.server != self._server:
            strange = True
        if strange or (lease.expiry is not None and lease.expiry <= now):
            self._counts["dropped"] += 1
            return
        if old is None or old.address != lease.address:
            if old is not None:
                self._tell(Change.LOST)
            self._tell(Change.LEASED)
            self._counts["leases"] += 1
        else:
            self._tell(Change.RENEWED)
            self._counts["renewals"] += 1
        self.lease, self._wanted, self._server = lease, lease.address, lease.server
        self.state, self._due, self._restart = State.BOUND, lease.t1, RESTART_FIRST

    def _refused(self, now: int, message: Message) -> None:
        server = message.option(dhcpv4.SERVER_ID)
        if self.state in (State.REQUESTING, State.RENEWING) and server not in (None, self._server):
            self._counts["dropped"] += 1  # another server has no say yet
            return
        self._counts["naks"] += 1
        self._lose(now, self._restart)
        self._restart = min(2 * self._restart, RESTART_MAX)

    # What the user says

    def conflict(self, now: int) -> None:
        """The leased address is another host's: decline it and ask for another (section 3.1 step 5)."""
        lease = self.lease
        if lease is None:
            return
        self._counts["conflicts"] += 1
        self._conflicts += 1
        self._new_xid()
        self._send(now, dhcpv4.DECLINE, requested=lease.address, server=lease.server)
        self._lose(now, DECLINE_PAUSE if self._conflicts < CONFLICTS_MAX else CONFLICT_PAUSE)

    def release(self, now: int) -> None:
        """Give the address back and stop (section 4.4.6)."""
        lease = self.lease
        if lease is not None:
            self._new_xid()
            self._send(now, dhcpv4.RELEASE, own=lease.address, server=lease.server, destination=lease.server)
            self._lose(now, 0, lease.address)
        self.state, self._due = State.STOPPED, None

    def restart(self, now: int) -> None:
        """The link was away, or the client was stopped: begin anew.

        Where there is a lease, it is asked for again (INIT-REBOOT, section 3.2), and LOST only when a server says no or
        its time is over.
        """
        if self.lease is None:
            self.state, self._due = State.INIT, now
        else:
            self._wanted, self._server = self.lease.address, b""  # a REQUEST in this state names no server
            self.state, self._due = State.INIT_REBOOT, now

    def _lose(self, now: int, pause: int, wanted: bytes = b"") -> None:
        """Have no lease any more and start after `pause`, with a wish for the address `wanted`."""
        if self.lease is not None:
            self.lease = None
            self._tell(Change.LOST)
        self._wanted, self._server = wanted, b""
        self.state, self._due = State.INIT, now + pause

    def _tell(self, change: Change) -> None:
        self._changes.append(change)
        del self._changes[:-CHANGES_MAX]

    def _new_xid(self) -> None:
        self._xid = int.from_bytes(self._random(4), "big")

    def _send(
        self,
        now: int,
        kind: int,
        *,
        own: bytes = address.ANY4,
        requested: bytes = b"",
        server: bytes = b"",
        destination: bytes | None = None,
    ) -> None:
        """Queue a message with the options that section 4.4.1, table 5 gives to its kind."""
        options: list[tuple[int, bytes]] = [(dhcpv4.MESSAGE_TYPE, bytes((kind,))), (dhcpv4.CLIENT_ID, self._client_id)]
        if requested:
            options.append((dhcpv4.REQUESTED_ADDRESS, requested))
        if server:
            options.append((dhcpv4.SERVER_ID, server))
        secs = flags = 0
        if kind in (dhcpv4.DISCOVER, dhcpv4.REQUEST):
            secs = min((now - self._began) // SECOND, 0xFFFF)
            if self._hostname:
                options.append((dhcpv4.HOST_NAME, self._hostname))
            options.append((dhcpv4.PARAMETERS, PARAMETERS))
            options.append((dhcpv4.MESSAGE_SIZE, dhcpv4.SIZE_MAX.to_bytes(2, "big")))
            if self._settings.broadcast and own == address.ANY4:
                flags = dhcpv4.BROADCAST
        message = Message(dhcpv4.REQUEST_OP, self._xid, self._mac, tuple(options), secs, flags, own)
        self._outbox.append((message, destination))
