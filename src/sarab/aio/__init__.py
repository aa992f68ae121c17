"""The await-face of the network: event loop, transports, servers, sockets."""
