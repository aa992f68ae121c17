"""What a user of the stack holds: flows, listeners, ports for datagrams. Used under the lock of their stack."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from sarab.net.errors import MessageTooLong
from sarab.proto.tcp.machine import Connection
from sarab.proto.tcp.values import Event, Settings, State
from sarab.wire.checksum import partial
from sarab.wire.tcp import Segment

if TYPE_CHECKING:
    from sarab.net.interface import Interface
    from sarab.net.neighbours import Neighbours
    from sarab.net.stack import Stack

DATAGRAMS_MAX = 512
"""Datagrams that wait to be read by one endpoint."""
HANDSHAKES_MAX = 256
"""Handshakes a listener keeps at once. A SYN finds the door shut when the backlog is full; who was let in is kept."""
DATAGRAM_BYTES_MAX = 1 << 20
DATAGRAM_SIZE_MAX = 65535 - 20 - 8

Address = tuple[bytes, int]
"""An IP address and a port."""


class Path:
    """The way of a flow's segments, and what is the same in all their headers."""

    __slots__ = (
        "changes", "ends", "head", "hop", "interface", "ip_sum", "mac", "middle", "neighbours", "pseudo_sum", "tail"
    )  # fmt: skip

    def __init__(
        self,
        changes: int,
        interface: Interface | None,
        hop: bytes,
        mac: bytes | None,
        head: bytes,
        middle: bytes,
        tail: bytes,
        ip_sum: int,
        pseudo_sum: int,
        neighbours: Neighbours | None = None,
    ) -> None:
        self.changes = changes
        """The stack's count of changes when it was found."""
        self.interface = interface
        """None: it stays here."""
        self.hop = hop
        """Who on the link gets them."""
        self.mac = mac
        """Its Ethernet address; None: it must be asked for first."""
        self.head = head
        """From the Ethernet header up to IPv4's total length, or IPv6's payload length."""
        self.middle = middle
        """From behind that up to the header checksum, or IPv6's addresses."""
        self.tail = tail
        """The addresses."""
        self.ip_sum = ip_sum
        """Of the IPv4 header without length and checksum; 0 in IPv6."""
        self.pseudo_sum = pseudo_sum
        """Of the pseudo-header without length."""
        self.neighbours = neighbours
        """Those of the hop's family; None: it stays here."""
        self.ends = b""
        """The addresses and the ports behind them, where Tcp may take the short way: over IPv4, where the card sums."""

    def is_current(self, now: int) -> bool:
        """Say whether the neighbour is who it was; it is asked again now and then."""
        neighbours = self.neighbours
        if neighbours is None:
            return True
        return neighbours.lookup(now, self.hop) == self.mac is not None


class Endpoint:
    """Something that events happen to."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.owner: object = None
        """The user's own: a transport, a socket."""
        self.closed = False
        self.internal = False
        """The stack's own: its events are for nobody else."""


class Flow(Endpoint):
    """A TCP connection of the stack: the machine, and where it leads."""

    def __init__(self, stack: Stack, machine: Connection, local: Address, remote: Address) -> None:
        super().__init__(stack)
        self.machine = machine
        self.local, self.remote = local, remote
        self.stays = stack.is_local(remote[0])
        """Both ends are here: no frame from outside is for it."""
        self.parent: Listener | None = None
        self.dirty = False
        self.due = 0
        """The deadline under which the stack's heap has this flow; 0: it has not."""
        self.addresses_sum = 0 if len(remote[0]) == 16 else partial(local[0] + remote[0])
        """What both addresses add to the checksum of an IPv4 header."""
        self.path: Path | None = None
        """The way its segments take, as it was found last."""

    @property
    def key(self) -> tuple[bytes, int, bytes, int]:
        """How the stack finds it."""
        return (*self.local, *self.remote)

    @property
    def way(self) -> bytes:
        """The same as it stands in a packet that comes: the peer's address, ours, the ports."""
        (here, port), (there, other) = self.local, self.remote
        return there + here + other.to_bytes(2, "big") + port.to_bytes(2, "big")

    def write(self, now: int, data: bytes | bytearray | memoryview) -> int:
        """Queue data; return how many bytes were taken. When it is not all, WRITABLE follows."""
        taken = self.machine.write(now, data)
        if not self.dirty:
            self.stack.touch(self)
        return taken

    def read(self, now: int, limit: int) -> bytes:
        """Return at most `limit` bytes, b"" when there are none now."""
        data = self.machine.read(now, limit)
        if not self.dirty:
            self.stack.touch_if_due(now, self)
        return data

    def read_into(self, now: int, buffer: memoryview) -> int:
        """Fill `buffer` as far as there is data; return how many bytes."""
        size = self.machine.read_into(now, buffer)
        if not self.dirty:
            self.stack.touch_if_due(now, self)
        return size

    def shutdown_write(self, now: int) -> None:
        """Send a FIN behind what was written."""
        self.machine.shutdown_write(now)
        self.stack.touch(self)

    def close(self, now: int) -> None:
        """Nobody reads or writes any more; what was written is still delivered."""
        self.closed = True
        self.owner = None
        self.machine.close(now)
        self.stack.touch(self)

    def abort(self, now: int) -> None:
        """Reset the connection."""
        self.closed = True
        self.owner = None
        self.machine.abort(now)
        self.stack.touch(self)

    @property
    def readable(self) -> int:
        """Bytes to read."""
        return self.machine.readable

    @property
    def writable(self) -> int:
        """Bytes that write() would take."""
        return self.machine.writable

    @property
    def eof(self) -> bool:
        """The peer has sent its FIN and everything before it can be read."""
        return self.machine.eof

    @property
    def error(self) -> int:
        """Why it ended."""
        return self.machine.error

    @property
    def established(self) -> bool:
        """The handshake is over, and so is not the connection."""
        return self.machine.state.value >= State.ESTABLISHED.value

    def statistics(self) -> dict[str, int]:
        """Return the machine's counters."""
        return self.machine.statistics()


class Listener(Endpoint):
    """A TCP port that takes connections. `local[0]` is b"" for every address of both families."""

    def __init__(self, stack: Stack, local: Address, backlog: int) -> None:
        super().__init__(stack)
        self.local = local
        self.backlog = max(backlog, 1)
        self.half_open = 0
        """Connections in SYN_RECEIVED."""
        self.cookies_until = 0
        """When the last cookie that was sent is too old: from then on nobody can have one."""
        self._ready: deque[Flow] = deque()
        self.refused = 0
        """Connections turned away because nobody accepted the others."""
        self.shared = False
        """Others may listen at the same address (SO_REUSEPORT); each takes a part of the peers."""
        self.silent = False
        """The port is taken, and a SYN is answered as if nobody had it: bind() without listen()."""
        self.adapt: Callable[[Settings], Settings] | None = None
        """What its connections have of it: options that were set on a listening socket."""

    def accept(self) -> Flow | None:
        """Return a connection that was made, or None."""
        while self._ready:
            flow = self._ready.popleft()
            flow.parent = None
            if flow.machine.state is not State.CLOSED or flow.machine.readable:
                return flow
        return None

    @property
    def waiting(self) -> int:
        """Connections to accept()."""
        return len(self._ready)

    def made(self, flow: Flow) -> bool:
        """A handshake is complete. False: the backlog is full."""
        if len(self._ready) >= self.backlog + HANDSHAKES_MAX:
            self.refused += 1
            return False
        self._ready.append(flow)
        return True

    def close(self, now: int) -> None:
        """Take no more connections; those that nobody accepted are reset."""
        if self.closed:
            return
        self.closed = True
        self.owner = None
        self.stack.forget_listener(self)
        while self._ready:
            self._ready.popleft().abort(now)


class Datagrams(Endpoint):
    """A UDP port."""

    def __init__(self, stack: Stack, local: Address) -> None:
        super().__init__(stack)
        self.local = local
        self.remote: Address | None = None
        self._queue: deque[tuple[bytes, bytes, int]] = deque()
        self._queued = 0
        self.dropped = 0
        """Datagrams lost because nobody read the others."""
        self.error = Event.NONE

    def connect(self, address: bytes, port: int) -> None:
        """From now on only this peer is heard, and our address is the one it is reached from. NetworkUnreachable."""
        if not any(self.local[0]):
            self.local = self.stack.source_for(address), self.local[1]
        self.remote = (address, port)

    def send_to(self, now: int, data: bytes | bytearray | memoryview, address: bytes, port: int) -> None:
        """Send a datagram. Raises MessageTooLong, NetworkUnreachable."""
        if len(data) > DATAGRAM_SIZE_MAX:
            raise MessageTooLong(f"a datagram of {len(data)} bytes does not fit into a packet: {DATAGRAM_SIZE_MAX} do")
        self.stack.send_datagram(now, self, data, address, port)

    def receive_from(self) -> tuple[bytes, bytes, int] | None:
        """Return a datagram with its sender's address and port, or None."""
        if not self._queue:
            return None
        datagram = self._queue.popleft()
        self._queued -= len(datagram[0])
        return datagram

    @property
    def waiting(self) -> int:
        """Datagrams to receive_from()."""
        return len(self._queue)

    def deliver(self, data: bytes, address: bytes, port: int) -> bool:
        """Queue what came. False: it was dropped, or is not from the peer."""
        if self.remote is not None and self.remote != (address, port):
            return False
        if len(self._queue) >= DATAGRAMS_MAX or self._queued + len(data) > DATAGRAM_BYTES_MAX:
            self.dropped += 1
            return False
        self._queue.append((data, address, port))
        self._queued += len(data)
        return True

    def close(self, now: int) -> None:
        """Give the port back."""
        if not self.closed:
            self.closed = True
            self.owner = None
            self.stack.forget_datagrams(self)


class Arrived(NamedTuple):
    """A TCP segment on its way to a connection."""

    source: bytes
    destination: bytes
    segment: Segment
    ce: bool
    gso_size: int
